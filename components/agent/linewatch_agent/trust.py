"""Whose packages this agent runs: signatures by trusted keys, and versions that have been declared unsafe."""

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import msgspec
from linewatch_common.approval import Approval, Keys, approved, is_enveloped, verify_approved, version_key
from linewatch_common.errors import PackageError, StorageError
from linewatch_common.files import write_atomically
from linewatch_common.manifest import Manifest, Name, Version, load_manifest, verify_files

log = logging.getLogger(__name__)


class NoKeys:
    """Nothing is trusted; see linewatch_common.approval.Keys."""

    def knows(self, key: str) -> bool:  # noqa: ARG002 - none
        """See Keys."""
        return False

    def is_signed(self, key: str, message: bytes, value: bytes) -> bool:  # noqa: ARG002 - none
        """See Keys."""
        return False


class _Content(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    schema: Literal["linewatch.SecurityFloors/1"] = "linewatch.SecurityFloors/1"
    floors: dict[Name, Version]


class FloorFile:
    """`security-floors.json`: by model the version below which nothing may run. It only ever rises."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> dict[str, str]:
        """Empty when nothing was ever declared.

        What cannot be read is said and counts as empty: the line must run, and the next signed package says it again.
        """
        try:
            return dict(msgspec.json.decode(self._path.read_bytes(), type=_Content).floors)
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            log.warning("%s: no security floor is known until a signed package names one: %s", self._path, error)
            return {}

    def raise_to(self, approval: Approval) -> None:
        """Remember the floor that `approval` declares, when it is higher than what is known. Raises StorageError."""
        known, floor = self.read(), approval.security_floor
        if floor is None or version_key(floor) <= version_key(known.get(approval.name, "0.0.0")):
            return
        log.info(
            "model %s: no version below %s will be used any more, says %s", approval.name, floor, approval.approver
        )
        known[approval.name] = floor
        write_atomically(self._path, msgspec.json.format(msgspec.json.encode(_Content(floors=known)), indent=2))


@dataclass(frozen=True, slots=True)
class Trust:
    """`keys` are trusted. A signature that is there must be good; with `required` it must be there. `floors` None: none are kept."""

    keys: Keys = field(default_factory=NoKeys)
    required: bool = False
    floors: FloorFile | None = None

    def manifest_of(self, folder: Path) -> Manifest:
        """The package's manifest, read only after its signature was found good. No other file is checked. Raises PackageError."""
        approval = self.approval_of(folder)
        manifest = load_manifest(folder)
        if approval is not None and (manifest.name, manifest.version) != (approval.name, approval.version):
            raise PackageError(
                f"{folder}: holds {manifest.name} {manifest.version}, approved is {approval.name} {approval.version}"
            )
        floor = self.floors.read().get(manifest.name) if self.floors is not None else None
        if floor is not None and version_key(manifest.version) < version_key(floor):
            raise PackageError(
                f"{folder}: {manifest.name} {manifest.version} is older than {floor}, the oldest version that is still safe "
                "(a signed package said so)"
            )
        return manifest

    def verified(self, folder: Path) -> Manifest:
        """The same, with every file checked. Raises PackageError."""
        manifest = self.manifest_of(folder)
        approval = self.approval_of(folder)
        if approval is None:
            verify_files(folder, manifest)
            return manifest
        return verify_approved(folder, approval)

    def approval_of(self, folder: Path) -> Approval | None:
        """What the signature beside the package says; None for an unsigned package where that is allowed. Raises PackageError."""
        if is_enveloped(folder):
            return approved(folder, self.keys)
        if self.required:
            raise PackageError(f"{folder}: is not signed, and RequireSignature is on")
        return None

    def refuse_bare(self, folder: Path) -> None:
        """A folder without a manifest cannot be signed. Raises PackageError where it must be."""
        if self.required:
            raise PackageError(f"{folder}: is no linewatch package, so it is not signed, and RequireSignature is on")

    def note(self, folder: Path) -> None:
        """The package in `folder` is in service: what it says about older versions counts from now on.

        What cannot be written is said and not lost: the package says it again at the next start.
        """
        try:
            approval = self.approval_of(folder)
            if approval is not None and self.floors is not None:
                self.floors.raise_to(approval)
        except (PackageError, StorageError) as error:
            log.warning("a security floor is not noted: %s", error)
