"""Unix sockets by path: whether one can be bound, and who may use it."""

import grp
import os
import shutil
import socket
import stat
import time
from dataclasses import dataclass
from pathlib import Path

from linewatch_common.errors import ConfigError
from linewatch_common.files import MAX_SOCKET_PATH_BYTES

# A connect to a local socket is answered at once, or never.
CONNECT_SECONDS = 1.0
# Our predecessor may still be closing down.
PREDECESSOR_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Listener:
    """A socket to serve on: absolute path, mode, and the group that owns it ("" leaves it)."""

    path: Path
    mode: int = 0o600
    group: str = ""


def check_length(path: Path) -> None:
    """Raises ConfigError when the kernel cannot bind `path`."""
    length = len(os.fsencode(path))
    if length > MAX_SOCKET_PATH_BYTES:
        raise ConfigError(
            f"socket {path}: the path is {length} bytes long, a unix socket takes {MAX_SOCKET_PATH_BYTES}; choose a shorter one"
        )


def check_group(group: str) -> None:
    """Raises ConfigError when there is no such group; "" is no group."""
    try:
        if group:
            grp.getgrnam(group)
    except KeyError as error:
        raise ConfigError(f"UnixSocketGroup: there is no group {group!r} on this machine") from error


def make_free(path: Path, patience: float = PREDECESSOR_SECONDS) -> None:
    """Make `path` ready to be bound: a stale socket is removed, one that is served is waited for, `patience` seconds.

    Raises ConfigError with one line when the path is too long, its folder is missing, something else lies there, or somebody serves it.
    """
    check_length(path)
    if not path.parent.is_dir():
        raise ConfigError(f"socket {path}: its folder does not exist")
    give_up = time.monotonic() + patience
    while _is_served(path):
        if time.monotonic() > give_up:
            raise ConfigError(f"socket {path}: another process serves it; stop that one, or choose another path")
        time.sleep(0.1)
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(f"socket {path}: the stale socket cannot be removed: {error.strerror}") from error


def set_access(listener: Listener) -> None:
    """Give a bound socket its group and mode. Raises ConfigError."""
    check_group(listener.group)
    try:
        if listener.group:
            shutil.chown(listener.path, group=listener.group)
        listener.path.chmod(listener.mode)
    except OSError as error:
        raise ConfigError(f"socket {listener.path}: cannot set group and mode: {error.strerror}") from error


def _is_served(path: Path) -> bool:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return False
    except OSError as error:
        raise ConfigError(f"socket {path}: {error.strerror}") from error
    if not stat.S_ISSOCK(mode):
        raise ConfigError(f"socket {path}: something that is not a socket lies there; it is not removed")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(CONNECT_SECONDS)
        try:
            probe.connect(os.fspath(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            return True  # a full backlog or no permission: somebody is there
        return True
