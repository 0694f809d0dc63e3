"""Recipes and artefacts on disk: found in a deployment's folders or in the core's own store, and copied into it."""

import asyncio
import contextlib
import secrets
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path

from localcore.errors import DeploymentError, RequirementError
from localcore.layout import Layout
from localcore.recipes import Recipe, load_recipe
from localcore.requirements import Version
from localcore.runtime import Runtime

_SUFFIXES = (".json", ".yaml", ".yml")


class PackageStore:
    """The core's own recipes and artefacts."""

    def __init__(self, layout: Layout, runtime: Runtime) -> None:
        self._layout = layout
        self._runtime = runtime

    def versions(self, name: str, folder: Path | None = None) -> dict[str, Path]:
        """Recipe files of a component by version; a deployment's own folder goes before the store."""
        found: dict[str, Path] = {}
        for place in (self._layout.recipes, folder):
            if place is None or not place.is_dir():
                continue
            for path in sorted(place.glob(f"{name}-*")):
                version = path.stem.removeprefix(f"{name}-")
                with contextlib.suppress(RequirementError):
                    Version.parse(version)
                    if path.suffix in _SUFFIXES:
                        found[version] = path
        return found

    def recipe(self, name: str, version: str, folder: Path | None = None) -> Recipe:
        """Read one recipe. Raises DeploymentError when there is none, RecipeError when it is bad."""
        path = self.versions(name, folder).get(version)
        if path is None:
            where = f" in {folder}" if folder is not None else ""
            raise DeploymentError(f"no recipe {name}-{version}.json or .yaml{where}")
        recipe = load_recipe(path, self._runtime)
        if (recipe.name, recipe.version) != (name, version):
            raise DeploymentError(f"{path.name} holds {recipe.name} {recipe.version}, not what its file name says")
        return recipe

    async def take(
        self, recipes: Mapping[str, Recipe], recipe_folder: Path | None, artifact_folder: Path | None
    ) -> None:
        """Copy recipes and artefacts of these components into the store, without holding up the event loop.

        Raises DeploymentError when an artefact is missing or cannot be copied.
        """
        for recipe in recipes.values():
            await asyncio.to_thread(self._take_one, recipe, recipe_folder, artifact_folder)

    def _take_one(self, recipe: Recipe, recipe_folder: Path | None, artifact_folder: Path | None) -> None:
        target = self._layout.artifacts(recipe.name, recipe.version)
        source = artifact_folder / recipe.name / recipe.version if artifact_folder is not None else None
        try:
            if source is not None and source.is_dir():
                _replace_folder(source, target)
            target.mkdir(parents=True, exist_ok=True)
            self._unpack(recipe, target)
            if recipe_folder is not None:
                self._take_recipe(recipe, recipe_folder)
        except (OSError, shutil.Error, zipfile.BadZipFile) as error:
            raise DeploymentError(f"{recipe.name} {recipe.version}: cannot take its artefacts: {error}") from error

    def _take_recipe(self, recipe: Recipe, folder: Path) -> None:
        path = self.versions(recipe.name, folder)[recipe.version]
        if path.parent == self._layout.recipes:
            return
        self._layout.recipes.mkdir(parents=True, exist_ok=True)
        for suffix in _SUFFIXES:
            if suffix != path.suffix:
                (self._layout.recipes / f"{path.stem}{suffix}").unlink(missing_ok=True)
        beside = self._layout.recipes / f".{path.name}.{secrets.token_hex(4)}"
        shutil.copyfile(path, beside)
        beside.replace(self._layout.recipes / path.name)

    def _unpack(self, recipe: Recipe, folder: Path) -> None:
        target = self._layout.decompressed(recipe.name, recipe.version)
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        for artifact in recipe.artifacts:
            path = folder / artifact.filename
            if not path.is_file():
                raise DeploymentError(f"{recipe.name} {recipe.version}: artefact {artifact.filename} is missing")
            if artifact.unarchive and self._runtime.unarchives_locally:
                with zipfile.ZipFile(path) as archive:
                    archive.extractall(target / path.stem)

    def forget_others(self, kept: Mapping[str, set[str]]) -> None:
        """Delete artefacts of versions that are not in `kept` (versions by component)."""
        for top in (self._layout.root / "artifacts", self._layout.root / "artifacts-unarchived"):
            for folder in top.glob("*/*"):
                if folder.name not in kept.get(folder.parent.name, set()):
                    shutil.rmtree(folder, ignore_errors=True)


def _replace_folder(source: Path, target: Path) -> None:
    """Copy beside the target, then swap: a reader sees the old files or the new ones."""
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        shutil.copytree(source, beside)
        old = target.with_name(f"{beside.name}.old")
        if target.exists():
            target.rename(old)
        beside.rename(target)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
