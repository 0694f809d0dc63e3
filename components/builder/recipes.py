"""Source recipes as deployable ones: the version, the interpreter's name, the artefacts' addresses."""

import json
import re
from pathlib import Path
from typing import Any

from components.builder.errors import BuildError
from components.builder.table import Artefact, model_artefact

# Greengrass lite reads no more of a recipe file.
MAX_RECIPE_BYTES = 8_000
MODEL_TEMPLATE = model_artefact("SurfaceClassifier")
_PYTHON = re.compile(r"python3\.\d+")
_VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")


def load_recipe(path: Path) -> dict[str, Any]:
    """A source recipe. Raises BuildError."""
    try:
        recipe = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise BuildError(f"{path}: {error}") from error
    if not isinstance(recipe, dict) or recipe.get("ComponentName") != path.stem:
        raise BuildError(f"{path}: ComponentName must be {path.stem}")
    check_version(str(recipe.get("ComponentVersion")), str(path))
    return recipe


def recipe_of(root: Path, artefact: Artefact) -> dict[str, Any]:
    """The component's source recipe. A model that has none of its own gets the classifier's with its own name. Raises BuildError."""
    path = root / "recipes" / f"{artefact.component}.json"
    if artefact.model is None or path.exists():
        return load_recipe(path)
    text = json.dumps(load_recipe(root / "recipes" / f"{MODEL_TEMPLATE.component}.json"))
    text = text.replace(MODEL_TEMPLATE.component, artefact.component)
    text = text.replace(f"{MODEL_TEMPLATE.stem}-", f"{artefact.stem}-")
    recipe: dict[str, Any] = json.loads(text)
    return {**recipe, "ComponentDescription": f"linewatch: a version of the model {artefact.model}."}


def check_version(version: str, where: str) -> None:
    """Raises BuildError unless `version` is three numbers (NEXT_PATCH forbids local deployment)."""
    if not _VERSION.fullmatch(version):
        raise BuildError(f"{where}: version {version!r}, want three numbers such as 1.0.0")


def built_recipe(source: dict[str, Any], version: str, python: str) -> bytes:
    """The recipe to deploy. The bucket's name stays for whoever publishes it. Raises BuildError when it is too large."""
    name = str(source["ComponentName"])
    recipe = json.loads(json.dumps(source))
    recipe["ComponentVersion"] = version
    for manifest in recipe["Manifests"]:
        for step in manifest["Lifecycle"].values():
            if isinstance(step, dict) and "Script" in step:
                step["Script"] = _PYTHON.sub(f"python{python}", step["Script"])
        for artifact in manifest["Artifacts"]:
            uri = artifact["Uri"].replace("COMPONENT_NAME", name).replace("COMPONENT_VERSION", version)
            artifact["Uri"] = uri
    return recipe_bytes(recipe)


def recipe_bytes(recipe: dict[str, Any]) -> bytes:
    """A recipe's text as we write it: indented while that fits, since people read it. Raises BuildError."""
    data = (json.dumps(recipe, indent=2, ensure_ascii=False) + "\n").encode()
    if len(data) > MAX_RECIPE_BYTES:
        name = recipe.get("ComponentName")
        raise BuildError(f"the recipe of {name} is {len(data)} bytes, Greengrass lite takes {MAX_RECIPE_BYTES}")
    return data
