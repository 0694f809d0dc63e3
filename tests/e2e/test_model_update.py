"""A new model version takes over only after it has proved itself, and no frame is lost on the way.

One line goes through all of it, in the order of this file: two versions that are refused, then one that takes over.
"""

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from localcore.client import Deployment
from tests.e2e.traffic import Traffic
from tools.line import Line, LineSettings
from tools.line.line import ROOT

CLASSIFIER = "com.linewatch.model.SurfaceClassifier"
PACKAGE = ROOT / "components/models/SurfaceClassifier"
SECONDS = 60.0  # an install, a proof and an activation take about 5 s; a busy machine more


@dataclass(frozen=True)
class Running:
    """A line that inspects without end, and what it says."""

    line: Line
    traffic: Traffic
    like: str

    def deploy(self, out: Path, version: str) -> Deployment:
        core = self.line.core
        deployment = core.deploy(recipes=out / "recipes", artifacts=out / "artifacts", merge={CLASSIFIER: version})
        return core.wait(deployment, SECONDS)

    def judged_with(self, identifier: str) -> bool:
        last = self.traffic.of("linewatch.Verdict/1")[-1]
        return identifier in [use["identifier"] for use in last["models"]]

    def outcomes(self) -> dict[str, int]:
        return self.line.records.outcomes()


@pytest.fixture(scope="module", params=["lite", "classic"])
def running(
    request: pytest.FixtureRequest, bundle: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    traffic = Traffic()
    with (
        Line(LineSettings(fps=10.0, like=request.param), tmp_path_factory.mktemp("line")) as line,
        traffic.listening(line),
    ):
        line.deploy()
        line.wait_for(lambda: sum(line.records.outcomes().values()) >= 5, SECONDS, "the first verdicts")
        yield Running(line, traffic, request.param)


@pytest.fixture
def new_version(tmp_path: Path) -> Callable[..., Path]:
    """Build another version of the classifier; `spoil` may change its package first."""

    def build(version: str, spoil: Callable[[Path], None] = lambda _folder: None) -> Path:
        package, out = tmp_path / f"package-{version}", tmp_path / f"out-{version}"
        shutil.copytree(PACKAGE, package)
        manifest = json.loads((package / "manifest.json").read_text())
        (package / "manifest.json").write_text(json.dumps(manifest | {"version": version}))
        spoil(package)
        command = [sys.executable, str(ROOT / "components/build.py"), "--architecture", "host", "--quiet", "--component",
                   CLASSIFIER, "--package", f"{CLASSIFIER}={package}", "--out", str(out)]  # fmt: skip
        subprocess.run(command, check=True, cwd=ROOT, timeout=300)
        return out

    return build


def test_a_package_with_a_wrong_digest_never_reaches_the_agent(
    running: Running, new_version: Callable[..., Path]
) -> None:
    deployment = running.deploy(new_version("1.0.3", spoil=_flip_a_bit), "1.0.3")
    assert deployment.status == "FAILED"
    log = (running.line.root / "logs" / f"{CLASSIFIER}.log").read_text()
    assert "model.onnx" in log
    assert "1.0.3" in log
    assert "Traceback" not in log
    assert running.judged_with("SurfaceClassifier-1-0-0")


def test_a_model_that_fails_its_golden_set_is_refused_and_the_old_one_judges_on(
    running: Running, new_version: Callable[..., Path]
) -> None:
    deployment = running.deploy(new_version("1.0.2", spoil=_weights_of_the_segmenter), "1.0.2")
    assert deployment.status == "FAILED"
    judged = sum(running.outcomes().values())
    running.line.wait_for(lambda: sum(running.outcomes().values()) > judged + 5, SECONDS, "more verdicts")
    assert running.judged_with("SurfaceClassifier-1-0-0")
    assert set(running.outcomes()) <= {"pass", "fail", "review"}


def test_an_update_loses_no_frame(running: Running, new_version: Callable[..., Path]) -> None:
    deployment = running.deploy(new_version("1.0.1"), "1.0.1")
    assert deployment.succeeded, deployment.cause
    running.line.wait_for(lambda: running.judged_with("SurfaceClassifier-1-0-1"), SECONDS, "verdicts of 1.0.1")
    running.line.wait_for(lambda: bool(running.traffic.of("linewatch.ModelRetired/1")), SECONDS, "1.0.0 is dropped")
    assert set(running.outcomes()) <= {"pass", "fail", "review"}
    retired = [message["identifier"] for message in running.traffic.of("linewatch.ModelRetired/1")]
    assert "SurfaceClassifier-1-0-0" in retired


def _flip_a_bit(package: Path) -> None:
    weights = bytearray((package / "model.onnx").read_bytes())
    weights[len(weights) // 2] ^= 1
    (package / "model.onnx").write_bytes(weights)


def _weights_of_the_segmenter(package: Path) -> None:
    """A model that loads well and gives something else than promised; the digests are right."""
    other = ROOT / "components/models/SurfaceSegmenter/model.onnx"
    shutil.copyfile(other, package / "model.onnx")
    manifest = json.loads((package / "manifest.json").read_text())
    manifest["files"]["model.onnx"] = hashlib.sha256(other.read_bytes()).hexdigest()
    (package / "manifest.json").write_text(json.dumps(manifest))
