"""The unpacked versions in a component's work folder: `bundles/<version>-<digest>/` and a lock file beside each.

A version is unpacked beside, flushed to the disk, then renamed: a folder that has its final name is whole, whatever was killed or
cut off before. A version that a process runs from is never touched.
"""

import ctypes
import logging
import os
import shutil
import time
import zipfile
import zlib
from pathlib import Path

from linewatch_launcher.bundle import Bundle, is_whole
from linewatch_launcher.errors import LauncherError
from linewatch_launcher.locks import VersionLock

log = logging.getLogger(__name__)

BUNDLES = "bundles"
# The old version may still be running (lite), and it is the way back after a bad one.
KEEP_OTHERS = 1
# Left free for everybody else on the device.
SPARE_BYTES = 32 * 1024 * 1024
MEGABYTE = 1_000_000


class Store:
    """The versions under `work`."""

    def __init__(self, work: Path) -> None:
        self._root = work / BUNDLES

    def hold(self, archive: Path, bundle: Bundle) -> tuple[Path, VersionLock]:
        """The whole folder of `bundle`, unpacked from `archive` when needed, and a shared lock on it. Raises LauncherError."""
        self._make_root()
        folder = self._root / bundle.folder_name
        lock = self._lock(folder.name)
        lock.share()
        if not is_whole(folder, bundle):
            lock.own()
            if not is_whole(folder, bundle):
                self._unpack(archive, bundle, folder)
            lock.share()
        lock.touch()
        return folder, lock

    def remove_others(self, current: Bundle) -> None:
        """Remove the versions that are neither current, nor the one used last before it, nor in use. What cannot go stays."""
        by_use = sorted(self._names() - {current.folder_name}, key=self._last_used, reverse=True)
        for name in by_use[KEEP_OTHERS:]:
            self._remove(name)

    def _names(self) -> set[str]:
        """Every version of which there is something, whole or not."""
        folders = [path.name for path in self._root.glob("*-*") if path.is_dir()]
        return {name.removeprefix(".").removesuffix(".part") for name in folders}

    def _make_root(self) -> None:
        try:
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise LauncherError(f"{self._root}: cannot make the folder: {error.strerror}") from error

    def _lock(self, name: str) -> VersionLock:
        return VersionLock(self._root / f"{name}.lock")

    def _last_used(self, name: str) -> float:
        try:
            return (self._root / f"{name}.lock").stat().st_mtime
        except OSError:
            return 0.0

    def _unpack(self, archive: Path, bundle: Bundle, folder: Path) -> None:
        part = folder.with_name(f".{folder.name}.part")
        began = time.monotonic()
        try:
            _remove_tree(part)
            _remove_tree(folder)
            self._check_space(bundle)
            with zipfile.ZipFile(archive) as packed:
                packed.extractall(part)
            _check_whole(part, bundle, archive)
            _flush(part)
            part.rename(folder)
            _flush(self._root)
        except (OSError, zipfile.BadZipFile, zlib.error) as error:
            _remove_quietly(part)
            reason = error.strerror if isinstance(error, OSError) and error.strerror else error
            raise LauncherError(f"{bundle}: cannot unpack {archive} into {folder}: {reason}") from error
        except LauncherError:
            _remove_quietly(part)
            raise
        seconds = time.monotonic() - began
        log.info("%s: unpacked %.0f MB in %.1f s into %s", bundle, bundle.size / MEGABYTE, seconds, folder)

    def _check_space(self, bundle: Bundle) -> None:
        """A disk that cannot hold the version is not filled first."""
        disk = os.statvfs(self._root)
        free = disk.f_bavail * disk.f_frsize
        if free < bundle.size + SPARE_BYTES:
            raise LauncherError(
                f"{bundle}: {self._root} has {free / MEGABYTE:.0f} MB free, "
                f"unpacking needs {(bundle.size + SPARE_BYTES) / MEGABYTE:.0f} MB"
            )

    def _remove(self, name: str) -> None:
        lock = self._lock(name)
        try:
            if not lock.try_own():
                log.info("%s is in use and stays", self._root / name)
                return
            for folder in (self._root / f".{name}.part", self._root / name):
                _remove_tree(folder)
            (self._root / f"{name}.lock").unlink(missing_ok=True)
            log.info("removed the older version %s", self._root / name)
        except (OSError, LauncherError) as error:
            log.warning("%s: cannot remove this older version: %s", self._root / name, error)
        finally:
            lock.release()


def _check_whole(folder: Path, bundle: Bundle, archive: Path) -> None:
    if not is_whole(folder, bundle):
        raise LauncherError(f"{archive}: its files do not match its description; get the artefact again")


def _remove_tree(folder: Path) -> None:
    """Remove `folder` with all it holds; a missing one is fine. Renamed first, so that no half of it keeps its name."""
    doomed = folder.with_name(f".{folder.name.lstrip('.').removesuffix('.part')}.part")
    if folder != doomed and folder.exists():
        shutil.rmtree(doomed, ignore_errors=True)
        folder.rename(doomed)
    if doomed.exists():
        shutil.rmtree(doomed)


def _remove_quietly(folder: Path) -> None:
    """After a failure: the reason that is already on its way matters more than a leftover, which the next start removes."""
    shutil.rmtree(folder, ignore_errors=True)


def _flush(folder: Path) -> None:
    """Bring the file system of `folder` to the disk: one call instead of an fsync for each of thousands of files."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(fd) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
    finally:
        os.close(fd)
