"""What docs/device.md tells people to type fits what there is."""

import json
import re

import pytest
from linewatch_common.config import read_config
from linewatch_common.messages import decode
from linewatch_common.messages.commands import TriggerCapture

from components.builder.configuration import with_site
from components.builder.recipes import load_recipe
from tools.line.line import COMPONENTS
from tools.recipes import ROOT, config_class, recipe_path

PAGE = (ROOT / "docs/device.md").read_text()


@pytest.mark.parametrize(("command", "option"), [("greengrass-cli deployment create", "-m"), ("ggl-cli deploy", "-c")])
def test_the_deploy_command_names_every_component_of_a_line_in_its_version(command: str, option: str) -> None:
    (line,) = [line for line in PAGE.splitlines() if line.startswith(f"| deploy | `{command}")]
    named = re.findall(rf"{option} (com\.linewatch\.[A-Za-z.]+)=([0-9.]+)", line)
    expected = [(name, load_recipe(recipe_path(name))["ComponentVersion"]) for name in COMPONENTS]
    assert sorted(named) == sorted(expected)


def test_the_example_configuration_is_valid() -> None:
    (text,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    ((component, update),) = json.loads(text).items()
    recipe = with_site(load_recipe(recipe_path(component)), update["MERGE"])
    configuration = recipe["ComponentConfiguration"]["DefaultConfiguration"]
    config, warnings = read_config(config_class(component), configuration, component)
    assert warnings == []
    assert config != config_class(component)()


def test_the_example_command_is_understood() -> None:
    (text,) = re.findall(r"pubsub pub -t linewatch/line1/commands -m '([^']*)'", PAGE)
    assert isinstance(decode(text.encode(), TriggerCapture), TriggerCapture)
