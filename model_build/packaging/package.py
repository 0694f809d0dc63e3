"""Makes the signed artefact: complete and verified, or not there at all."""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
from linewatch_common.errors import InputError, PackageError, StorageError
from linewatch_common.files import write_atomically
from linewatch_common.manifest import MANIFEST_FILE, file_sha256, identifier, load_manifest
from linewatch_vision.golden import read_golden

from model_build.data.pixels import read_bounded
from model_build.packaging.envelope import PACKAGE_FOLDER, SIGNATURE_FILE, approve, sign, verify, version_key
from model_build.packaging.keys import PrivateKey, key_id

_MAX_MANIFEST_BYTES = 1024 * 1024


def make(source: Path, out: Path, key: PrivateKey, approver: str, approved_at: str) -> tuple[Path, str]:
    """Sign the package whose files and draft manifest lie in `source`; returns `out/<identifier>` and the package's digest.

    The draft's `files` are filled in. A retry gives back the stored artefact, signature and all; the same version with other
    content, and a version below one that is stored, are refused. Raises InputError (PackageError), StorageError.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=out, prefix=".new-") as work:
            place = Path(work) / "artefact"
            manifest = _complete(source, place / PACKAGE_FOLDER)
            approval = approve(place / PACKAGE_FOLDER, approver, approved_at)
            target = out / identifier(*manifest)
            if target.exists():
                return target, _stored(target, approval.digest, key)
            _refuse_older(out, *manifest)
            write_atomically(place / SIGNATURE_FILE, sign(approval, key), 0o644)
            verify(place, {key_id(key.public_key()): key.public_key()})
            place.rename(target)
            return target, approval.digest
    except msgspec.ValidationError as error:
        raise InputError(f"approver {approver!r} at {approved_at!r}: {error}") from error
    except OSError as error:
        raise StorageError(f"{out}: {error.strerror}: {error.filename}") from error


def _complete(source: Path, folder: Path) -> tuple[str, str]:
    """Copy the files and write the manifest with their digests; returns name and version. Raises PackageError."""
    draft = _draft(source / MANIFEST_FILE)
    files: dict[str, str] = {}
    for path in sorted(source.rglob("*")):
        name = path.relative_to(source).as_posix()
        if path.is_symlink():
            raise PackageError(f"{source}: {name!r} is a symbolic link")
        if path.is_dir() or name == MANIFEST_FILE:
            continue
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder / name)
        files[name] = file_sha256(folder / name)
    named = {str(draft.get("model")), str(_golden_file(draft))}
    for name in sorted(set(files) - named):
        raise PackageError(f"{source}: file {name!r} is extra: the manifest names only {sorted(named)}")
    text = msgspec.json.encode(draft | {"files": files, "signature": None}, order="sorted")
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / MANIFEST_FILE, msgspec.json.format(text, indent=2) + b"\n", 0o644)
    manifest = load_manifest(folder)
    read_golden(folder, manifest)
    return manifest.name, manifest.version


def _draft(path: Path) -> dict[str, Any]:
    try:
        return msgspec.json.decode(read_bounded(path, _MAX_MANIFEST_BYTES), type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise PackageError(f"{path}: {error}") from error


def _golden_file(draft: dict[str, Any]) -> object:
    golden = draft.get("golden")
    return golden.get("file") if isinstance(golden, dict) else None


def _stored(target: Path, digest: str, key: PrivateKey) -> str:
    approval, _ = verify(target, {key_id(key.public_key()): key.public_key()})
    if approval.digest != digest:
        raise PackageError(
            f"{target}: this version was published with other content, give the new one a higher version"
        )
    return digest


def _refuse_older(out: Path, name: str, version: str) -> None:
    for path in sorted(out.glob(f"*/{PACKAGE_FOLDER}")):
        stored = load_manifest(path)
        if stored.name == name and version_key(stored.version) > version_key(version):
            raise PackageError(f"{out}: {name} {version} is older than the stored {stored.version}")
