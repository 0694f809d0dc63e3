from typing import Any

import pytest
from linewatch_common.config import read_config
from linewatch_common.errors import ConfigError
from linewatch_dashboard.config import DashboardConfig, check, is_loopback


def test_the_defaults_reach_nobody_but_this_machine() -> None:
    config, warnings = read_config(DashboardConfig, {}, "page")
    check(config)
    assert (config.host, config.port, warnings) == ("127.0.0.1", 8080, [])
    assert is_loopback(config.host)


def test_scalars_may_come_as_strings() -> None:
    config, _ = read_config(DashboardConfig, {"Port": "9000", "StaleAfterSeconds": "2.5"}, "page")
    assert (config.port, config.stale_after_seconds) == (9000, 2.5)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("Port", 0),
        ("Port", 65536),
        ("Port", "http"),
        ("StaleAfterSeconds", 0),
        ("MaxViewers", 0),
        ("MaxViewers", 1000),
        ("PicturesPerSecond", 100),
        ("AllowedHosts", ["http://x/"]),
        ("AllowedHosts", ["a"] * 17),
    ],
)
def test_a_value_out_of_bounds_is_refused_by_name(key: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=key):
        read_config(DashboardConfig, {key: value}, "page")


@pytest.mark.parametrize("host", ["", "line1.plant.example", "127.0.0.1:8080", "300.1.1.1"])
def test_a_host_that_is_no_address_is_refused(host: str) -> None:
    with pytest.raises(ConfigError, match="Host"):
        check(DashboardConfig(host=host))


@pytest.mark.parametrize(
    ("host", "expected"),
    [("localhost", True), ("127.0.0.1", True), ("::1", True), ("0.0.0.0", False), ("192.168.1.2", False)],  # noqa: S104
)
def test_loopback(host: str, expected: bool) -> None:
    check(DashboardConfig(host=host))
    assert is_loopback(host) is expected
