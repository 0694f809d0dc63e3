"""The whole line: camera to verdict over a real core, on the artefacts that a device runs."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import jsonschema
import pytest

from tests.e2e.traffic import Traffic
from tests.e2e.truth import demo_truth
from tools.channels import CHANNELS
from tools.line import COMPONENTS, Inspected, Line, LineSettings
from tools.schemas import json_schema

FRAMES = 60
FPS = 10.0
FINISH_SECONDS = 60.0  # 6 s of frames, start-up, and a busy machine

SCHEMAS = {
    channel.address.format(station="line1", thing="local"): {
        schema["properties"]["schema"]["enum"][0]: schema for schema in (json_schema(type(m)) for m in channel.messages)
    }
    for channel in CHANNELS
}


@dataclass(frozen=True)
class Finished:
    """A run that has ended: what was said and what was written."""

    traffic: Traffic
    rows: list[Inspected]
    unaccounted: list[str]
    states: dict[str, str]
    memory: dict[str, int]


@pytest.fixture(scope="module", params=["lite", "classic"])
def run(request: pytest.FixtureRequest, bundle: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Finished]:
    traffic = Traffic()
    settings = LineSettings(frames=FRAMES, fps=FPS, like=request.param)
    with Line(settings, tmp_path_factory.mktemp("line")) as line, traffic.listening(line):
        line.deploy()
        line.wait_for(lambda: sum(line.records.outcomes().values()) >= FRAMES, FINISH_SECONDS, f"{FRAMES} outcomes")
        line.wait_for(lambda: len(traffic.of("linewatch.InspectionStored/1")) >= FRAMES, FINISH_SECONDS, "all stored")
        yield Finished(
            traffic,
            line.records.rows(),
            line.records.unaccounted(),
            {component.name: component.state for component in line.core.list_components()},
            line.memory(),
        )


def test_every_component_runs(run: Finished) -> None:
    assert run.states == dict.fromkeys(COMPONENTS, "RUNNING")


def test_every_captured_frame_has_exactly_one_outcome(run: Finished) -> None:
    assert run.unaccounted == []
    assert [row.sequence for row in run.rows] == list(range(1, FRAMES + 1))


def test_the_verdicts_on_the_topic_are_those_of_the_ledger(run: Finished) -> None:
    published = {message["frame_id"]: message for message in run.traffic.of("linewatch.Verdict/1")}
    assert published == {row.frame_id: row.verdict for row in run.rows}


def test_all_traffic_keeps_to_the_published_schemas(run: Finished) -> None:
    heard: Counter[str] = Counter()
    for topic, message in run.traffic.all():
        jsonschema.validate(message, SCHEMAS[topic][message["schema"]])
        heard[message["schema"]] += 1
    assert heard["linewatch.FrameCaptured/1"] == FRAMES
    assert heard["linewatch.ModelActivated/1"] >= 2
    assert heard["linewatch.Heartbeat/1"] > 0


def test_the_verdict_comes_before_the_picture_is_stored(run: Finished) -> None:
    order = [(m["schema"], m["frame_id"]) for t, m in run.traffic.all() if t.endswith("/verdicts")]
    for row in run.rows:
        verdict = order.index(("linewatch.Verdict/1", row.frame_id))
        assert verdict < order.index(("linewatch.InspectionStored/1", row.frame_id))


def test_the_sample_models_tell_good_parts_from_bad(run: Finished) -> None:
    truth = demo_truth()
    judged = [row for row in run.rows if row.outcome in ("pass", "fail", "review")]
    right = [row for row in judged if (row.outcome != "pass") == truth[row.verdict["part_id"]]]
    assert len(judged) >= FRAMES * 0.8
    assert len(right) >= len(judged) * 0.85


def test_a_verdict_says_which_models_judged_and_how_long_each_stage_took(run: Finished) -> None:
    failed = next(row.verdict for row in run.rows if row.outcome == "fail")
    assert {use["role"]: use["version"] for use in failed["models"]} == {"classifier": "1.0.0", "segmenter": "1.0.0"}
    assert failed["defects_total"] >= 1
    total = failed["timings_ms"]["total"]
    assert sum(ms for stage, ms in failed["timings_ms"].items() if stage != "total") == pytest.approx(total, rel=0.1)


def test_the_bundle_keeps_its_memory(run: Finished) -> None:
    assert sum(run.memory.values()) <= 900_000_000
