"""A package that ends the agent while it is proved ends it once: killed in a process of its own, as by the kernel for want of memory."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from linewatch_agent.backends.openvino_backend import OpenVinoBackend
from linewatch_agent.backends.port import Net
from linewatch_agent.folders import Format
from linewatch_common.messages.models import ModelActivated, ModelRefused

from tests.unit.agent.support import make_package, offer_of
from tests.unit.agent.test_roles import Bench


class _Deadly:
    """A runtime that the package of version 2.0.0 kills."""

    name = "deadly"

    def load(self, path: Path) -> Net:
        if "Tiny-2-0-0" in str(path):
            os.kill(os.getpid(), signal.SIGKILL)
        return OpenVinoBackend().load(path)


class _Slow:
    """A runtime that loads for as long as it is not let go."""

    name = "slow"

    def __init__(self) -> None:
        self.begun, self.go_on = threading.Event(), threading.Event()

    def load(self, path: Path) -> Net:
        self.begun.set()
        self.go_on.wait(20)
        return OpenVinoBackend().load(path)


def agent(work: Path, first: Path, second: Path) -> None:
    """An agent's process that serves the first package and is offered the second."""
    bench = Bench(work, backends={Format.ONNX: _Deadly()})
    bench.roles.answer(offer_of(first))
    bench.roles.answer(offer_of(second, nonce="n2"))


@pytest.fixture
def second(tmp_path: Path) -> Path:
    return make_package(tmp_path / "v2", version="2.0.0")


@pytest.fixture
def work(tmp_path: Path, second: Path) -> Path:
    """The folder of an agent that was killed by the second version while the first one served."""
    first = make_package(tmp_path / "v1")
    code = f"from pathlib import Path; from {__name__} import agent; agent(*map(Path, {[str(tmp_path / 'work'), str(first), str(second)]}))"
    ended = subprocess.run([sys.executable, "-c", code], check=False, timeout=120)
    assert ended.returncode == -signal.SIGKILL
    return tmp_path / "work"


@pytest.mark.parametrize("trial", [True, False])
def test_the_next_process_serves_what_served_and_refuses_it(work: Path, second: Path, trial: bool) -> None:
    again = Bench(work, backends={Format.ONNX: _Deadly()})
    assert again.serving == {"classifier": "Tiny-1-0-0"}
    answer = again.roles.answer(offer_of(second, trial=trial, nonce="n3"))
    assert isinstance(answer, ModelRefused)
    assert "the agent ended while it loaded and proved this package" in answer.reason
    assert "restart EdgeAgent to have it tried again" in answer.reason
    assert again.serving == {"classifier": "Tiny-1-0-0"}


def test_other_packages_are_proved_as_ever(work: Path, tmp_path: Path) -> None:
    third = make_package(tmp_path / "v3", version="3.0.0")
    assert isinstance(Bench(work).roles.answer(offer_of(third)), ModelActivated)


def test_a_restart_gives_it_another_chance(work: Path, second: Path) -> None:
    Bench(work)
    assert isinstance(Bench(work).roles.answer(offer_of(second)), ModelActivated)


def test_a_power_cut_is_not_the_packages_fault(work: Path, second: Path) -> None:
    mark = work / "models" / "proving.json"
    mark.write_text(json.dumps({**json.loads(mark.read_text()), "boot": "another"}))
    assert isinstance(Bench(work).roles.answer(offer_of(second)), ModelActivated)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff"])
def test_a_mark_that_cannot_be_read_accuses_nobody(work: Path, second: Path, content: bytes) -> None:
    (work / "models" / "proving.json").write_bytes(content)
    assert isinstance(Bench(work).roles.answer(offer_of(second)), ModelActivated)


def test_an_orderly_end_is_not_the_packages_fault(tmp_path: Path, second: Path) -> None:
    runtime = _Slow()
    bench = Bench(tmp_path / "work", backends={Format.ONNX: runtime})
    proof = threading.Thread(target=bench.roles.answer, args=(offer_of(second),))
    proof.start()
    assert runtime.begun.wait(20)
    assert (bench.work / "models" / "proving.json").exists()
    bench.roles.stop()  # and the process ends without a word from that thread
    accused = (bench.work / "models" / "proving.json").exists()
    runtime.go_on.set()
    proof.join(20)
    assert not accused


def test_a_proof_leaves_no_mark(tmp_path: Path, second: Path) -> None:
    bench = Bench(tmp_path / "work")
    bench.roles.answer(offer_of(second))
    bench.roles.answer(offer_of(make_package(tmp_path / "bad", version="3.0.0", golden_shift=0.5), nonce="n2"))
    assert not (bench.work / "models" / "proving.json").exists()
