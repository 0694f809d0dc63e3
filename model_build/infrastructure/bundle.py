"""The functions' code as zips, the same byte for byte from the same sources: ours and the locked wheels, and nothing else.

Two of them: the functions that look for drift and start trainings bring numerics, which no other function should load.
"""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from linewatch_common.errors import InputError, StorageError

from components.builder.archive import Content, write_archive
from components.builder.errors import BuildError
from components.builder.wheels import find_uv

ROOT = Path(__file__).parents[2]
PLATFORM = "aarch64-manylinux_2_28"  # the template's functions run on arm64, Amazon Linux 2023
MAX_UNPACKED_BYTES = 250 * 1024 * 1024  # AWS Lambda's limit
_WHEELS_SECONDS = 300  # a cold download of some 15 MB on a slow line
_PACKAGES = (
    "components/common/linewatch_common",
    "model_build/fleet",
    "model_build/infrastructure",
    "model_build/publishing",
)
_MODULES = ("model_build/__init__.py", "model_build/pipelines/__init__.py", "model_build/pipelines/registered.py")
_DRIFT_MODULES = (
    "model_build/drift/__init__.py",
    "model_build/drift/days.py",
    "model_build/drift/judging.py",
    "model_build/nets/__init__.py",
    "model_build/nets/interface.py",
    "model_build/nets/sizes.py",
    "model_build/pipelines/plans.py",
)


@dataclass(frozen=True, slots=True)
class Bundle:
    """`group`: of its wheels in locks/; `modules`: ours beside the common ones."""

    group: str
    modules: tuple[str, ...]


BUNDLES = {
    "functions": Bundle("functions", _MODULES),
    "drift": Bundle("functions-drift", (*_MODULES, *_DRIFT_MODULES)),
}


def write_bundle(out: Path, bundle: Bundle = BUNDLES["functions"]) -> Content:
    """Write the zip. Raises InputError when wheels cannot be had or the limit is passed, StorageError."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory() as work:
            _install(Path(work), bundle.group)
            wheels = [(path.relative_to(work).as_posix(), path) for path in Path(work).rglob("*") if path.is_file()]
            kept = [(name, path) for name, path in wheels if not name.startswith("bin/") and not name.endswith(".pyc")]
            content = write_archive(out, [*kept, *first_party(bundle)], lambda _: None)
    except BuildError as error:
        raise InputError(str(error)) from error
    except OSError as error:
        raise StorageError(f"{out}: {error.strerror}: {error.filename}") from error
    if content.size > MAX_UNPACKED_BYTES:
        raise InputError(f"{out}: unpacked {content.size} bytes, AWS Lambda takes {MAX_UNPACKED_BYTES}")
    return content


def first_party(bundle: Bundle) -> Iterator[tuple[str, Path]]:
    """Our own files by their name in the zip."""
    for package in _PACKAGES:
        folder = ROOT / package
        for path in sorted(folder.rglob("*.py")):
            yield path.relative_to(ROOT).as_posix().removeprefix("components/common/"), path
    for module in bundle.modules:
        yield module, ROOT / module


def _install(target: Path, group: str) -> None:
    command = [find_uv(ROOT), "pip", "install", "--quiet", "--no-progress", "--target", str(target)]
    command += ["--python", sys.executable, "--python-platform", PLATFORM, "--python-version", "3.11"]
    command += ["--only-binary", ":all:", "--require-hashes", "--no-deps"]
    command += ["--requirements", str(ROOT / "locks" / f"{group}.txt")]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_WHEELS_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise InputError(f"getting the functions' wheels took over {_WHEELS_SECONDS} s; try again") from error
    if done.returncode != 0:
        raise InputError(f"the functions' wheels: {' '.join(done.stderr.split())[:400]}")
