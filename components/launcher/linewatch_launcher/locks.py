"""A lock for one unpacked version: shared while a process runs from it, exclusive while it is made or removed.

The kernel holds it (flock), so a killed process or a power cut frees it. The descriptor is inherited by exec on purpose:
the component's process keeps its version from being removed without knowing of it.
"""

import contextlib
import fcntl
import os
import time
from pathlib import Path

from linewatch_launcher.errors import LauncherError

# Another process may be unpacking the same version; on the slowest card that takes a minute.
WAIT_SECONDS = 100.0
_POLL_SECONDS = 0.1


class VersionLock:
    """The lock file `path`. Not thread-safe; made for a process with one thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = -1

    def share(self) -> None:
        """Hold it with others. Raises LauncherError after WAIT_SECONDS."""
        self._wait_for(fcntl.LOCK_SH)

    def own(self) -> None:
        """Hold it alone. Raises LauncherError after WAIT_SECONDS."""
        self._wait_for(fcntl.LOCK_EX)

    def try_own(self) -> bool:
        """Hold it alone when nobody holds it now."""
        return self._try(fcntl.LOCK_EX)

    def release(self) -> None:
        """Let go; also of a lock that is not held."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def touch(self) -> None:
        """Note that the version is used now, where the disk takes it: only the order of removing depends on it."""
        with contextlib.suppress(OSError):
            os.utime(self._fd)

    def hand_over(self) -> None:
        """Let the program that this process becomes by exec keep the lock."""
        os.set_inheritable(self._fd, True)

    def _wait_for(self, kind: int) -> None:
        give_up = time.monotonic() + WAIT_SECONDS
        while not self._try(kind):
            if time.monotonic() > give_up:
                raise LauncherError(f"{self._path}: another process has held this lock for {WAIT_SECONDS:.0f} s")
            time.sleep(_POLL_SECONDS)

    def _try(self, kind: int) -> bool:
        try:
            if self._fd < 0:
                # Read-only is enough for flock, and works on a disk that the kernel has made read-only after an error.
                self._fd = os.open(self._path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._fd, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            raise LauncherError(f"{self._path}: cannot lock: {error.strerror}") from error
        if self._is_current():
            return True
        self.release()
        return False

    def _is_current(self) -> bool:
        """False when the file was removed and perhaps made anew between our open and our lock."""
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return False
        return there.st_ino == os.fstat(self._fd).st_ino
