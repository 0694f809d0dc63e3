"""A deployment's request, and the plan that comes of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from localcore.configuration import Change, parse_pointer
from localcore.errors import InvalidArgumentsError
from localcore.recipes import Recipe

ROLLBACK = "ROLLBACK"
DO_NOTHING = "DO_NOTHING"


@dataclass(frozen=True, slots=True)
class DeploymentRequest:
    """What a local deployment asks for."""

    deployment_id: str
    add: Mapping[str, str] = field(default_factory=dict)
    remove: tuple[str, ...] = ()
    changes: Mapping[str, Change] = field(default_factory=dict)
    recipe_folder: Path | None = None
    artifact_folder: Path | None = None
    failure_policy: str = ROLLBACK


@dataclass(frozen=True, slots=True)
class Plan:
    """What has to happen: the whole target, what of it is new or changed, and what goes."""

    request: DeploymentRequest
    roots: Mapping[str, str]
    target: Mapping[str, Recipe]
    changed: Mapping[str, Recipe]
    removed: tuple[str, ...]


def read_change(component: str, value: object) -> Change:
    """A component's configuration change: `merge` and `reset`, in either case of letters. Raises InvalidArgumentsError."""
    if not isinstance(value, Mapping):
        raise InvalidArgumentsError(f"configuration of {component} is not a map with merge and reset")
    parts: dict[str, Any] = {str(key).lower(): item for key, item in value.items()}
    unknown = sorted(parts.keys() - {"merge", "reset"})
    if unknown:
        raise InvalidArgumentsError(f"configuration of {component}: unknown key {unknown[0]!r}, only merge and reset")
    merge, reset = parts.get("merge") or {}, parts.get("reset") or []
    if not isinstance(merge, Mapping):
        raise InvalidArgumentsError(f"configuration of {component}: merge is not a map")
    if not isinstance(reset, list) or not all(isinstance(item, str) for item in reset):
        raise InvalidArgumentsError(f"configuration of {component}: reset is not a list of JSON pointers")
    return Change(tuple(parse_pointer(item) for item in reset), merge)
