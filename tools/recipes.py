"""`python -m tools.recipes`: write each component's DefaultConfiguration from its configuration class into recipes/.

Run it after a change of a configuration class; tests/contract/test_recipes.py fails until then. `--check` only says what differs.
"""

import argparse
import importlib
import json
import sys
from pathlib import Path
from typing import Any

from linewatch_common.config import Config, default_configuration

from components.builder.errors import BuildError
from components.builder.recipes import recipe_bytes

ROOT = Path(__file__).resolve().parent.parent

# Where each component's configuration class is.
CONFIG_CLASSES = {
    "com.linewatch.Camera": "linewatch_camera.config:CameraConfig",
    "com.linewatch.EdgeAgent": "linewatch_agent.config:AgentConfig",
    "com.linewatch.Inspector": "linewatch_inspector.config:InspectorConfig",
    "com.linewatch.Dashboard": "linewatch_dashboard.config:DashboardConfig",
    "com.linewatch.model.SurfaceClassifier": "linewatch_model.config:ModelConfig",
    "com.linewatch.model.SurfaceSegmenter": "linewatch_model.config:ModelConfig",
    "com.linewatch.model.SurfaceInspector": "linewatch_model.config:ModelConfig",
}


def config_class(component: str) -> type[Config]:
    """The component's configuration class. Raises ImportError, AttributeError."""
    module, _, name = CONFIG_CLASSES[component].partition(":")
    found: type[Config] = getattr(importlib.import_module(module), name)
    assert issubclass(found, Config)  # noqa: S101 - a developer's tool
    return found


def recipe_path(component: str) -> Path:
    """The component's source recipe."""
    return ROOT / "recipes" / f"{component}.json"


def refreshed(component: str, recipe: dict[str, Any]) -> dict[str, Any]:
    """The recipe with the class's defaults; accessControl stays as it was written."""
    configuration = recipe["ComponentConfiguration"]["DefaultConfiguration"]
    defaults = default_configuration(config_class(component))
    fresh = {**defaults, "accessControl": configuration["accessControl"]}
    return {**recipe, "ComponentConfiguration": {"DefaultConfiguration": fresh}}


def _refresh(component: str, *, check: bool) -> bool:
    """True when the recipe was as it should be."""
    path = recipe_path(component)
    try:
        data = recipe_bytes(refreshed(component, json.loads(path.read_text())))
    except (ImportError, AttributeError, BuildError) as error:
        print(f"{path.name}: {error}", file=sys.stderr)
        return False
    if path.read_bytes() == data:
        return True
    if not check:
        path.write_bytes(data)
    print(f"{path.name}: {'differs from' if check else 'written from'} {CONFIG_CLASSES[component]}")
    return False


def main() -> int:
    """Refresh every recipe. Returns the exit code."""
    parser = argparse.ArgumentParser(
        description="Write DefaultConfiguration from the configuration classes into recipes/."
    )
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 when something differs")
    options = parser.parse_args()
    same = [_refresh(component, check=options.check) for component in CONFIG_CLASSES]
    return int(options.check and not all(same))


if __name__ == "__main__":
    sys.exit(main())
