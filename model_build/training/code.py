"""What a training's outcome depends on besides data, plan and seed: the code that learns, and the versions of what it stands on."""

import hashlib
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import linewatch_vision

import model_build
from model_build.nets.interface import Framework

_LEARNING = (
    "nets/interface.py",
    "nets/sizes.py",
    "nets/rates.py",
    "data/prepared.py",
    "data/pixels.py",
    "samples/defects.py",
)
_FRAMEWORK = {"torch": "nets/pytorch", "tensorflow": "nets/keras"}
_TRAINING = ("augmentation", "course", "judging", "pictures", "plan", "sampling", "session", "synthetic")
# What a run without tiles does not depend on.
_TILED = ("training/tiled.py", "training/joining.py")
_TILED_VISION = ("tiling.py", "masks.py")
_PACKAGES = {"torch": ("torch", "numpy"), "tensorflow": ("tensorflow", "numpy")}


def code_digest(framework: Framework, *, tiled: bool = False) -> str:
    """Digest of the modules that decide what is learnt; a change in docs, commands or reports leaves it as it is."""
    root, vision = Path(model_build.__path__[0]), Path(linewatch_vision.__path__[0])
    files = [root / name for name in _LEARNING]
    files += [root / "training" / f"{name}.py" for name in _TRAINING]
    files += sorted((root / _FRAMEWORK[framework]).glob("*.py"))
    files += [vision / "preparation.py", vision / "resizing.py"]
    if tiled:
        files += [root / name for name in _TILED] + [vision / name for name in _TILED_VISION]
    return digest_of(files, (root, vision))


def digest_of(files: Iterable[Path], roots: tuple[Path, ...]) -> str:
    """SHA-256 over names (relative to their root) and contents."""
    total = hashlib.sha256()
    for file in files:
        name = next(str(file.relative_to(root)) for root in roots if file.is_relative_to(root))
        total.update(f"{name} {hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()


def versions(framework: Framework) -> dict[str, str]:
    """Of the packages that compute."""
    found = {}
    for name in (*_PACKAGES[framework], "opencv-python-headless", "onnx"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "unknown"
    return found
