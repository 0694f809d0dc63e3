"""The agent's own verified copies of model packages: `models/<identifier>/<first digits of the digest>/package`.

A package's signature lies beside it, as where it came from (linewatch_common.approval), and is verified again with every use.

A runtime may remove a component and its artefacts after a refused update, and a power cut must not leave the line without a model.
"""

import logging
import os
import secrets
import shutil
import stat
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from linewatch_common.approval import MAX_BYTES, PACKAGE_FOLDER, is_enveloped, signature_of
from linewatch_common.errors import PackageError, StorageError
from linewatch_common.files import sync_folder
from linewatch_common.manifest import MANIFEST_FILE, Manifest, manifest_digest, refuse_strangers

from linewatch_agent.trust import Trust

log = logging.getLogger(__name__)

_INCOMING = ".incoming-"
_COPY_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class StoredPackage:
    """A copy whose every byte was verified. `fresh`: it was made just now."""

    folder: Path
    manifest: Manifest
    digest: str
    fresh: bool


class PackageStore:
    """Used by one thread. A package of more than `limit_bytes` is refused before it is copied."""

    def __init__(self, root: Path, limit_bytes: int, trust: Trust) -> None:
        self._root = root
        self._limit_bytes = limit_bytes
        self._trust = trust

    def manifest_of(self, folder: Path) -> Manifest:
        """The manifest of the package in `folder`, once its signature was found good. Raises PackageError."""
        return self._trust.manifest_of(folder)

    def take(self, folder: Path, digest: str) -> StoredPackage:
        """Copy the package in `folder` and verify the copy; a good copy that is there already is used as it is.

        Raises PackageError when the package is not the one of `digest` or not what its manifest says, StorageError.
        """
        manifest = self._trust.manifest_of(folder)
        refuse_strangers(folder, manifest)  # they would not be copied, but what was approved has none
        target = self._place(manifest.identifier, digest)
        try:
            return self.verified(target, digest)
        except PackageError:
            _remove(target)  # a broken copy, one without the signature that it needs by now, or none
        incoming = self._root / f"{_INCOMING}{secrets.token_hex(8)}" / PACKAGE_FOLDER
        try:
            self._copy(folder, manifest, incoming)
            copied = self.verified(incoming, digest)
            _move(incoming, target)
        except BaseException:
            _remove(incoming)
            raise
        return StoredPackage(target, copied.manifest, digest, fresh=True)

    def verified(self, folder: Path, digest: str) -> StoredPackage:
        """The package in `folder` when it is complete, unchanged and the one of `digest`. Raises PackageError."""
        manifest = self._trust.manifest_of(folder)
        actual = manifest_digest(folder)
        if actual != digest:
            raise PackageError(f"{folder}: its manifest has the digest {actual}, expected {digest}")
        self._trust.verified(folder)
        return StoredPackage(folder, manifest, digest, fresh=False)

    def in_service(self, folder: Path) -> None:
        """The package in `folder` serves a role by now."""
        self._trust.note(folder)

    def drop(self, folder: Path) -> None:
        """Remove a copy."""
        _remove(folder)

    def sweep(self, keep: Collection[Path]) -> None:
        """Remove every copy but those in `keep`: what a kill left half done or unused."""
        if not self._root.is_dir():
            return
        for place in self._root.iterdir():
            if place.name.startswith(_INCOMING):
                _remove(place)
                continue
            for copy in place.iterdir() if place.is_dir() else ():
                if copy not in keep and copy / PACKAGE_FOLDER not in keep:
                    log.info("package copy %s is not in use: removed", copy)
                    _remove(copy)

    def _place(self, identifier: str, digest: str) -> Path:
        return self._root / identifier / digest.removeprefix("sha256:")[:16] / PACKAGE_FOLDER

    def _copy(self, folder: Path, manifest: Manifest, incoming: Path) -> None:
        left = self._limit_bytes
        for name in (MANIFEST_FILE, *manifest.files):
            left -= self._copy_file(folder / name, incoming / name, left)
        if is_enveloped(folder):
            self._copy_file(signature_of(folder), signature_of(incoming), MAX_BYTES)
        try:
            for place in {incoming.parent, incoming, *((incoming / name).parent for name in manifest.files)}:
                sync_folder(place)
        except OSError as error:
            raise StorageError(f"{incoming}: cannot be made durable: {error.strerror}") from error

    def _copy_file(self, source: Path, target: Path, left: int) -> int:
        """Copy durably; returns the bytes copied. Raises PackageError for the source, StorageError for the target."""
        try:
            # Opening a pipe must not wait for its writer.
            fd = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError as error:
            raise PackageError(f"{source}: {error.strerror}") from error
        with os.fdopen(fd, "rb") as file:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise PackageError(f"{source}: is not a regular file")
            size = os.fstat(fd).st_size
            if size > left:
                raise PackageError(
                    f"{source}: with {size} bytes the package is over {self._limit_bytes} bytes (MemoryBudgetMB)"
                )
            try:
                target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                with target.open("wb") as copy:
                    shutil.copyfileobj(file, copy, _COPY_BYTES)
                    copy.flush()
                    os.fsync(copy.fileno())
            except OSError as error:
                raise StorageError(f"{target}: cannot keep a copy of {source.name}: {error.strerror}") from error
        return size


def _move(incoming: Path, target: Path) -> None:
    try:
        place = target.parent
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        incoming.parent.rename(place)
        sync_folder(place.parent)
        sync_folder(place.parent.parent)
    except OSError as error:
        raise StorageError(f"{target}: cannot keep the package here: {error.strerror}") from error


def _remove(folder: Path) -> None:
    """A copy: the folder that holds the package and its signature. Copies from before there were signatures have no such folder."""
    place = folder.parent if folder.name == PACKAGE_FOLDER else folder
    shutil.rmtree(place, ignore_errors=True)
    try:
        place.parent.rmdir()
    except OSError:
        return  # not empty: other versions' copies, or the store itself
