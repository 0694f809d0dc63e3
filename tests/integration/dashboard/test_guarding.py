"""Requests that a foreign page in the operator's browser could send."""

import socket
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from tests.integration.dashboard.bench import PageBench, page_bench
from tests.integration.dashboard.viewing import knock, watching
from tests.unit.dashboard.messages import frame


@pytest.mark.parametrize("path", ["/", "/api/state", "/static/main.js", "/healthz"])
def test_a_rebound_name_gets_nothing(client: httpx.Client, path: str) -> None:
    answer = client.get(path, headers={"host": "evil.example"})
    assert answer.status_code == 403
    assert answer.headers["cache-control"] == "no-store"


def test_a_rebound_name_gets_no_live_feed(bench: PageBench) -> None:
    with pytest.raises(InvalidStatus) as refused:
        knock(bench, "evil.example")
    assert refused.value.response.status_code == 403
    with knock(bench, f"localhost:{bench.host.split(':')[1]}") as admitted:
        assert admitted.recv(timeout=20)


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1"])
def test_a_page_of_another_site_gets_no_live_feed(bench: PageBench, origin: str) -> None:
    with (
        pytest.raises(InvalidStatus) as refused,
        watching(bench, additional_headers={"Origin": origin}),
    ):
        pass
    assert refused.value.response.status_code == 403
    assert bench.counters["viewers"] == 0


def test_our_own_page_gets_the_live_feed(bench: PageBench) -> None:
    with watching(bench, additional_headers={"Origin": bench.url}) as viewer:
        assert viewer.state().station == "line1"


def test_a_page_of_another_site_cannot_label(bench: PageBench, client: httpx.Client) -> None:
    answer = client.post(
        f"/api/inspection/{frame(1)}/label", json={"label": "pass"}, headers={"origin": "http://evil.example"}
    )
    assert answer.status_code == 403
    assert bench.core.on_topic(bench.topics.commands) == []


def test_two_host_headers_are_refused(bench: PageBench) -> None:
    address, port = bench.host.split(":")
    with socket.create_connection((address, int(port)), timeout=20) as raw:
        raw.sendall(f"GET / HTTP/1.1\r\nHost: {bench.host}\r\nHost: evil.example\r\n\r\n".encode())
        assert raw.recv(100).split()[1] in (b"400", b"403")


def test_a_name_of_the_configuration_is_admitted(tmp_path: Path) -> None:
    with page_bench(tmp_path, allowed_hosts=["line1.plant.example"]) as bench:
        answer = httpx.get(f"{bench.url}/healthz", headers={"host": "Line1.plant.example:8080"}, timeout=20)
        assert answer.status_code == 200
