"""The command line with a real net on tiny data: killed and resumed, predicted, evaluated, on a full disk."""

import itertools
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from model_build.__main__ import main
from model_build.data.prepared import PreparedSet
from model_build.training.run import HISTORY_FILE, MODEL_FILE, RUN_FILE, read_history, read_run
from tests.unit.model_build.pictures import picture, reference, save

QUICK = ["--epochs", "5", "--steps", "2", "--batch", "4"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("set")
    assert main(["prepare", str(reference(folder / "raw", 10, 8)), str(folder / "data"), "--folds", "2"]) == 0
    return folder / "data"


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing interrupted."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    assert main(["train", str(data), str(folder), "--seed", "4", *QUICK]) == 0
    return folder


_LIMITED = """
import resource, signal, sys
from model_build.__main__ import main
limit = int(sys.argv[1]) or resource.RLIM_INFINITY
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
sys.exit(main(sys.argv[2:]))
"""


def started(arguments: list[str], limit: int = 0) -> subprocess.Popen[str]:
    """The command in a process of its own; `limit`: the largest file that it may write."""
    return subprocess.Popen(
        [sys.executable, "-c", _LIMITED, str(limit), *arguments],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )


def test_the_documented_commands_run_from_a_bare_shell(tmp_path: Path) -> None:
    """This environment finds the checkout by itself, wherever it is called."""
    bare = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-m", "model_build", "train", "--help"]
    done = subprocess.run(command, cwd=tmp_path, env=bare, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    assert "--tiles W,H,OVERLAP" in done.stdout


def test_a_killed_run_resumed_follows_the_same_loss_curve(data: Path, run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "killed"
    command = ["train", str(data), str(folder), "--seed", "4", *QUICK]
    process = started(command)
    for _ in range(2400):  # it takes seconds; a minute on a crowded machine
        if (folder / HISTORY_FILE).exists() and len(read_history(folder)) >= 4:
            break
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.025)
    process.kill()
    process.communicate(timeout=60)
    assert not (folder / RUN_FILE).exists()
    assert main([*command, "--resume"]) == 0
    curves = [
        np.array(list(itertools.chain(*(epoch.losses for epoch in read_history(path))))) for path in (run, folder)
    ]
    np.testing.assert_allclose(curves[1], curves[0], atol=1e-4)
    assert read_run(folder).folds == read_run(run).folds


def test_a_run_is_predicted_by_the_devices_runtime_and_judged(data: Path, run: Path, tmp_path: Path) -> None:
    assert main(["predict", str(run), str(data), str(run / "test")]) == 0
    command = [
        "evaluate",
        str(data),
        str(tmp_path),
        "--validation",
        str(run / "validation"),
        "--test",
        str(run / "test"),
    ]
    assert main(command) in (0, 1)  # so short a course may well be refused by the gate
    assert (tmp_path / "evaluation.json").exists()
    assert main(["predict", str(run), str(data), str(run / "test")]) == 1


def test_a_full_disk_ends_with_one_line_and_resume_goes_on(data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "full"
    command = ["train", str(data), str(folder), *QUICK]
    process = started(command, limit=1_000_000)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 1
    assert "cannot write" in said.strip().splitlines()[-1]
    assert "Traceback" not in said
    assert not [path for path in folder.rglob("*") if path.name.startswith(".")]
    assert main([*command, "--resume"]) == 0


def test_good_pictures_alone_train_too(tmp_path: Path) -> None:
    for number in range(12):
        save(tmp_path / "raw" / "normal" / f"{number:03d}.png", picture(number))
    (tmp_path / "raw" / "anomalous").mkdir()
    assert main(["prepare", str(tmp_path / "raw"), str(tmp_path / "data"), "--folds", "2"]) == 0
    assert not any(entry.defective for entry in PreparedSet.open(tmp_path / "data").index.entries)
    assert main(["train", str(tmp_path / "data"), str(tmp_path / "run"), *QUICK]) == 0
    assert read_run(tmp_path / "run").plan.synthetic == 0.5
    assert (tmp_path / "run" / MODEL_FILE).exists()
