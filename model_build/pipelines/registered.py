"""What the model registry says about one model, so that what is approved is what is deployed.

The pipeline writes it as a JSON file and registers it as `CustomerMetadataProperties`: strings of at most 256 characters under
keys of at most 128, at most 50 of them. Who deploys reads it back, fetches `package_uri`, and compares both digests.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from linewatch_common.errors import InputError
from linewatch_common.manifest import Name, Sha256, Version
from msgspec import Meta, Struct

SCHEMA: Literal["linewatch.RegisteredModel/1"] = "linewatch.RegisteredModel/1"
ARTEFACT_PREFIX = "artefact_"
_MAX_VALUE = 256

Uri = Annotated[
    str, Meta(pattern=r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/[A-Za-z0-9_.:/=+@-]+$", max_length=_MAX_VALUE)
]
OptionalUri = Annotated[str, Meta(pattern=r"^(s3://[A-Za-z0-9_.:/=+@-]+)?$", max_length=_MAX_VALUE)]
Demands = Annotated[str, Meta(pattern=r"^([0-9.]+ [0-9.]+ [0-9.]+)?$", max_length=64)]
PackageUri = Annotated[str, Meta(pattern=r"^s3://[A-Za-z0-9_.:/=+@-]+\.tar\.gz$", max_length=_MAX_VALUE)]
ManifestDigest = Annotated[str, Meta(pattern=r"^sha256:[0-9a-f]{64}$")]
Component = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=128)]
Artefact = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,40}$")]


class RegisteredModel(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One registered model version.

    `package_uri`: the package's .tar.gz, `package_sha256` the digest of that object, `manifest_digest` the package's identity
    (linewatch_common.manifest.manifest_digest). `component` and `version`: the Greengrass component version to publish.
    `data_digest`: of the prepared data's index. `code_digest`: of the source archive that every step ran.
    `data_uri`, `run_uri`, `gate`: where prepared data and run lie, and what the gate asked (escapes, false rejects, image AP), so that what
    is compiled later passes the same gate; empty where nobody said.
    `artefacts`: SHA-256 by name, of everything that was made on the way (float model, compiled model, evaluation).
    """

    schema: Literal["linewatch.RegisteredModel/1"] = SCHEMA
    model: Name
    component: Component
    version: Version
    package_uri: PackageUri
    package_sha256: Sha256
    manifest_digest: ManifestDigest
    data_digest: Sha256
    code_digest: Sha256
    report_uri: Uri
    data_uri: OptionalUri = ""
    run_uri: OptionalUri = ""
    gate: Demands = ""
    artefacts: Annotated[dict[Artefact, Sha256], Meta(min_length=1, max_length=30)]

    def to_properties(self) -> dict[str, str]:
        """As `CustomerMetadataProperties`; an artefact's digest stands under `artefact_<name>`."""
        fields: dict[str, str] = {name: value for name in plain_fields() if (value := getattr(self, name))}
        return fields | {ARTEFACT_PREFIX + name: digest for name, digest in sorted(self.artefacts.items())}

    def to_json(self) -> bytes:
        """As the file that the pipeline's last job writes: `artefacts` is an object in it."""
        return msgspec.json.format(msgspec.json.encode(self, order="sorted"), indent=2) + b"\n"


def from_properties(properties: Mapping[str, str]) -> RegisteredModel:
    """What was registered. Keys that are not ours are left alone: others may add theirs. Raises InputError."""
    found: dict[str, object] = {name: properties[name] for name in plain_fields() if name in properties}
    if found.get("schema") != SCHEMA:
        raise InputError(f"the model package's properties are not of schema {SCHEMA}: {found.get('schema')!r}")
    found["artefacts"] = {
        key.removeprefix(ARTEFACT_PREFIX): value for key, value in properties.items() if key.startswith(ARTEFACT_PREFIX)
    }
    return _checked(found)


def from_json(text: bytes) -> RegisteredModel:
    """The content of such a file. Raises InputError."""
    try:
        return msgspec.json.decode(text, type=RegisteredModel)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"registered model: {error}") from error


def make(**fields: object) -> RegisteredModel:
    """A registered model with every field checked, which the constructor alone does not. Raises InputError."""
    return _checked({"schema": SCHEMA, **fields})


def plain_fields() -> tuple[str, ...]:
    """The fields that are one property each; those without a default are required in the registry."""
    return tuple(name for name in RegisteredModel.__struct_fields__ if name != "artefacts")


def _checked(fields: Mapping[str, object]) -> RegisteredModel:
    try:
        return msgspec.convert(fields, RegisteredModel)
    except msgspec.ValidationError as error:
        raise InputError(f"registered model: {error}") from error
