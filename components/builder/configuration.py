"""A site's configuration as the defaults of the built recipes: lite's command line cannot set any.

The file is the one that `greengrass-cli deployment create --update-config` and localcore take: {"NAME": {"MERGE": {...}}}.
"""

import difflib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.builder.errors import BuildError

_NOT_OURS = frozenset({"accessControl"})


def read_site(path: Path) -> dict[str, dict[str, Any]]:
    """What the file merges, by component. Raises BuildError."""
    try:
        updates = json.loads(path.read_text())
        site = {str(name): dict(update["MERGE"]) for name, update in updates.items() if set(update) == {"MERGE"}}
    except (OSError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise BuildError(f'{path}: want {{"NAME": {{"MERGE": {{…}}}}}}: {error}') from error
    if len(site) != len(updates):
        raise BuildError(f"{path}: a recipe's defaults can be merged with, nothing else (MERGE only)")
    return site


def with_site(recipe: dict[str, Any], merge: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe with these values in its DefaultConfiguration. Raises BuildError for a key that the component does not have."""
    configuration = recipe["ComponentConfiguration"]["DefaultConfiguration"]
    for key in _NOT_OURS & set(merge):
        raise BuildError(f"{recipe['ComponentName']}: {key} stays as the recipe has it")
    merged = _merged(configuration, merge, str(recipe["ComponentName"]))
    return {**recipe, "ComponentConfiguration": {"DefaultConfiguration": merged}}


def _merged(old: Mapping[str, Any], new: Mapping[str, Any], where: str) -> dict[str, Any]:
    result = dict(old)
    for key, value in new.items():
        if key not in old:
            near = difflib.get_close_matches(key, [name for name in old if name not in _NOT_OURS], n=1)
            raise BuildError(f"{where}: there is no key {key!r}" + (f"; did you mean {near[0]}?" if near else ""))
        if isinstance(old[key], dict) != isinstance(value, dict):
            raise BuildError(f"{where}: {key} is {'a map' if isinstance(old[key], dict) else 'no map'}")
        result[key] = _merged(old[key], value, f"{where}: {key}") if isinstance(value, dict) else value
    return result
