"""Recipes: reading, checking and choosing the manifest for this host, as each runtime does."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from localcore.errors import RecipeError, RequirementError
from localcore.requirements import Requirement, Version, check_component_name, parse_requirement
from localcore.runtime import Runtime

_TOP = ("RecipeFormatVersion", "ComponentName", "ComponentVersion", "ComponentConfiguration", "ComponentDependencies")
_KNOWN_KEYS = (
    *_TOP,
    *("ComponentDescription", "ComponentPublisher", "ComponentType", "ComponentSource", "Manifests", "Lifecycle"),
    *("DefaultConfiguration", "VersionRequirement", "DependencyType", "Platform", "Artifacts", "Selections", "Name"),
    *(
        "Uri",
        "Unarchive",
        "Permission",
        "Digest",
        "Algorithm",
        "Script",
        "RequiresPrivilege",
        "Setenv",
        "Timeout",
        "Skipif",
    ),
    *("install", "run", "startup", "shutdown", "recover", "bootstrap", "uninstall", "os", "architecture", "runtime"),
)
_CANONICAL = {key.lower(): key for key in _KNOWN_KEYS}
_STEPS = ("install", "run")
_SKIPPED_STEPS = ("startup", "shutdown", "recover", "bootstrap", "uninstall")
_DEPENDENCY_TYPES = ("HARD", "SOFT")
_FREE_KEYS = ("DefaultConfiguration", "Setenv", "ComponentDependencies")  # below them keys are the author's own


@dataclass(frozen=True, slots=True)
class Step:
    """One lifecycle step: its script, its environment and its timeout in seconds (None: the runtime's own)."""

    script: str
    setenv: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float | None = None


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file of the component: its name, and whether it is a ZIP to unpack."""

    filename: str
    unarchive: bool


@dataclass(frozen=True, slots=True)
class Dependency:
    """Another component that this one needs."""

    requirement: Requirement
    kind: str  # HARD, SOFT, or NONE: no ordering


@dataclass(frozen=True, slots=True)
class Recipe:
    """One component version, reduced to this host's manifest."""

    name: str
    version: str
    default_configuration: Mapping[str, Any]
    dependencies: Mapping[str, Dependency]
    setenv: Mapping[str, str]
    steps: Mapping[str, Step]
    artifacts: tuple[Artifact, ...]
    warnings: tuple[str, ...] = ()


def load_recipe(path: Path, runtime: Runtime) -> Recipe:
    """Read a recipe file. Raises RecipeError naming the file."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RecipeError(f"{path}: cannot read: {error.strerror}") from error
    limit = runtime.limits.recipe_bytes
    if limit is not None and len(data) > limit:
        raise RecipeError(f"{path.name}: {len(data)} B is over the limit of {limit}")
    try:
        return read_recipe(_parse(path, data, runtime), runtime)
    except (RecipeError, RequirementError) as error:
        raise RecipeError(f"{path.name}: {error}") from error


def _parse(path: Path, data: bytes, runtime: Runtime) -> Any:
    if path.suffix == ".json":
        try:
            return json.loads(data)
        except (ValueError, RecursionError) as error:
            raise RecipeError(f"not JSON: {error}") from error
    import yaml  # noqa: PLC0415 - only a YAML recipe pays for it

    # On lite every YAML scalar of a configuration is a string, as BaseLoader reads it.
    loader = yaml.BaseLoader if runtime.is_lite else yaml.SafeLoader
    try:
        return yaml.load(data, Loader=loader)  # noqa: S506 - both loaders build plain values only
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise RecipeError(f"not YAML: {' '.join(str(error).split())}") from error


def read_recipe(document: object, runtime: Runtime) -> Recipe:
    """A recipe from its parsed document. Raises RecipeError, RequirementError."""
    if not isinstance(document, Mapping):
        raise RecipeError("a recipe is a map")
    recipe = _canonical(document, runtime, "")
    name = check_component_name(_required_text(recipe, "ComponentName"))
    version = _required_text(recipe, "ComponentVersion")
    Version.parse(version)
    manifest = _choose_manifest(recipe, runtime)
    lifecycle = _lifecycle(recipe, manifest)
    warnings: list[str] = []
    return Recipe(
        name=name,
        version=version,
        default_configuration=_map(_map(recipe, "ComponentConfiguration"), "DefaultConfiguration"),
        dependencies=_dependencies(_map(recipe, "ComponentDependencies"), runtime, warnings),
        setenv=_setenv(lifecycle, "Lifecycle", runtime),
        steps=_steps(lifecycle, runtime, warnings),
        artifacts=_artifacts(manifest),
        warnings=tuple(warnings),
    )


def _canonical(value: Any, runtime: Runtime, where: str) -> Any:
    """The tree with known keys in their written case: classic ignores case, lite refuses another one."""
    if isinstance(value, list):
        return [_canonical(item, runtime, where) for item in value]
    if not isinstance(value, Mapping):
        return value
    result: dict[str, Any] = {}
    for key, item in value.items():
        known = _CANONICAL.get(str(key).lower(), str(key))
        if runtime.case_sensitive_keys and known != key:
            raise RecipeError(f"key {where}{key!r}: lite is case-sensitive and wants {known!r}")
        if known == "ComponentDependencies":
            result[known] = {
                name: _canonical(entry, runtime, f"{known}/") for name, entry in _as_map(item, known).items()
            }
        else:
            result[known] = item if known in _FREE_KEYS else _canonical(item, runtime, f"{where}{known}/")
    return result


def _as_map(value: Any, where: str) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise RecipeError(f"{where} is not a map")
    return value


def _map(tree: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    return _as_map(tree.get(key), key)


def _required_text(tree: Mapping[str, Any], key: str) -> str:
    value = tree.get(key)
    if not isinstance(value, str) or not value:
        raise RecipeError(f"{key} is missing")
    return value


def _choose_manifest(recipe: Mapping[str, Any], runtime: Runtime) -> Mapping[str, Any]:
    manifests = recipe.get("Manifests")
    if manifests is None:
        return {}
    if not isinstance(manifests, list):
        raise RecipeError("Manifests is not a list")
    for manifest in manifests:
        if _platform_matches(_map(_as_map(manifest, "a manifest"), "Platform"), runtime):
            return _as_map(manifest, "a manifest")
    host = ", ".join(f"{key} {value}" for key, value in runtime.platform().items())
    raise RecipeError(f"no manifest matches this platform ({host})")


def _platform_matches(wanted: Mapping[str, Any], runtime: Runtime) -> bool:
    host = runtime.platform()
    if runtime.is_lite:
        return (
            wanted.get("runtime") in ("*", host["runtime"])
            and wanted.get("os") in ("*", "all", host["os"])
            and wanted.get("architecture", "*") in ("*", host["architecture"])
        )
    return all(_attribute_matches(str(value), host.get(str(key))) for key, value in wanted.items())


def _attribute_matches(wanted: str, have: str | None) -> bool:
    if wanted in ("*", "all"):
        return True
    if have is None:
        return False
    if len(wanted) > 1 and wanted.startswith("/") and wanted.endswith("/"):
        try:
            return re.fullmatch(wanted[1:-1], have) is not None
        except re.error as error:
            raise RecipeError(f"Platform: {wanted!r} is not a regular expression: {error}") from error
    return wanted == have


def _lifecycle(recipe: Mapping[str, Any], manifest: Mapping[str, Any]) -> Mapping[str, Any]:
    if "Lifecycle" in manifest:
        return _map(manifest, "Lifecycle")
    return _map(recipe, "Lifecycle")


def _dependencies(section: Mapping[str, Any], runtime: Runtime, warnings: list[str]) -> dict[str, Dependency]:
    found = {}
    for name, entry in section.items():
        dependency = _as_map(entry, f"dependency {name}")
        kind = str(dependency.get("DependencyType", runtime.default_dependency_type)).upper()
        if "DependencyType" not in dependency:
            warnings.append(
                f"dependency {name} has no DependencyType: {runtime.default_dependency_type} here, not so elsewhere"
            )
        elif kind not in _DEPENDENCY_TYPES:
            raise RecipeError(f"dependency {name}: DependencyType {kind!r} is neither HARD nor SOFT")
        requirement = parse_requirement(str(dependency.get("VersionRequirement", "*")), npm=runtime.npm_requirements)
        found[check_component_name(name)] = Dependency(requirement, kind)
    return found


def _steps(lifecycle: Mapping[str, Any], runtime: Runtime, warnings: list[str]) -> dict[str, Step]:
    for name in _SKIPPED_STEPS:
        if name in lifecycle:
            warnings.append(f"lifecycle step {name} is not served here and is skipped")
    return {name: _step(name, lifecycle[name], runtime, warnings) for name in _STEPS if name in lifecycle}


def _step(name: str, value: object, runtime: Runtime, warnings: list[str]) -> Step:
    if isinstance(value, str):
        return Step(script=value)
    step = _as_map(value, f"lifecycle step {name}")
    script = step.get("Script")
    if not isinstance(script, str):
        raise RecipeError(f"lifecycle step {name} has no Script")
    if str(step.get("RequiresPrivilege", "false")).lower() == "true":
        warnings.append(f"lifecycle step {name}: RequiresPrivilege is ignored, everything runs as this user")
    if "Skipif" in step:
        warnings.append(f"lifecycle step {name}: Skipif is ignored")
    timeout_s = _timeout(name, step.get("Timeout"))
    if name == "run" and timeout_s is not None and runtime.is_lite:
        warnings.append("lifecycle step run: Timeout is ignored")
    return Step(script, _setenv(step, name, runtime), timeout_s)


def _timeout(name: str, value: object) -> float | None:
    if value is None:
        return None
    try:
        seconds = float(str(value))
    except ValueError as error:
        raise RecipeError(f"lifecycle step {name}: Timeout {value!r} is not a number") from error
    if not 0 < seconds < float("inf"):
        raise RecipeError(f"lifecycle step {name}: Timeout {value!r} is not above 0")
    return seconds


def _setenv(section: Mapping[str, Any], where: str, runtime: Runtime) -> dict[str, str]:
    variables = {}
    for name, value in _map(section, "Setenv").items():
        if not isinstance(value, str):
            if runtime.is_lite:
                raise RecipeError(f"{where}: Setenv {name} is not a string")
            value = json.dumps(value)  # noqa: PLW2901 - classic takes any scalar as its text
        variables[str(name)] = value
    return variables


def _artifacts(manifest: Mapping[str, Any]) -> tuple[Artifact, ...]:
    entries = manifest.get("Artifacts") or []
    if not isinstance(entries, list):
        raise RecipeError("Artifacts is not a list")
    return tuple(_artifact(_as_map(entry, "an artifact")) for entry in entries)


def _artifact(entry: Mapping[str, Any]) -> Artifact:
    filename = _required_text(entry, "Uri").rsplit("/", 1)[-1]
    if filename in ("", ".", ".."):
        raise RecipeError(f"artifact Uri {entry['Uri']!r} ends in no file name")
    unarchive = str(entry.get("Unarchive", "NONE")).upper()
    if unarchive not in ("NONE", "ZIP"):
        raise RecipeError(f"artifact {filename}: Unarchive {unarchive!r} is neither NONE nor ZIP")
    return Artifact(filename, unarchive == "ZIP")
