"""A model component's package: where it lies, and that it is the model and the version that the recipe names."""

import json
from pathlib import Path

from components.builder.errors import BuildError
from components.builder.table import Artefact

MANIFEST, SIGNATURE, PACKAGE = "manifest.json", "signature.json", "package"


def package_of(root: Path, artefact: Artefact, given: Path | None) -> Path | None:
    """The folder of the artefact's model package, `given` or the repository's; None for what is no model. Raises BuildError."""
    if artefact.model is None:
        return None
    folder = given or root / "components" / "models" / artefact.model
    if not (folder / MANIFEST).is_file():
        raise BuildError(f"{folder}: no model package, {MANIFEST} is missing")
    return folder


def signature_beside(package: Path) -> Path | None:
    """The envelope beside a package (linewatch_common.approval), which the component takes along."""
    path = package.parent / SIGNATURE
    return path if package.name == PACKAGE and path.is_file() else None


def check_package(folder: Path, artefact: Artefact, version: str) -> None:
    """Raises BuildError when the package is another model or another version than the component."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        found = (manifest["name"], manifest["version"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BuildError(f"{folder / MANIFEST}: {error}") from error
    if found != (artefact.model, version):
        raise BuildError(f"{folder}: holds {found[0]} {found[1]}, {artefact.component} {version} was asked for")


def manifest_version(folder: Path) -> str:
    """The version that a package says it is. Raises BuildError."""
    try:
        return str(json.loads((folder / MANIFEST).read_text())["version"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BuildError(f"{folder / MANIFEST}: {error}") from error
