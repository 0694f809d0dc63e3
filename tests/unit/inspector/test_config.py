"""The configuration's bounds."""

import pytest
from linewatch_common.config import default_configuration, read_config
from linewatch_common.errors import ConfigError
from linewatch_inspector.config import InspectorConfig, check


def test_the_defaults_are_admissible() -> None:
    config, warnings = read_config(InspectorConfig, default_configuration(InspectorConfig), "Inspector")
    assert warnings == []
    check(config)
    assert (config.deadline_ms, config.segment_when, config.shared_memory_folder) == (1000, "not-pass", "/dev/shm")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("DeadlineMs", 0),
        ("DeadlineMs", "soon"),
        ("SegmentWhen", "sometimes"),
        ("QueueLength", 1),
        ("DefectRatePercent", 101),
        ("DefectsInARow", -1),
        ("StorePictures", "some"),
        ("StoreMegabytes", 0),
        ("Station", "Line 1"),
    ],
)
def test_a_value_out_of_bounds_is_named(key: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"Inspector: {key}: "):
        read_config(InspectorConfig, {key: value}, "Inspector")


def test_an_unknown_key_is_told_with_the_near_one() -> None:
    _, warnings = read_config(InspectorConfig, {"DeadlineMS": 500}, "Inspector")
    assert warnings == ["Inspector: unknown key 'DeadlineMS' is ignored; did you mean DeadlineMs?"]


@pytest.mark.parametrize("key", ["LedgerFolder", "SharedMemoryFolder"])
def test_a_relative_folder_is_refused(key: str) -> None:
    config, _ = read_config(InspectorConfig, {key: "some/where"}, "Inspector")
    with pytest.raises(ConfigError, match=f"{key}: 'some/where' is not an absolute path"):
        check(config)
