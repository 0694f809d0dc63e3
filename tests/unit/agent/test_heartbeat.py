"""The fields of the original's heartbeat: under its names, of models that really ran, within the message's bounds."""

from pathlib import Path

import botocore.session
import msgspec
import numpy as np
import pytest
from botocore.validate import ParamValidator
from linewatch_agent.captures.lines import Origin
from linewatch_agent.core import AgentCore
from linewatch_agent.heartbeat import MAX_NAMES, Activity, edge_heartbeat
from linewatch_agent.registry import Entry
from linewatch_agent_api.client import AgentClient, Capture
from linewatch_common.messages.status import EdgeHeartbeat

from tests.unit.agent.support import make_package, model_folder, running_core

ORIGIN = Origin("plant-a", "press-01")
LARGEST_BYTES = 3_500  # half of a message


def _beat(core: AgentCore) -> EdgeHeartbeat:
    return edge_heartbeat(ORIGIN, core.counters, core.registry.all(), core.activity)


def test_the_names_and_types_are_the_originals(folder: Path) -> None:
    with running_core(folder) as (core, socket), AgentClient(socket) as client:
        client.load("tiny", make_package(folder / "p"))
        client.load("bare", model_folder(folder / "bare"))
        client.predict("tiny", {"picture": np.zeros((1, 4, 4, 3), np.uint8)})
        client.capture(Capture(model="tiny", capture_id="c"))
        beat = _beat(core)
    tiny, bare = beat.models
    assert (tiny.model_name, tiny.model_version, bare.model_name, bare.model_version) == ("Tiny", "1.0.0", "bare", "")
    assert tiny.latest_inference
    assert tiny.latest_sample_time
    assert tiny.latest_sample_time >= tiny.latest_inference
    assert (bare.latest_inference, bare.latest_sample_time) == (None, None)
    assert {metric.metric_name: metric.value for metric in tiny.model_metrics}["Predictions"] == 1
    sent = msgspec.to_builtins(beat)
    assert sent.pop("ModelsOmitted") == 0  # ours
    operation = botocore.session.get_session().get_service_model("sagemaker-edge").operation_model("SendHeartbeat")
    assert ParamValidator().validate(sent, operation.input_shape).generate_report() == ""


def test_models_that_do_not_fit_are_counted_and_the_latest_used_stand_first(folder: Path) -> None:
    with running_core(folder) as (core, socket), AgentClient(socket) as client:
        client.load("tiny", make_package(folder / "p"))
        [entry] = core.registry.all()
        names = [f"{'m' * 120}-{number}" for number in range(50)]
        for name in names:
            core.registry.put(Entry(name, entry.model))
            core.activity.predicted(name, 0.01)
        beat = _beat(core)
    assert len(beat.models) >= 4
    assert len(beat.models) + beat.models_omitted == 51
    assert [model.model_metrics[0].dimension for model in beat.models] == names[::-1][: len(beat.models)]
    assert len(msgspec.json.encode(beat)) < LARGEST_BYTES


def test_names_that_clients_invent_do_not_add_up() -> None:
    activity = Activity()
    activity.sampled("first")
    activity.predicted("kept", 0.5)
    for number in range(MAX_NAMES - 1):
        activity.sampled(f"n{number}")
    assert activity.of("first").sampled_ns == 0
    assert activity.of("kept").seconds == pytest.approx(0.5)
