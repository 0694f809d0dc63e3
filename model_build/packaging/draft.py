"""A package from a folder with its files and a draft of its manifest, whose `files` are filled in."""

from pathlib import Path
from typing import Any

import msgspec
from linewatch_common.errors import PackageError
from linewatch_common.files import write_atomically
from linewatch_common.manifest import MANIFEST_FILE, Manifest, file_sha256, load_manifest

from model_build.data.pixels import read_bounded
from model_build.packaging.package import copy_files

_MAX_MANIFEST_BYTES = 1024 * 1024


def complete(source: Path, folder: Path) -> Manifest:
    """Copy the files of `source` into `folder` and write the manifest with their digests.

    Raises PackageError for a link, for a file that the draft does not name, and as `load_manifest`.
    """
    draft = _draft(source / MANIFEST_FILE)
    names = sorted(
        path.relative_to(source).as_posix() for path in source.rglob("*") if not path.is_dir() or path.is_symlink()
    )
    names.remove(MANIFEST_FILE)
    copy_files(source, folder, names)
    named = _named(draft, names)
    for name in names:
        if name not in named:
            raise PackageError(f"{source}: file {name!r} is extra: the manifest names only {sorted(named)}")
    return write_manifest(folder, draft)


def write_manifest(folder: Path, fields: dict[str, Any]) -> Manifest:
    """Write the manifest of the files that lie in `folder`, the same byte for byte from the same fields. Raises PackageError."""
    files = {
        path.relative_to(folder).as_posix(): file_sha256(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path != folder / MANIFEST_FILE
    }
    text = msgspec.json.encode(fields | {"files": files, "signature": None}, order="sorted")
    write_atomically(folder / MANIFEST_FILE, msgspec.json.format(text, indent=2) + b"\n", 0o644)
    return load_manifest(folder)


def with_version(folder: Path, version: str) -> Manifest:
    """Give the package in `folder` another version."""
    return write_manifest(folder, _draft(folder / MANIFEST_FILE) | {"version": version})


def _draft(path: Path) -> dict[str, Any]:
    try:
        return msgspec.json.decode(read_bounded(path, _MAX_MANIFEST_BYTES), type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise PackageError(f"{path}: {error}") from error


def _named(draft: dict[str, Any], names: list[str]) -> set[str]:
    """What the draft names; a network's weights are beside it, and a Neo result is all files but golden set and ignore mask."""
    golden, preparation, model = draft.get("golden"), draft.get("preparation"), str(draft.get("model"))
    named = {model}
    if isinstance(golden, dict):
        named.add(str(golden.get("file")))
    if isinstance(preparation, dict) and preparation.get("ignore") is not None:
        named.add(str(preparation["ignore"]))
    if draft.get("format") == "openvino":
        named.add(model.removesuffix(".xml") + ".bin")
    if draft.get("format") == "neo":
        named |= {name for name in names if name.rpartition("/")[0] == model.rpartition("/")[0]}
    return named
