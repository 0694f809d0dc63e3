"""How the component's own process is started: arguments, environment, byte-code cache."""

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from linewatch_launcher.bundle import LIBRARIES, PACKAGE, Bundle
from linewatch_launcher.errors import LauncherError

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
PYCACHE = "pycache"


def command(bundle: Bundle, step: str) -> list[str]:
    """The component's process. -S -s -P: nothing is imported but the standard library and what the artefact brings."""
    return [sys.executable, "-S", "-s", "-P", "-u", "-m", bundle.module, step]


def environment(bundle: Bundle, folder: Path, work: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """The runtime's variables without Python's, and ours."""
    result = _without_python(environ)
    result |= {
        "PYTHONPATH": str(folder / LIBRARIES),
        "PYTHONPYCACHEPREFIX": str(_byte_code(bundle, work)),
        "PYTHONFAULTHANDLER": "1",  # a crash in native code leaves its stack in the log
        "LINEWATCH_WORK": str(work),
        "LINEWATCH_COMPONENT": bundle.component,
        "LINEWATCH_VERSION": bundle.version,
    }
    return result | _package(folder)


def selfcheck_environment(folder: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """As `environment`, for a check that writes nothing."""
    result = _without_python(environ)
    result |= {"PYTHONPATH": str(folder / LIBRARIES), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONFAULTHANDLER": "1"}
    return result | _package(folder)


def replace_process(arguments: list[str], environ: dict[str, str]) -> None:
    """Become that program: same process, so the runtime's token and signals reach it. Raises LauncherError."""
    sys.stdout.flush()
    try:
        os.execve(arguments[0], arguments, environ)  # noqa: S606 - the component's own code
    except OSError as error:
        raise LauncherError(f"{arguments[0]}: cannot start it: {error.strerror}") from error


def remove_old_byte_code(bundle: Bundle, work: Path) -> None:
    """Remove the caches of other versions and of other boots."""
    current = _byte_code(bundle, work)
    if current.parent.is_dir():
        for folder in current.parent.iterdir():
            if folder != current:
                shutil.rmtree(folder, ignore_errors=True)


def _byte_code(bundle: Bundle, work: Path) -> Path:
    """Python does not flush the byte code it writes: after a power cut a file may be cut off, which fails every import of it.
    A cache of its own for each boot cannot be.
    """
    try:
        boot = _BOOT_ID.read_text()[:8]
    except OSError:
        boot = "boot"
    return work / PYCACHE / f"{boot}-{bundle.folder_name}"


def _without_python(environ: Mapping[str, str]) -> dict[str, str]:
    """PYTHONHOME, PYTHONSTARTUP and the like are the host's, not ours."""
    return {name: value for name, value in environ.items() if not name.startswith("PYTHON")}


def _package(folder: Path) -> dict[str, str]:
    package = folder / PACKAGE
    return {"LINEWATCH_PACKAGE": str(package)} if package.is_dir() else {}
