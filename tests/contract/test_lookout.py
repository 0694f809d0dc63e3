"""`AWS.LookoutVision` as a client of the original sees it: over a real socket, by its documented messages."""

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf.descriptor import FieldDescriptor
from linewatch_agent_api import edge_agent_pb2 as wire
from linewatch_agent_api.client import AgentClient
from linewatch_agent_api.edge_agent_pb2_grpc import EdgeAgentStub

from tests.disks import file_size_limit
from tests.unit.agent.support import make_package, model_folder, running_core, short_folder, wait_until

CALLS = ["DetectAnomalies", "StartModel", "StopModel", "ListModels", "DescribeModel"]
STATES = ["STOPPED", "STARTING", "RUNNING", "FAILED", "STOPPING"]
# Typed in from the public documentation: message, and its fields by number and name.
MESSAGES = {
    "SharedMemoryHandle": "1 name, 2 size, 3 offset",
    "Bitmap": "1 width, 2 height, 3 byte_data, 4 shared_memory_handle",
    "AnomalyMaskParams": "2 shared_memory_handle",
    "PixelAnomaly": "1 total_percentage_area, 2 hex_color",
    "Anomaly": "1 name, 2 pixel_anomaly",
    "DetectAnomaliesRequest": "1 model_component, 2 bitmap, 3 anomaly_mask_params",
    "DetectAnomaliesResponse": "1 detect_anomaly_result",
    "DetectAnomalyResult": "1 is_anomalous, 2 confidence, 3 anomaly_mask, 4 anomalies, 5 anomaly_score, 6 anomaly_threshold",
    "ModelDescription": "1 model_component, 2 lookout_vision_model_arn, 3 status, 4 status_message",
    "ModelMetadata": "1 model_component, 2 lookout_vision_model_arn, 3 status, 4 status_message",
    "StartModelRequest": "1 model_component",
    "StartModelResponse": "1 status",
    "StopModelRequest": "1 model_component",
    "StopModelResponse": "1 status",
    "ListModelsRequest": "",
    "ListModelsResponse": "1 models",
    "DescribeModelRequest": "1 model_component",
    "DescribeModelResponse": "1 model_description",
}
INVALID, MISSING, NOT_NOW = (
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.FAILED_PRECONDITION,
)


def test_the_interface_is_the_documented_one() -> None:
    file = wire.DESCRIPTOR
    service = file.services_by_name["EdgeAgent"]
    assert (service.full_name, [method.name for method in service.methods]) == ("AWS.LookoutVision.EdgeAgent", CALLS)
    assert [value.name for value in file.enum_types_by_name["ModelStatus"].values] == STATES
    found = {
        name: ", ".join(f"{field.number} {field.name}" for field in message.fields)
        for name, message in file.message_types_by_name.items()
    }
    assert found == MESSAGES
    sizes = file.message_types_by_name["SharedMemoryHandle"].fields[1:]
    assert {field.type for field in sizes} == {FieldDescriptor.TYPE_UINT64}
    assert file.message_types_by_name["Bitmap"].fields[0].type == FieldDescriptor.TYPE_INT32


@pytest.fixture(scope="module")
def work() -> Iterator[Path]:
    """An agent with a whole model, a classifier alone, a bare ONNX file, and a folder that is not there."""
    with short_folder() as folder:
        make_package(folder / "c")
        make_package(folder / "s", name="Where", role="segmenter")
        model_folder(folder / "bare")
        models = {"both": ["c", "s"], "one": ["c"], "bare": ["bare"], "gone": ["nowhere"], "role": ["role:classifier"]}
        with running_core(folder, lookout_socket=str(folder / "lookout.sock"), lookout_models=models):
            yield folder


@pytest.fixture
def stub(work: Path) -> Iterator[EdgeAgentStub]:
    unlimited = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
    with grpc.insecure_channel(f"unix://{work}/lookout.sock", options=unlimited) as channel:
        made = EdgeAgentStub(channel)
        yield made
        for model in made.ListModels(wire.ListModelsRequest()).models:
            if model.status == wire.RUNNING:
                made.StopModel(wire.StopModelRequest(model_component=model.model_component))


def state_of(stub: EdgeAgentStub, name: str) -> Any:
    return stub.DescribeModel(wire.DescribeModelRequest(model_component=name)).model_description


def start(stub: EdgeAgentStub, name: str, becomes: Any = wire.RUNNING) -> None:
    assert stub.StartModel(wire.StartModelRequest(model_component=name)).status == wire.STARTING
    wait_until(lambda: state_of(stub, name).status == becomes)


def picture(width: int = 100, height: int = 80, grey: int = 255) -> wire.Bitmap:
    return wire.Bitmap(width=width, height=height, byte_data=bytes([grey]) * (width * height * 3))


def detect(stub: EdgeAgentStub, name: str, bitmap: wire.Bitmap, **more: Any) -> Any:
    request = wire.DetectAnomaliesRequest(model_component=name, bitmap=bitmap, **more)
    return stub.DetectAnomalies(request).detect_anomaly_result


def refusal(call: Callable[[], Any]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value.code(), caught.value.details()


def test_the_states_of_a_model(stub: EdgeAgentStub, work: Path) -> None:
    listed = stub.ListModels(wire.ListModelsRequest()).models
    assert [model.model_component for model in listed] == ["both", "one", "bare", "gone", "role"]
    assert (listed[0].status, listed[0].status_message) == (wire.STOPPED, "")
    stop = wire.StopModelRequest(model_component="both")
    assert refusal(lambda: stub.StopModel(stop))[0] is NOT_NOW
    code, message = refusal(lambda: detect(stub, "both", picture()))
    assert (code, "call StartModel" in message) == (NOT_NOW, True)
    start(stub, "both")
    code, message = refusal(lambda: start(stub, "both"))
    assert (code, "is RUNNING" in message) == (NOT_NOW, True)
    with AgentClient(work / "agent.sock") as client:
        assert len(client.list()) == 2  # in the same memory budget
    assert stub.StopModel(stop).status == wire.STOPPED
    with AgentClient(work / "agent.sock") as client:
        assert client.list() == ()


@pytest.mark.parametrize(
    ("name", "reason"), [("bare", "no linewatch package"), ("gone", "nothing there"), ("role", "no package serves")]
)
def test_a_model_that_cannot_start_says_why_and_may_be_tried_again(stub: EdgeAgentStub, name: str, reason: str) -> None:
    for _ in range(2):
        start(stub, name, becomes=wire.FAILED)
        assert reason in state_of(stub, name).status_message


def test_a_model_that_nobody_configured_is_not_found(stub: EdgeAgentStub) -> None:
    calls: list[Callable[[], Any]] = [
        lambda: start(stub, "other"),
        lambda: state_of(stub, "other"),
        lambda: detect(stub, "other", picture()),
        lambda: stub.StopModel(wire.StopModelRequest(model_component="other")),
    ]
    assert [refusal(call)[0] for call in calls] == [MISSING] * 4


def test_a_verdict_with_mask_and_areas(stub: EdgeAgentStub) -> None:
    start(stub, "both")
    pixels = np.full((80, 100, 3), 255, np.uint8)
    pixels[:, 75:, 0] = 0  # the tiny segmenter's mask is the red channel, in cells of a quarter
    result = detect(stub, "both", wire.Bitmap(width=100, height=80, byte_data=pixels.tobytes()))
    assert (result.is_anomalous, result.anomaly_threshold) == (True, pytest.approx(0.8))
    assert result.confidence == result.anomaly_score == pytest.approx(1 - 1 / 12, abs=1e-3)
    mask = np.frombuffer(result.anomaly_mask.byte_data, np.uint8).reshape(80, 100, 3)
    assert mask[0, 0].tolist() == [0x23, 0xA4, 0x36]
    assert (mask[:, 75:] == 255).all()
    areas = [(anomaly.name, anomaly.pixel_anomaly.hex_color) for anomaly in result.anomalies]
    assert areas == [("background", "#FFFFFF"), ("scratch", "#23A436")]
    assert [anomaly.pixel_anomaly.total_percentage_area for anomaly in result.anomalies] == [0.25, 0.75]


def test_a_normal_part_and_a_classifier_alone(stub: EdgeAgentStub) -> None:
    start(stub, "both")
    start(stub, "one")
    result = detect(stub, "both", picture(grey=51))
    assert (result.is_anomalous, result.confidence) == (False, pytest.approx(0.8))
    assert [(anomaly.name, anomaly.pixel_anomaly.total_percentage_area) for anomaly in result.anomalies] == [
        ("background", 1.0)
    ]
    alone = detect(stub, "one", picture())
    assert (alone.is_anomalous, alone.HasField("anomaly_mask"), list(alone.anomalies)) == (True, False, [])


@pytest.fixture
def shared() -> Iterator[str]:
    """The name of a POSIX shared memory object that holds a white picture of 100x80, and room for its mask behind it."""
    name = f"lookout-test-{os.getpid()}"
    Path("/dev/shm", name).write_bytes(b"\xff" * 24_000 + bytes(24_000))
    yield name
    Path("/dev/shm", name).unlink()


def test_picture_and_mask_in_shared_memory(stub: EdgeAgentStub, shared: str) -> None:
    start(stub, "both")
    handle = wire.SharedMemoryHandle(name=f"/{shared}", size=24_000)
    room = wire.SharedMemoryHandle(name=shared, size=24_000, offset=24_000)
    bitmap = wire.Bitmap(width=100, height=80, shared_memory_handle=handle)
    result = detect(stub, "both", bitmap, anomaly_mask_params=wire.AnomalyMaskParams(shared_memory_handle=room))
    assert result.anomaly_mask.shared_memory_handle == room
    assert Path("/dev/shm", shared).read_bytes()[24_000:] == bytes([0x23, 0xA4, 0x36]) * 8000


def test_a_mask_that_the_object_takes_in_part_is_refused(stub: EdgeAgentStub, shared: str) -> None:
    start(stub, "both")
    room = wire.AnomalyMaskParams(shared_memory_handle=wire.SharedMemoryHandle(name=shared, offset=24_000))
    with file_size_limit(36_000):  # as a file system that becomes full
        code, message = refusal(lambda: detect(stub, "both", picture(), anomaly_mask_params=room))
    assert (code, "a part of the mask" in message) == (INVALID, True)


def test_bad_pictures_are_invalid_and_the_next_one_is_judged(stub: EdgeAgentStub, shared: str) -> None:
    start(stub, "both")

    def at(**fields: Any) -> wire.Bitmap:
        return wire.Bitmap(width=100, height=80, shared_memory_handle=wire.SharedMemoryHandle(**fields))

    def into(**fields: Any) -> dict[str, Any]:
        return {"anomaly_mask_params": wire.AnomalyMaskParams(shared_memory_handle=wire.SharedMemoryHandle(**fields))}

    cases: list[tuple[wire.Bitmap, dict[str, Any], str]] = [
        (picture(63, 80), {}, "width 63"),
        (picture(64, 4097), {}, "height 4097"),
        (wire.Bitmap(width=100, height=-80), {}, "height -80"),
        (wire.Bitmap(width=100, height=80, byte_data=b"\xff\xd8jpeg"), {}, "is it encoded"),
        (wire.Bitmap(width=100, height=80), {}, "0 bytes"),
        (at(name="no-such-object"), {}, "there is none"),
        (at(name="../etc/passwd"), {}, "want a name"),
        (at(name=shared, offset=24_001), {}, "it holds 48000 bytes"),
        (at(name=shared, offset=2**64 - 1), {}, "it holds 48000 bytes"),
        (at(name=shared, size=23_999), {}, "size 23999"),
        (picture(), into(name=shared, offset=24_001), "it holds 48000 bytes"),
        (picture(), into(name="linewatch-line1.ring"), "belongs to linewatch"),
    ]
    for bitmap, more, reason in cases:
        code, message = refusal(lambda bitmap=bitmap, more=more: detect(stub, "both", bitmap, **more))  # type: ignore[misc]  # bound to this turn
        assert (code, reason in message, "\n" in message) == (INVALID, True, False), (reason, code, message)
        assert detect(stub, "both", picture()).is_anomalous


def test_many_clients_at_once_are_answered_or_told_to_wait(stub: EdgeAgentStub) -> None:
    start(stub, "both")
    bitmap = picture(1200, 1000)
    codes: list[grpc.StatusCode] = []

    def ask() -> None:
        for _ in range(2):
            try:
                detect(stub, "both", bitmap)
                codes.append(grpc.StatusCode.OK)
            except grpc.RpcError as error:
                codes.append(error.code())

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert grpc.StatusCode.OK in codes
    assert set(codes) <= {grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED}


def test_a_model_that_the_other_interface_dropped_fails_and_starts_again(stub: EdgeAgentStub, work: Path) -> None:
    start(stub, "one")
    with AgentClient(work / "agent.sock") as client:
        client.unload(client.list()[0].name)
    code, message = refusal(lambda: detect(stub, "one", picture()))
    assert (code, "start it again" in message) == (NOT_NOW, True)
    assert state_of(stub, "one").status == wire.FAILED
    start(stub, "one")
    assert detect(stub, "one", picture()).is_anomalous
