import pytest
from linewatch_dashboard.guard import Rules

LOOPBACK = Rules.of("127.0.0.1", ["Line1.Plant.example"])
NETWORK = Rules.of("0.0.0.0", ["line1.plant.example"])  # noqa: S104 - what is tested


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1:8080", "127.0.0.1", "localhost:8080", "LOCALHOST", "[::1]:8080", "line1.plant.example:8080"],
)
def test_our_own_names_are_admitted(host: str) -> None:
    assert LOOPBACK.admits_host(host)
    assert NETWORK.admits_host(host)


@pytest.mark.parametrize(
    "host",
    [
        None,
        "",
        "evil.example",
        "evil.example:8080",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "127.0.0.1:port",
        "user@127.0.0.1",
        "127.0.0.1/evil",
        "127.0.0.1, evil.example",
        "2130706433",
        "0x7f.1",
        "[::1",
        "evil.example#127.0.0.1",
        "evil.example?127.0.0.1",
    ],
)
def test_foreign_and_malformed_names_are_refused(host: str | None) -> None:
    assert not LOOPBACK.admits_host(host)
    assert not NETWORK.admits_host(host)


def test_an_address_of_the_network_is_ours_only_when_we_listen_there() -> None:
    assert NETWORK.admits_host("192.168.7.20:8080")
    assert not LOOPBACK.admits_host("192.168.7.20:8080")


@pytest.mark.parametrize(
    ("origin", "host", "admitted"),
    [
        (None, "127.0.0.1:8080", True),
        ("http://127.0.0.1:8080", "127.0.0.1:8080", True),
        ("https://line1.plant.example", "line1.plant.example", True),
        ("http://127.0.0.1:9999", "127.0.0.1:8080", False),
        ("http://localhost:8080", "127.0.0.1:8080", False),
        ("http://evil.example", "127.0.0.1:8080", False),
        ("null", "127.0.0.1:8080", False),
        ("file://", "127.0.0.1:8080", False),
        ("http://[", "127.0.0.1:8080", False),
        ("http://127.0.0.1:8080", None, False),
    ],
)
def test_only_our_own_page_may_ask(origin: str | None, host: str | None, admitted: bool) -> None:
    assert Rules.admits_origin(origin, host) is admitted
