"""What is kept of a release, below `releases/<release>/` in the fleet's bucket: each file is written by one step.

release.json    by the starter, once: a second event finds it
admitted.json   what was registered and approved
source.json     what Neo is to compile, where the account asks for it; neo/ has its input and result
evaluation.json how the compiled artefact did before the gate
signature.json  the approval's signature, kept so that a second try builds the same bytes
component.json  the built component version
failure.json    why the job refused the package
outcome.json    how the release ended, and why
"""

import hashlib
from typing import TypeVar

import msgspec
from linewatch_common.errors import InputError
from msgspec import Struct

from model_build.fleet.errors import FleetInputError, NotFoundError
from model_build.fleet.store import StateStore
from model_build.pipelines.registered import RegisteredModel

T = TypeVar("T", bound=Struct)
_MAX_GROUP = 40  # an execution's name, with the chapter's number at its end, may have 80


class Release(Struct, frozen=True, kw_only=True, tag_field="schema", tag="linewatch.Release/1"):
    """An approval, as its event told of it. `properties`: the registry's at that moment, None when the event did not say."""

    release: str
    model_package: str
    approved_at: str
    properties: dict[str, str] | None = None


class Admitted(Struct, frozen=True, kw_only=True, tag_field="schema", tag="linewatch.AdmittedRelease/1"):
    """What is to be signed and deployed."""

    release: str
    approver: str
    approved_at: str
    registered: RegisteredModel


class BuiltRecord(Struct, frozen=True, kw_only=True, tag_field="schema", tag="linewatch.BuiltComponent/1"):
    """The component version whose artefacts are in S3. `recipe` is the text to create it with."""

    name: str
    version: str
    recipe: str
    content: str
    key: str  # id of the key that signed the package


class CompiledVerdict(Struct, frozen=True, kw_only=True, tag_field="schema", tag="linewatch.CompiledVerdict/1"):
    """How the gate judged what Neo made; `refusals` is empty when it passed."""

    artefact: str
    sha256: str
    refusals: list[str]


class Failure(Struct, frozen=True, kw_only=True):
    """Why a job refused."""

    reason: str


class Outcome(Struct, frozen=True, kw_only=True, tag_field="schema", tag="linewatch.ReleaseOutcome/1"):
    """How a release ended. `status`: deployed, refused (no device was touched), rolled back, held, foreign revision, incomplete."""

    release: str
    model_package: str
    status: str
    ended: str
    reason: str = ""
    error: str = ""
    component: str = ""
    version: str = ""
    plan: str = ""
    ring: str = ""
    rings: list[dict[str, str]] = []
    note: str = ""  # that the approved model was deployed as it is, though compiling it was asked for


def release_of(model_package: str) -> str:
    """The release's name, which is its execution's too: the same for the same model package. Raises FleetInputError."""
    parts = model_package.split(":", 5)[-1].split("/")
    if len(parts) != 3 or parts[0] != "model-package" or not parts[2].isdigit():
        raise FleetInputError(f"{model_package!r} is no version in a model package group")
    digest = hashlib.sha256(model_package.encode()).hexdigest()[:8]
    return f"{parts[1][:_MAX_GROUP]}-{parts[2]}-{digest}"


def read(store: StateStore, release: str, name: str, kind: type[T]) -> T:
    """A record. Raises NotFoundError, InputError."""
    key = f"{release}/{name}"
    found = store.read(key)
    if found is None:
        raise NotFoundError(f"{store.address}{key} does not exist")
    try:
        return msgspec.json.decode(found[0], type=kind)
    except msgspec.MsgspecError as error:
        raise InputError(f"{store.address}{key}: {error}") from error


def write(store: StateStore, release: str, name: str, record: Struct) -> None:
    """Write it over what is there."""
    store.write(f"{release}/{name}", msgspec.json.format(msgspec.json.encode(record, order="sorted"), indent=1) + b"\n")
