"""linewatch's own client against a running agent."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import numpy as np
import pytest
from linewatch_agent_api.client import AgentClient, Auxiliary, Capture, CaptureState, Deadlines, TensorInfo
from linewatch_agent_api.errors import AgentFullError, AgentRefusedError, AlreadyExistsError, NotFoundError
from linewatch_common.errors import AgentUnavailableError, InputError

from tests.unit.agent.support import model_folder, running_core, wait_until

PICTURE = np.full((1, 4, 4, 3), 51, np.uint8)


def test_loads_describes_predicts_and_unloads(client: AgentClient, folder: Path) -> None:
    loaded = client.load("tiny", model_folder(folder / "m"))
    assert client.list() == (loaded,) == (client.describe("tiny"),)
    assert loaded.inputs == (TensorInfo("picture", "uint8", (1, 4, 4, 3)),)
    outputs = client.predict("tiny", {"picture": PICTURE})
    assert outputs["score"].item() == pytest.approx(0.2)
    client.unload("tiny")
    assert client.list() == ()


def test_an_array_that_is_not_contiguous_is_sent_as_it_reads(client: AgentClient, folder: Path) -> None:
    client.load("mask", model_folder(folder / "m", "mask"))
    picture = np.arange(48, dtype=np.uint8).reshape(1, 3, 4, 4).transpose(0, 2, 3, 1)
    assert np.array_equal(client.predict("mask", {"picture": picture})["mask"][0, 0], picture[0, :, :, 0])


def test_refusals_carry_the_code_and_the_agents_words(client: AgentClient, folder: Path) -> None:
    with pytest.raises(NotFoundError, match="not loaded"):
        client.predict("nobody", {})
    client.load("tiny", model_folder(folder / "m"))
    with pytest.raises(AlreadyExistsError):
        client.load("tiny", folder / "m")
    with pytest.raises(AgentRefusedError) as caught:
        client.predict("tiny", {"picture": PICTURE[0]})
    assert caught.value.code == "INVALID_ARGUMENT"
    with pytest.raises(InputError, match="bool cannot be sent"):
        client.predict("tiny", {"picture": PICTURE > 0})


def test_a_capture_is_followed_to_the_disk(client: AgentClient, folder: Path) -> None:
    client.load("tiny", model_folder(folder / "m"))
    client.capture(
        Capture("tiny", "c-1", {"picture": PICTURE}, {"score": np.ones((1, 1), np.float32)}, [Auxiliary("a.jpg", b"1")])
    )
    assert client.capture_status("c-1") in (CaptureState.IN_PROGRESS, CaptureState.SUCCESS)
    wait_until(lambda: client.capture_status("c-1") is CaptureState.SUCCESS)
    assert client.capture_status("nobody") is CaptureState.NOT_FOUND
    with pytest.raises(AlreadyExistsError):
        client.capture(Capture("tiny", "c-1"))


def test_a_full_buffer_is_its_own_error(client: AgentClient, folder: Path) -> None:
    client.load("tiny", model_folder(folder / "m"))
    with pytest.raises(AgentFullError, match="capture buffer full"):
        client.capture(Capture("tiny", "c", auxiliary_inputs=[Auxiliary("a.bin", bytes(1_000_001))]))


def test_an_agent_that_is_away_is_unavailable_and_found_again(folder: Path) -> None:
    with AgentClient(folder / "agent.sock", Deadlines(ask=5.0)) as client:
        with pytest.raises(AgentUnavailableError, match=r"agent\.sock"):
            client.list()
        for _ in range(2):
            with running_core(folder):
                wait_until(lambda: _answers(client))
    with pytest.raises(AgentUnavailableError, match="closed"):
        client.list()


def _answers(client: AgentClient) -> bool:
    try:
        client.list()
    except AgentUnavailableError:
        return False
    return True


def test_a_call_without_an_answer_ends_at_its_deadline(folder: Path) -> None:
    done = threading.Event()
    never = grpc.method_handlers_generic_handler(
        "AWS.SageMaker.Edge.Agent",
        {"ListModels": grpc.unary_unary_rpc_method_handler(lambda _request, _context: done.wait() and b"")},
    )
    server = grpc.server(ThreadPoolExecutor(1), handlers=[never])
    server.add_insecure_port(f"unix:{folder}/s")
    server.start()
    with (
        AgentClient(folder / "s", Deadlines(ask=0.5)) as client,
        pytest.raises(AgentUnavailableError, match=r"no answer within 0\.5 s"),
    ):
        client.list()
    done.set()
    server.stop(None).wait()


def test_stubs_and_errors_need_no_numpy() -> None:
    code = "import sys; import linewatch_agent_api.agent_pb2_grpc, linewatch_agent_api.errors; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
