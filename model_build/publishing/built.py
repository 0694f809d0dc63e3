"""What a build left in greengrass-build/: recipes, artefacts, and the digest over both."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model_build.fleet.errors import FleetInputError

# CreateComponentVersion takes no more.
MAX_RECIPE_BYTES = 16_000
PLACEHOLDER = "BUCKET_NAME"
_BLOCK = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file and its S3 key; `sha256` in hex."""

    path: Path
    key: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class BuiltComponent:
    """One version of one component, with the bucket's name in its recipe. `content` is the digest over recipe and artefacts."""

    name: str
    version: str
    recipe: bytes
    artifacts: tuple[Artifact, ...]
    content: str


def read_built(folder: Path, bucket: str, names: Sequence[str] = ()) -> list[BuiltComponent]:
    """Every component of a build, or those named. Raises FleetInputError with what is missing or wrong."""
    recipes = sorted((folder / "recipes").glob("*.json"))
    if not recipes:
        raise FleetInputError(f"{folder}: no recipes/*.json: `make build` fills it")
    components = [_component(folder, path, bucket) for path in recipes if not names or _name(path) in names]
    missing = sorted(set(names) - {component.name for component in components})
    if missing:
        raise FleetInputError(
            f"{folder}: no component {', '.join(missing)}; there are {', '.join(_name(path) for path in recipes)}"
        )
    return components


def _component(folder: Path, path: Path, bucket: str) -> BuiltComponent:
    recipe = _recipe(path)
    name, version = str(recipe.get("ComponentName")), str(recipe.get("ComponentVersion"))
    artifacts = []
    for entry in (each for manifest in recipe.get("Manifests", []) for each in manifest.get("Artifacts", [])):
        entry["Uri"] = str(entry.get("Uri", "")).replace(PLACEHOLDER, bucket)
        artifacts.append(_artifact(folder, path, entry["Uri"], bucket))
    data = json.dumps(recipe, indent=2, ensure_ascii=False).encode() + b"\n"
    if len(data) > MAX_RECIPE_BYTES:
        raise FleetInputError(f"{path}: {len(data)} bytes with the bucket's name, Greengrass takes {MAX_RECIPE_BYTES}")
    return BuiltComponent(name, version, data, tuple(artifacts), _content(recipe, artifacts))


def _recipe(path: Path) -> dict[str, Any]:
    try:
        recipe = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise FleetInputError(f"{path}: {error}") from error
    if not isinstance(recipe, dict) or not recipe.get("ComponentName") or not recipe.get("ComponentVersion"):
        raise FleetInputError(f"{path}: not a component recipe")
    return recipe


def _name(path: Path) -> str:
    """A recipe file is NAME-VERSION.json."""
    return path.stem.rsplit("-", 1)[0]


def _artifact(folder: Path, recipe: Path, uri: str, bucket: str) -> Artifact:
    prefix = f"s3://{bucket}/"
    key = uri.removeprefix(prefix)
    if not uri.startswith(prefix) or ".." in key.split("/"):
        raise FleetInputError(f"{recipe}: artifact {uri!r} does not lie in bucket {bucket}")
    path = folder / "artifacts" / key
    if not path.is_file():
        raise FleetInputError(f"{path} is missing: `make build` builds every architecture that the recipe names")
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return Artifact(path, key, path.stat().st_size, digest.hexdigest())


def _content(recipe: dict[str, Any], artifacts: Sequence[Artifact]) -> str:
    named = {"recipe": recipe, "artifacts": {artifact.key: artifact.sha256 for artifact in artifacts}}
    return "sha256:" + hashlib.sha256(json.dumps(named, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
