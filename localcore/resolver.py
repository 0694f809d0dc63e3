"""From root components to the versions of everything they need."""

from collections.abc import Callable, Iterable, Mapping

from localcore.errors import DeploymentError
from localcore.recipes import Recipe
from localcore.requirements import Requirement, Version

Versions = Callable[[str], Iterable[str]]  # all known versions of a component
Load = Callable[[str, str], Recipe]
_MAX_STEPS = 1000  # choices that undo each other must end


def resolve(roots: Mapping[str, str], placed: Mapping[str, str], versions: Versions, load: Load) -> dict[str, Recipe]:
    """Recipes of the roots and of all their dependencies.

    A placed version is kept where it satisfies; else the newest that does is taken. Raises DeploymentError naming
    the component and what cannot be satisfied, RecipeError when a recipe is bad.
    """
    chosen = {name: load(name, version) for name, version in roots.items()}
    for _ in range(_MAX_STEPS):
        wanted = _requirements(chosen)
        chosen = {name: recipe for name, recipe in chosen.items() if name in roots or name in wanted}
        wrong = _first_wrong(chosen, wanted)
        if wrong is None:
            return chosen
        if wrong in roots:
            raise DeploymentError(f"{wrong} {roots[wrong]} does not satisfy {_told(wanted[wrong])}")
        version = _choose(wrong, wanted[wrong], placed.get(wrong), versions(wrong))
        if wrong in chosen and chosen[wrong].version == version:
            raise DeploymentError(f"{wrong}: {_told(wanted[wrong])} cannot be satisfied together")
        chosen[wrong] = load(wrong, version)
    raise DeploymentError("the dependencies have no solution that can be found")


_Wanted = dict[str, list[tuple[str, Requirement]]]


def _requirements(chosen: Mapping[str, Recipe]) -> _Wanted:
    wanted: _Wanted = {}
    for recipe in chosen.values():
        for name, dependency in recipe.dependencies.items():
            wanted.setdefault(name, []).append((recipe.name, dependency.requirement))
    return wanted


def _first_wrong(chosen: Mapping[str, Recipe], wanted: _Wanted) -> str | None:
    for name, requirements in sorted(wanted.items()):
        recipe = chosen.get(name)
        if recipe is None or not _satisfies(recipe.version, requirements):
            return name
    return None


def _satisfies(version: str, requirements: list[tuple[str, Requirement]]) -> bool:
    return all(requirement.admits(version) for _, requirement in requirements)


def _choose(name: str, requirements: list[tuple[str, Requirement]], placed: str | None, known: Iterable[str]) -> str:
    candidates = [version for version in known if _satisfies(version, requirements)]
    if placed is not None and placed in candidates:
        return placed
    if not candidates:
        raise DeploymentError(f"no local version of {name} satisfies {_told(requirements)}")
    return max(candidates, key=Version.parse)


def _told(requirements: list[tuple[str, Requirement]]) -> str:
    return ", ".join(f"{requirement.text!r} of {owner}" for owner, requirement in requirements)
