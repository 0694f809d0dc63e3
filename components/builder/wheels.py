"""The third-party part of an artefact: the locked wheels of one dependency group, for the device's processor, as a zip."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from components.builder.archive import Content, load_content, save_content, write_archive
from components.builder.cache import Cache, hash_of
from components.builder.errors import BuildError
from components.builder.progress import Job
from components.builder.trimming import is_kept

# A cold download of the biggest group takes two minutes on a slow line; a registry that hangs must not hang the build.
_INSTALL_SECONDS = 540


@dataclass(frozen=True, slots=True)
class Layer:
    """Which wheels: the lock file, the platform as uv names it, and the Python version."""

    lock: Path
    platform: str
    python: str

    @property
    def slot(self) -> str:
        """Its place in the cache."""
        return f"{self.lock.stem}-{self.platform}-{self.python}"

    def key(self) -> str:
        """A hash of all that decides the layer's bytes. Raises BuildError."""
        here = Path(__file__).parent
        code = [here / name for name in ("wheels.py", "trimming.py", "archive.py")]
        try:
            return hash_of([self.platform, self.python, self.lock.read_bytes(), *(path.read_bytes() for path in code)])
        except OSError as error:
            raise BuildError(f"{error.filename}: {error.strerror}") from error


def find_uv(root: Path, environ: Mapping[str, str] = os.environ, python: str = sys.executable) -> str:
    """The wheel installer: beside `python`, in the checkout's .venv, or on the PATH. Raises BuildError."""
    for folder in (Path(python).parent, root / ".venv" / "bin"):
        if os.access(folder / "uv", os.X_OK):
            return str(folder / "uv")
    found = shutil.which("uv", path=environ.get("PATH"))
    if found is None:
        raise BuildError("uv is missing: run `make setup`, or `pip install uv`")
    return found


def cached_layer(layer: Layer, cache: Cache, key: str) -> tuple[Path, Content] | None:
    """The layer's zip (its names begin with lib/) and what it holds, when the cache has it."""
    cached, kept = cache.get("layers", layer.slot, key, ".zip"), cache.get("layers", layer.slot, key, ".json")
    return (cached, load_content(kept)) if cached is not None and kept is not None else None


def build_layer(layer: Layer, cache: Cache, key: str, uv: str, job: Job) -> tuple[Path, Content]:
    """Make what `cached_layer` then finds. Raises BuildError."""
    with tempfile.TemporaryDirectory(dir=cache.scratch()) as scratch:
        target = Path(scratch)
        job.step("unpacking wheels")
        _install(layer, uv, target)
        entries = _entries(target)
        total = sum(path.stat().st_size for _, path in entries)
        job.step("compressing", total)
        with cache.make("layers", layer.slot, key, (".zip", ".json")) as (archive, content_file):
            content = write_archive(archive, entries, job.advance)
            save_content(content_file, content)
    made = cached_layer(layer, cache, key)
    assert made is not None  # noqa: S101 - made above
    return made


def _entries(target: Path) -> list[tuple[str, Path]]:
    files = (path for path in target.rglob("*") if path.is_file())
    named = ((PurePosixPath(path.relative_to(target).as_posix()), path) for path in files)
    return [(f"lib/{name}", path) for name, path in named if is_kept(name)]


def _install(layer: Layer, uv: str, target: Path) -> None:
    """Unpack exactly what is locked, by its hash; never resolve, never compile."""
    command = [uv, "pip", "install", "--quiet", "--no-progress", "--target", str(target), "--python", sys.executable]
    command += ["--python-platform", layer.platform, "--python-version", layer.python, "--only-binary", ":all:"]
    command += ["--require-hashes", "--no-deps", "--requirements", str(layer.lock)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_INSTALL_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise BuildError(f"{layer.lock}: getting the wheels took over {_INSTALL_SECONDS} s; try again") from error
    if done.returncode != 0:
        reason = " ".join(done.stderr.split()) or f"uv ended with {done.returncode}"
        raise BuildError(f"{layer.lock} for {layer.platform}, Python {layer.python}: {reason}")
