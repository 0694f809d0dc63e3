import pytest
from linewatch_agent.capturing import prefix_of
from linewatch_agent.config import AgentConfig, validate
from linewatch_common.errors import ConfigError


def test_the_things_name_is_a_folder_of_the_prefix_where_it_is_asked_for() -> None:
    assert prefix_of("captures/THING_NAME", "plant-a-0007") == "captures/plant-a-0007"
    assert prefix_of("sme-capture", "plant-a-0007") == "sme-capture"
    assert prefix_of("captures/MY_THING_NAME", "plant-a-0007") == "captures/MY_THING_NAME"


@pytest.mark.parametrize("prefix", ["captures/", "/captures", "//captures//"])
def test_slashes_around_it_are_no_folders(prefix: str) -> None:
    validate(AgentConfig(folder_prefix=prefix))
    assert prefix_of(prefix, "d") == "captures"


@pytest.mark.parametrize("prefix", ["year=2021/plant a", "été!", "a.b/c_(1)"])
def test_whatever_s3_takes_may_be_in_it(prefix: str) -> None:
    validate(AgentConfig(folder_prefix=prefix))
    assert prefix_of(prefix, "d") == prefix


@pytest.mark.parametrize("prefix", ["", "/", "..", "a/../b", "a/.b", "a\\b", "a\nb", "a\n"])
def test_what_leaves_its_folder_or_hides_is_refused(prefix: str) -> None:
    with pytest.raises(ConfigError, match=r"FolderPrefix: .* names no folder"):
        validate(AgentConfig(folder_prefix=prefix))


@pytest.mark.parametrize("device", ["..", "../../etc", ".hidden", "a\nb"])
def test_a_devices_name_leads_nowhere_else(device: str) -> None:
    """The original's file may give the device any name."""
    with pytest.raises(ConfigError, match=r"FolderPrefix: .* names no folder"):
        prefix_of("captures/THING_NAME", device)
    assert prefix_of("sme-capture", device) == "sme-capture"
