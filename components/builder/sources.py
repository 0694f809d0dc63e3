"""First-party code, the launcher and model packages: the files of ours that go into an artefact."""

from collections.abc import Iterator
from pathlib import Path

from components.builder.errors import BuildError
from components.builder.models import PACKAGE, SIGNATURE, signature_beside
from components.builder.table import Artefact

_SKIPPED_SUFFIXES = frozenset({".pyc", ".pyi", ".proto"})


def first_party(root: Path, artefact: Artefact, model_package: Path | None) -> list[tuple[str, bytes]]:
    """Everything of ours that goes into the artefact: names and bytes, sorted. Raises BuildError when something is missing."""
    entries = list(_below(root / "components" / "launcher", ""))
    for package in artefact.packages:
        entries += _below(_package_folder(root, package), f"lib/{package}/")
    if model_package is not None:
        entries += _below(model_package, f"{PACKAGE}/")
        signature = signature_beside(model_package)
        if signature is not None:
            entries.append((SIGNATURE, signature.read_bytes()))
    return sorted(entries)


def _package_folder(root: Path, package: str) -> Path:
    found = sorted((root / "components").glob(f"*/{package}/__init__.py"))
    if len(found) != 1:
        raise BuildError(f"components/*/{package}: {len(found)} packages of this name, want one")
    return found[0].parent


def _below(folder: Path, prefix: str) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        hidden = any(part.startswith(".") or part == "__pycache__" for part in relative.parts)
        if path.is_file() and not hidden and path.suffix not in _SKIPPED_SUFFIXES:
            yield prefix + relative.as_posix(), path.read_bytes()
