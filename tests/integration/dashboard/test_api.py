"""The requests beside the live feed, against real files."""

import json
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest
from linewatch_common.messages import Command, CommandResult, LabelVerdict, Outcome, decode
from linewatch_dashboard.packing import unpack

from tests.integration.dashboard.bench import PageBench, eventually, mask, picture
from tests.integration.dashboard.viewing import watching
from tests.unit.dashboard.messages import frame


def known(bench: PageBench, client: httpx.Client) -> None:
    """Wait until the page has heard Inspector."""
    eventually(lambda: client.get("/api/state").json()["health"][2]["state"] == "ready", "Inspector is heard")


def test_healthz_and_state(bench: PageBench, client: httpx.Client) -> None:
    assert client.get("/healthz").json() == {"state": "ok", "age_ms": None}
    bench.inspect(1, Outcome.FAIL, part_id="p-1")
    eventually(lambda: client.get("/api/rejects").json(), "the reject is known")
    (reject,) = client.get("/api/rejects").json()
    assert (reject["frame_id"], reject["part_id"], reject["stored"]) == (frame(1), "p-1", False)
    assert client.get("/api/state").json()["rejects"] == [reject]
    assert client.get("/healthz").json()["age_ms"] >= 0


def test_the_counters_go_on_when_no_page_is_open_any_more(bench: PageBench, client: httpx.Client) -> None:
    def total() -> int:
        return int(client.get("/api/state").json()["counters"]["total"])

    bench.inspect(1)
    bench.beat(outcomes={"pass": 1})
    with watching(bench):
        eventually(lambda: bench.archive.asked, "the ledger is asked for the open page")
        eventually(lambda: total() == 1, "its answer is there")
    bench.beat(outcomes={"pass": 3})
    eventually(lambda: total() == 3, "what Inspector says is told")


def test_an_inspection_can_be_had_whole_and_in_parts(bench: PageBench, client: httpx.Client) -> None:
    bench.beat()
    jpeg, png = picture(120), mask(8, 8, 16, 16)
    verdict = bench.inspect(7, Outcome.FAIL, jpeg=jpeg, png=png, part_id="p-7")
    known(bench, client)
    found = client.get(f"/api/inspection/{frame(7)}").json()
    assert found["verdict"]["part_id"] == "p-7"
    shown = client.get(found["picture"])
    assert (shown.content, shown.headers["content-type"]) == (jpeg, "image/jpeg")
    assert client.get(found["mask"]).content == png
    header, pictures = unpack(client.get(f"/api/inspection/{frame(7)}/message").content)
    assert (header.verdict, pictures.picture, pictures.mask, header.live) == (verdict, jpeg, png, False)


def test_an_inspection_without_a_picture_says_so(bench: PageBench, client: httpx.Client) -> None:
    bench.beat()
    bench.inspect(1, Outcome.FAIL)
    known(bench, client)
    found = client.get(f"/api/inspection/{frame(1)}").json()
    assert (found["picture"], found["mask"], found["no_picture"]) == (None, None, "picture not stored")
    assert client.get(f"/api/inspection/{frame(1)}/picture").status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        f"/api/inspection/{frame(404)}",
        "/api/inspection/nonsense",
        "/api/inspection/..%2f..%2fetc%2fpasswd",
        "/api/inspection/%2e%2e/picture",
        "/api/inspection/line1-1-000001.zip",
        "/api/inspection/line1-1-000001%00",
        "/api/inspection/line1-1-000001%0a",
        "/api/inspection/" + "a" * 3000,
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/static/..%2fapp.py",
        "/static//etc/passwd",
        "/nothing",
    ],
)
def test_what_is_not_there_is_a_plain_404(bench: PageBench, client: httpx.Client, path: str) -> None:
    bench.beat()
    known(bench, client)
    answer = client.get(path)
    assert answer.status_code == 404
    assert "import" not in answer.text
    assert "root:" not in answer.text


def test_a_ledger_path_outside_the_store_is_not_read(bench: PageBench, client: httpx.Client, tmp_path: Path) -> None:
    from linewatch_inspector.ledger_writer import SetStoredPath

    bench.beat()
    verdict = bench.inspect(1, Outcome.FAIL, jpeg=picture(5))
    inside = next(bench.store.glob("*/*.zip"))
    outside = tmp_path / "20261122" / inside.name
    outside.parent.mkdir()
    outside.write_bytes(inside.read_bytes())
    bench.ledger.write([SetStoredPath(verdict.frame_id, str(outside))])
    known(bench, client)
    answer = client.get(f"/api/inspection/{frame(1)}/picture")
    assert (answer.status_code, "not a file of the store" in answer.json()["error"]) == (404, True)


def test_before_inspector_was_heard_nothing_is_looked_for(bench: PageBench, client: httpx.Client) -> None:
    bench.inspect(1, jpeg=picture(5))
    answer = client.get(f"/api/inspection/{frame(1)}")
    assert answer.status_code == 503
    assert "has not said" in answer.json()["error"]


def test_a_ledger_that_is_away_is_503(bench: PageBench, client: httpx.Client, tmp_path: Path) -> None:
    bench.beat()
    known(bench, client)
    (tmp_path / "ledger.db").rename(tmp_path / "gone.db")
    assert client.get(f"/api/inspection/{frame(1)}").status_code == 503


def test_every_answer_carries_the_headers(client: httpx.Client) -> None:
    for path in ("/", "/static/main.js", "/api/state", "/nothing", "/healthz"):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "server" not in headers


def test_types_that_nosniff_needs(client: httpx.Client) -> None:
    assert client.get("/").headers["content-type"].startswith("text/html")
    assert client.get("/static/main.js").headers["content-type"].startswith("text/javascript")
    assert client.get("/static/page.css").headers["content-type"].startswith("text/css")


# --- labels


def answering(bench: PageBench, **changes: Any) -> list[LabelVerdict]:
    """An Inspector that answers labels with the given CommandResult fields; returns what it was told."""
    told: list[LabelVerdict] = []
    bus = bench.core.bus()

    def answer(raw: bytes) -> None:
        command = decode(raw, Command)
        told.append(command)
        values: dict[str, Any] = {"command_id": command.command_id, "component": "com.linewatch.Inspector"}
        result = CommandResult(**(values | {"accepted": True} | changes))
        threading.Thread(target=bench.say, args=(bench.topics.command_results, result)).start()

    bus.subscribe(bench.topics.commands, answer)
    return told


def test_a_label_reaches_inspector_and_its_answer_comes_back(bench: PageBench, client: httpx.Client) -> None:
    told = answering(bench)
    answer = client.post(f"/api/inspection/{frame(3)}/label", json={"label": "pass", "note": "dust"})
    assert (answer.status_code, answer.json()["accepted"]) == (200, True)
    (command,) = told
    assert (command.frame_id, command.label, command.note) == (frame(3), "pass", "dust")


def test_inspectors_refusal_comes_back_with_its_reason(bench: PageBench, client: httpx.Client) -> None:
    answering(bench, accepted=False, reason="no such frame")
    answer = client.post(f"/api/inspection/{frame(3)}/label", json={"label": "fail"})
    assert (answer.json()["accepted"], answer.json()["reason"]) == (False, "no such frame")


def test_a_bus_that_is_away_is_503(bench: PageBench, client: httpx.Client) -> None:
    bench.core.away = True
    assert client.post(f"/api/inspection/{frame(3)}/label", json={"label": "fail"}).status_code == 503


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        ('{"label": "pass"}', "text/plain"),
        ('{"label": "pass"}', "application/x-www-form-urlencoded"),
        ('{"label": "maybe"}', "application/json"),
        ('{"label": "pass", "operator": "boss"}', "application/json"),
        ("{", "application/json"),
        ("", "application/json"),
        ('{"label": "pass", "note": "' + "x" * 5000 + '"}', "application/json"),
        (json.dumps({"label": "pass", "note": "x" * 301}), "application/json"),
    ],
)
def test_a_bad_label_is_refused_and_not_sent(
    bench: PageBench, client: httpx.Client, content: str, content_type: str
) -> None:
    told = answering(bench)
    answer = client.post(f"/api/inspection/{frame(3)}/label", content=content, headers={"content-type": content_type})
    assert answer.status_code == 400
    assert told == []


def test_a_label_needs_a_post(bench: PageBench, client: httpx.Client) -> None:
    assert client.get(f"/api/inspection/{frame(3)}/label").status_code == 405
    assert client.post("/api/state").status_code == 405
