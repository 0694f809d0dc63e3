"""The component's own package: found, verified, and made into offers."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from linewatch_common.errors import PackageError
from linewatch_common.manifest import Manifest, load_manifest, manifest_digest, verify_files
from linewatch_common.messages.models import ModelOffered

PACKAGE_VARIABLE = "LINEWATCH_PACKAGE"


@dataclass(frozen=True, slots=True)
class OwnPackage:
    """A verified package in an absolute folder."""

    folder: Path
    manifest: Manifest
    digest: str

    def offer(self, lease: str, *, trial: bool) -> ModelOffered:
        """A new offer, with a nonce of its own."""
        return ModelOffered(
            name=self.manifest.name,
            version=self.manifest.version,
            identifier=self.manifest.identifier,
            role=self.manifest.role,
            folder=str(self.folder),
            manifest_digest=self.digest,
            nonce=secrets.token_hex(16),
            trial=trial,
            lease=lease,
        )


def package_folder(argument: str | None, environ: Mapping[str, str]) -> Path:
    """The folder that `--package` or LINEWATCH_PACKAGE names. Raises PackageError."""
    named = argument or environ.get(PACKAGE_VARIABLE)
    if not named:
        raise PackageError(f"no model package: give --package FOLDER or set {PACKAGE_VARIABLE}")
    return Path(named).absolute()


def verified_package(folder: Path) -> OwnPackage:
    """Read the manifest and check every file against it. Raises PackageError with one line that names the file and the reason."""
    manifest = load_manifest(folder)
    verify_files(folder, manifest)
    return OwnPackage(folder, manifest, manifest_digest(folder))
