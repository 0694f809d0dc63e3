"""The folder of all packages: each complete and verified, or not there at all."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
from linewatch_common.approval import PACKAGE_FOLDER, SIGNATURE_FILE, is_enveloped, version_key
from linewatch_common.errors import InputError, PackageError, StorageError
from linewatch_common.files import sync_folder, sync_tree, write_atomically
from linewatch_common.manifest import Manifest, identifier, load_manifest, manifest_digest, verify_files
from linewatch_vision.golden import read_golden

from model_build.packaging.envelope import approve, sign, verify
from model_build.packaging.keys import PrivateKey, id_of, trusting

Fill = Callable[[Path], Manifest]
Check = Callable[[Path, Manifest, Manifest | None], Manifest]


@dataclass(frozen=True, slots=True)
class Signing:
    """Who approves, when, with which key, and below which version nothing may be used any more."""

    key: PrivateKey
    approver: str
    approved_at: str
    security_floor: str | None = None


@dataclass(frozen=True, slots=True)
class Stored:
    """A package in its place, `out/<identifier>`; `digest` is its identity, `key` the id of the key that signed it."""

    place: Path
    manifest: Manifest
    digest: str
    key: str | None


def no_check(_folder: Path, manifest: Manifest, _previous: Manifest | None) -> Manifest:
    """The version stays as it is."""
    return manifest


def store(out: Path, fill: Fill, signing: Signing | None, check: Check = no_check) -> Stored:
    """Have `fill` write a package, sign it, and put it into `out`.

    `check` may change the version, knowing the highest one of that name in `out`; it is not asked about content that is stored. A
    retry gives back what is stored, signature and all. The same version with other content, and a version below a stored one, are
    refused. Raises InputError (PackageError), StorageError.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=out, prefix=".new-") as work:
            place = Path(work) / "artefact"
            folder = place / PACKAGE_FOLDER
            folder.mkdir(parents=True)
            manifest = fill(folder)
            if not (out / manifest.identifier).exists():
                manifest = check(folder, manifest, newest(out, manifest.name))
            verify_files(folder, manifest)
            read_golden(folder, manifest)
            return _placed(place, out, manifest, signing)
    except msgspec.ValidationError as error:
        raise InputError(f"the approval: {error}") from error
    except OSError as error:
        raise StorageError(f"{out}: {error.strerror}: {error.filename}") from error


def all_versions(out: Path, name: str) -> list[Manifest]:
    """The packages of that name in `out`, the lowest version first. Raises PackageError when one cannot be read."""
    found = [load_manifest(path) for path in sorted(out.glob(f"{name}-*/{PACKAGE_FOLDER}"))]
    return sorted((one for one in found if one.name == name), key=lambda one: version_key(one.version))


def newest(out: Path, name: str) -> Manifest | None:
    """The package of that name with the highest version in `out`."""
    return next(reversed(all_versions(out, name)), None)


def _placed(place: Path, out: Path, manifest: Manifest, signing: Signing | None) -> Stored:
    target, digest = out / identifier(manifest.name, manifest.version), manifest_digest(place / PACKAGE_FOLDER)
    if target.exists():
        return _stored(target, digest, signing)
    before = newest(out, manifest.name)
    if before is not None and version_key(before.version) > version_key(manifest.version):
        raise PackageError(f"{out}: {manifest.name} {manifest.version} is older than the stored {before.version}")
    key = _signed(place, signing)
    sync_tree(place)
    place.rename(target)
    sync_folder(out)
    return Stored(target, manifest, digest, key)


def _stored(target: Path, digest: str, signing: Signing | None) -> Stored:
    folder = target / PACKAGE_FOLDER
    manifest = load_manifest(folder)
    verify_files(folder, manifest)
    if manifest_digest(folder) != digest:
        raise PackageError(
            f"{target}: this version was published with other content, give the new one a higher version"
        )
    return Stored(target, manifest, digest, _signed(target, signing))


def _signed(place: Path, signing: Signing | None) -> str | None:
    """Sign what is not signed yet; what is must be by the same key, with the floor that is asked. Returns the key's id."""
    if signing is None:
        return None
    public = signing.key.public_key()
    if not is_enveloped(place / PACKAGE_FOLDER):
        approval = approve(place / PACKAGE_FOLDER, signing.approver, signing.approved_at, signing.security_floor)
        write_atomically(place / SIGNATURE_FILE, sign(approval, signing.key), 0o644)
    approval, _ = verify(place, trusting(public))
    if signing.security_floor not in (None, approval.security_floor):
        raise PackageError(
            f"{place}: is signed already, with security floor {approval.security_floor or 'none'}; sign a higher version with the new one"
        )
    return id_of(public)


def copy_files(source: Path, folder: Path, names: list[str]) -> None:
    """Copy these files of `source`, in folders below it too. Raises PackageError for a link, OSError."""
    for name in names:
        if (source / name).is_symlink():
            raise PackageError(f"{source}: {name!r} is a symbolic link")
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, folder / name)
