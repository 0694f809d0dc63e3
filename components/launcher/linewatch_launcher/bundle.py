"""What an artefact is: the description that the build put into it, and the checks against it."""

import json
import os
import platform
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

from linewatch_launcher.errors import LauncherError, WrongHostError

# Written last by the build and unpacked last by whoever unpacks in order: where it stands, the rest stands too.
DESCRIPTION = "bundle.json"
LIBRARIES = "lib"
PACKAGE = "package"

_ARCHITECTURES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "aarch64", "arm64": "aarch64"}


@dataclass(frozen=True, slots=True)
class Bundle:
    """The description of one artefact. `digest` covers every file's name and content; `files` and `size` count them."""

    component: str
    version: str
    module: str
    python: str
    architecture: str
    glibc: str
    installs: bool
    digest: str
    files: int
    size: int

    @property
    def folder_name(self) -> str:
        """The name of its unpacked folder: another content is another folder, even under the same version."""
        return f"{self.version}-{self.digest[:12]}"

    def __str__(self) -> str:
        return f"{self.component} {self.version}"


def read_bundle(source: Path) -> Bundle:
    """The description in `source`, a zip or an unpacked folder. Raises LauncherError."""
    try:
        if source.is_dir():
            raw = (source / DESCRIPTION).read_bytes()
        else:
            with zipfile.ZipFile(source) as archive:
                raw = archive.read(DESCRIPTION)
        return Bundle(**json.loads(raw))
    except (OSError, KeyError, ValueError, TypeError, zipfile.BadZipFile) as error:
        raise LauncherError(f"{source}: no linewatch artefact: {error}") from error


def check_host(bundle: Bundle) -> None:
    """Raises WrongHostError when the interpreter, the processor or the C library is not what the artefact was built for."""
    python = f"{sys.version_info[0]}.{sys.version_info[1]}"
    if python != bundle.python:
        raise WrongHostError(
            f"{bundle} was built for Python {bundle.python}, this is {python} ({sys.executable}): "
            f"start it with python{bundle.python}, or build with PYTHON={python}"
        )
    machine = platform.machine()
    if _ARCHITECTURES.get(machine.lower()) != bundle.architecture:
        raise WrongHostError(f"{bundle} was built for {bundle.architecture}, this machine is {machine}")
    _check_glibc(bundle)


def _check_glibc(bundle: Bundle) -> None:
    library, found = platform.libc_ver()
    if library != "glibc":
        raise WrongHostError(
            f"{bundle} needs glibc {bundle.glibc} or later, this system has {library or 'another libc'}"
        )
    if _numbers(found) < _numbers(bundle.glibc):
        raise WrongHostError(f"{bundle} needs glibc {bundle.glibc} or later, this system has {found}")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def is_whole(folder: Path, bundle: Bundle) -> bool:
    """True when `folder` holds exactly this artefact: same digest, and as many files and bytes as were packed."""
    try:
        if read_bundle(folder) != bundle:
            return False
    except LauncherError:
        return False
    files, size = _count(folder)
    return (files, size) == (bundle.files, bundle.size)


def _count(folder: Path) -> tuple[int, int]:
    """Number and bytes of the files below `folder`, without the description and Python's own caches."""
    files = size = 0
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != "__pycache__"]
        for name in names:
            files += 1
            size += os.lstat(os.path.join(parent, name)).st_size  # noqa: PTH118 - thousands of files at every start
    return files - 1, size - (folder / DESCRIPTION).stat().st_size
