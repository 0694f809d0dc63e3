"""DLR in a process of its own: right answers, and whatever becomes of that process, the agent serves on."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from linewatch_agent.backends.dlr.backend import DlrBackend, DlrNet, Patience, installed_runtime
from linewatch_agent.backends.dlr.process import DlrProcess
from linewatch_agent.backends.dlr.wire import Described, Load, Loaded
from linewatch_agent.errors import NotLoadableError, RuntimeEndedError
from linewatch_agent.folders import Format
from linewatch_agent.loading import ModelLoader
from linewatch_agent.trust import Trust
from linewatch_agent_api.client import AgentClient
from linewatch_agent_api.errors import AgentRefusedError

from tests.unit.agent.support import MODELS, model_folder, running_core, short_folder, wait_until

NEO = MODELS / "neo"  # made by tests/data/make_neo.py
PICTURE = np.full((1, 4, 4, 3), 51, np.uint8)
# Between DLR and ONNX Runtime on the same net; both compute in float32, in another order.
AGREEMENT = 1e-5

pytestmark = pytest.mark.skipif(installed_runtime() is None, reason="the extra dlr is not installed")


@pytest.fixture
def client() -> Iterator[tuple[AgentClient, Path]]:
    with short_folder() as folder, running_core(folder) as (_, socket), AgentClient(socket) as client:
        yield client, folder


def copied(folder: Path, name: str = "score") -> Path:
    """A whole Neo result in a folder of its own below `folder`."""
    return Path(shutil.copytree(NEO / name, Path(tempfile.mkdtemp(dir=folder)) / "neo"))


def refused(client: AgentClient, folder: Path) -> str:
    """The reason; and the next request works."""
    with pytest.raises(AgentRefusedError) as error:
        client.load("wrong", folder)
    assert error.value.code == "FAILED_PRECONDITION"
    assert "\n" not in str(error.value)
    client.load("right", copied(folder.parent))
    assert client.predict("right", {"picture": PICTURE})["score"].item() == pytest.approx(0.2)
    return str(error.value)


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_it_answers_as_the_net_that_was_compiled() -> None:
    net = DlrBackend(1).load(NEO / "net" / "compiled.so")
    with np.load(NEO / "net.npz") as known:
        for picture, mask, score in zip(known["image"], known["mask"], known["score"], strict=True):
            outputs = net.predict({"image": picture})
            assert list(outputs) == ["mask", "score"]
            assert np.allclose(outputs["mask"], mask, rtol=0, atol=AGREEMENT)
            assert np.allclose(outputs["score"], score, rtol=0, atol=AGREEMENT)


def test_without_a_description_outputs_are_numbered(tmp_path: Path) -> None:
    folder = copied(tmp_path, "net")
    (folder / "compiled.meta").unlink()
    net = DlrBackend(1).load(folder / "compiled.so")
    assert [str(spec) for spec in (*net.inputs, *net.outputs)] == [
        "'image' uint8[1, 16, 16, 3]",
        "'output_0' float32[1, 2, 8, 8]",
        "'output_1' float32[1, 1]",
    ]


def test_a_neo_folder_is_served_and_counts_with_its_process(client: tuple[AgentClient, Path]) -> None:
    agent, folder = client
    agent.load("neo", copied(folder))
    assert agent.predict("neo", {"picture": PICTURE})["score"].item() == pytest.approx(0.2)
    loader = ModelLoader({Format.NEO: DlrBackend(1)}, Trust())
    model = loader.load(loader.find(NEO / "net"), "net")
    assert isinstance(model.net, DlrNet)
    assert model.memory_bytes >= 0.9 * model.net.outside_bytes > 5_000_000


def test_a_crash_while_it_is_loaded_is_that_models_refusal(client: tuple[AgentClient, Path]) -> None:
    agent, folder = client
    broken = copied(folder, "net")
    shutil.copy(NEO / "crash.so", broken / "compiled.so")
    assert "DLR cannot load it: its process crashed by SIGILL" in refused(agent, broken)


def test_a_crash_in_service_is_that_models_alone(client: tuple[AgentClient, Path]) -> None:
    agent, folder = client
    known = set(children())
    agent.load("first", copied(folder))
    (pid,) = set(children()) - known
    agent.load("second", copied(folder))
    agent.load("onnx", model_folder(folder / "onnx"))
    os.kill(pid, signal.SIGSEGV)
    for _ in range(2):
        with pytest.raises(AgentRefusedError, match="crashed by SIGSEGV; unload the model and load it again") as error:
            agent.predict("first", {"picture": PICTURE})
        assert error.value.code == "INTERNAL"
    for name in ("second", "onnx"):
        assert agent.predict(name, {"picture": PICTURE})["score"].item() == pytest.approx(0.2)
    agent.unload("first")
    agent.load("first", copied(folder))
    assert agent.predict("first", {"picture": PICTURE})["score"].item() == pytest.approx(0.2)


def children() -> list[int]:
    return [int(pid) for path in Path("/proc/self/task").glob("*/children") for pid in path.read_text().split()]


def test_its_threads_sleep_soon_after_a_prediction() -> None:
    net = DlrBackend(2).load(NEO / "net" / "compiled.so")
    net.predict({"image": np.zeros((1, 16, 16, 3), np.uint8)})
    before = processor_seconds(net.pid)
    time.sleep(0.5)
    # DLR's own threads look for work that long, on half of the cores.
    assert processor_seconds(net.pid) - before < 0.06


def processor_seconds(pid: int) -> float:
    used = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return sum(map(int, used)) / os.sysconf("SC_CLK_TCK")


def test_a_hang_ends_with_its_process() -> None:
    net = DlrBackend(1, Patience(load=60, run=0.5)).load(NEO / "score" / "compiled.so")
    os.kill(net.pid, signal.SIGSTOP)
    assert net.ended == ""
    for _ in range(2):
        with pytest.raises(RuntimeEndedError, match=r"did not answer within 0\.5 s and was ended"):
            net.predict({"picture": PICTURE})
    assert net.ended == "compiled.so: DLR's process did not answer within 0.5 s and was ended"
    wait_until(lambda: not running(net.pid))


def test_an_end_is_seen_without_a_prediction() -> None:
    net = DlrBackend(1).load(NEO / "score" / "compiled.so")
    assert net.ended == ""
    os.kill(net.pid, signal.SIGKILL)
    wait_until(lambda: net.ended != "")
    assert net.ended == "compiled.so: DLR's process crashed by SIGKILL"


def test_a_process_that_answers_nonsense_is_ended() -> None:
    """Here: fewer bytes than its outputs are said to have."""
    process, loaded = started(NEO / "score")
    more = tuple(Described(spec.name, spec.dtype, (*spec.shape, 2)) for spec in loaded.outputs)
    net = DlrNet("compiled.so", process, Loaded(loaded.inputs, more), 30)
    with pytest.raises(RuntimeEndedError, match="answered something else and was ended"):
        net.predict({"picture": PICTURE})
    assert net.ended
    wait_until(lambda: not running(net.pid))


def started(folder: Path) -> tuple[DlrProcess, Loaded]:
    """A process that runs the model in `folder`, and what it says of it."""
    process = DlrProcess(1)
    process.start()
    files = tuple(f"./{path.name}" for path in folder.iterdir())
    loaded, _ = process.ask(Load(str(installed_runtime()), str(folder), files), (), 0, 60)
    assert isinstance(loaded, Loaded)
    return process, loaded


def test_the_process_ends_with_the_model() -> None:
    net = DlrBackend(1).load(NEO / "score" / "compiled.so")
    pid = net.pid
    assert running(pid)
    del net
    wait_until(lambda: not running(pid))


def test_the_process_ends_with_an_agent_that_is_killed() -> None:
    script = (
        "import sys, time; from pathlib import Path; from linewatch_agent.backends.dlr.backend import DlrBackend; "
        "net = DlrBackend(1).load(Path(sys.argv[1])); print(net.pid, flush=True); time.sleep(600)"
    )
    command = [sys.executable, "-c", script, str(NEO / "score" / "compiled.so")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as agent:
        assert agent.stdout is not None
        pid = int(agent.stdout.readline())
        os.kill(pid, signal.SIGSTOP)  # what hangs does not see that its link is gone
        agent.kill()
    wait_until(lambda: not running(pid))


def test_nothing_is_reported_to_its_maker_and_no_secret_is_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    package = tmp_path / "dlr"
    package.mkdir()
    (package / "__init__.py").write_text(f"open({str(tmp_path / 'imported')!r}, 'w')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "secret")
    folder = copied(tmp_path, "net")
    (folder / "compiled.meta").unlink()
    net = DlrBackend(1).load(folder / "compiled.so")
    assert "libdlr.so" in Path(f"/proc/{net.pid}/maps").read_text()
    assert not (tmp_path / "imported").exists(), "the Python part of dlr calls home"
    assert "secret" not in Path(f"/proc/{net.pid}/environ").read_text()
    # It prints on its own account: the agent's standard output is its log.
    assert capfd.readouterr() == ("", "")


def test_an_artefacts_own_library_needs_no_extra(tmp_path: Path) -> None:
    folder = copied(tmp_path)
    library = installed_runtime()
    assert library is not None
    shutil.copy(library, folder / "libdlr.so")
    net = DlrBackend(1, runtime=lambda: None).load(folder / "compiled.so")
    assert net.predict({"picture": PICTURE})["score"].item() == pytest.approx(0.2)


def _without(name: str) -> dict[str, bytes | None]:
    return {name: None}


_FOREIGN = bytes.fromhex("7f454c460201010000000000000000000300b700") + bytes(100)  # an ELF header for aarch64


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"compiled.so": _FOREIGN}, "is compiled for aarch64, this machine is x86_64"),
        ({"libdlr.so": _FOREIGN}, "is compiled for aarch64, this machine is x86_64"),
        (_without("compiled.params"), r"its weights \(.params\) is not beside it; unpack the whole result"),
        ({"compiled.params": None, "compiled_model.json": None}, "or it is a tree model"),
        ({"code.ro": b""}, "compiled for the Relay virtual machine"),
        ({"other.params": b""}, r"several files could be its weights \(.params\): compiled.params, other.params"),
        ({"compiled.params": b"rubbish" * 20}, "DLR cannot load it: Check failed: .+ Invalid parameters file format"),
        ({"compiled_model.json": b"{nope"}, "DLR cannot load it: Check failed"),
        ({"compiled.meta": b'{"Requirements": {"TargetDeviceType": "gpu"}}'}, 'requires device type "gpu"'),
        ({"model.onnx": b""}, "holds several models .compiled.so, model.onnx."),
    ],
)
def test_what_cannot_be_loaded_is_one_line(tmp_path: Path, files: dict[str, bytes | None], reason: str) -> None:
    folder = copied(tmp_path, "net")
    for name, content in files.items():
        if content is None:
            (folder / name).unlink()
        else:
            (folder / name).write_bytes(content)
    loader = ModelLoader({Format.NEO: DlrBackend(1)}, Trust())
    with pytest.raises(NotLoadableError, match=reason) as error:
        loader.load(loader.find(folder), "url")
    assert "\n" not in str(error.value)
