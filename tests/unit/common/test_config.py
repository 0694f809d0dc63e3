"""Configuration: bounds, coercion of lite's strings, and lines that tell a person what to change."""

from typing import Annotated, Any, Literal

import msgspec
import pytest
from linewatch_common.config import Config, default_configuration, read_config
from linewatch_common.errors import ConfigError


class Source(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    kind: str = "folder"
    frames_per_second: Annotated[float, msgspec.Meta(gt=0, le=200)] = 5.0


class Example(Config, frozen=True, kw_only=True):
    without_meaning = frozenset({"Legacy"})

    destination: Literal["", "Disk", "Cloud"] = ""
    retries: Annotated[int, msgspec.Meta(ge=0, le=10)] = 3
    verbose: bool = False
    source: Source = Source()


def read(raw: dict[str, Any]) -> tuple[Example, list[str]]:
    return read_config(Example, raw, "com.linewatch.Example")


def test_defaults_are_what_the_recipe_holds() -> None:
    assert default_configuration(Example) == {
        "Station": "line1",
        "Destination": "",
        "Retries": 3,
        "Verbose": False,
        "Source": {"Kind": "folder", "FramesPerSecond": 5.0},
    }


def test_the_defaults_read_back_equal() -> None:
    assert read(default_configuration(Example)) == (Example(), [])


def test_strings_of_a_yaml_recipe_on_lite_are_read_as_their_types() -> None:
    config, warnings = read({"Retries": "7", "Verbose": "true", "Source": {"FramesPerSecond": "2.5"}})
    assert (config.retries, config.verbose, config.source.frames_per_second, warnings) == (7, True, 2.5, [])


def test_the_runtime_keeps_its_own_keys_there() -> None:
    assert read({"accessControl": {}}) == (Example(), [])


def test_an_unknown_key_is_ignored_with_the_nearest_known_name() -> None:
    config, warnings = read({"Retires": 5})
    assert config == Example()
    assert warnings == ["com.linewatch.Example: unknown key 'Retires' is ignored; did you mean Retries?"]


def test_a_key_of_what_the_component_stands_in_for_is_known_and_does_nothing() -> None:
    config, warnings = read({"Legacy": "true"})
    assert config == Example()
    assert warnings == ["com.linewatch.Example: Legacy has no meaning for this component and is ignored"]


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        ({"Retries": 11}, "com.linewatch.Example: Retries: expected `int` <= 10"),
        ({"Retries": "many"}, "com.linewatch.Example: Retries: expected `int`, got `str`"),
        ({"Source": {"FramesPerSecond": 0}}, "com.linewatch.Example: Source.FramesPerSecond: expected `float` > 0.0"),
        (
            {"Destination": "cloud"},
            "com.linewatch.Example: Destination: invalid enum value 'cloud'; want 'Disk' or 'Cloud'",
        ),
        ({"Station": "Line 1"}, "com.linewatch.Example: Station: expected `str` matching regex"),
    ],
)
def test_a_bad_value_names_where_key_and_bound(raw: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(raw)
    assert str(caught.value).startswith(says)
