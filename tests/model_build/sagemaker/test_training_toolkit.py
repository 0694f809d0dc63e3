"""AWS's own training toolkit, as its containers have it, runs our training script out of the source archive."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from model_build.pipelines.source import ARCHIVE_FILE, archive
from model_build.training.run import read_history, read_run
from tests.unit.model_build.runs import data_folder

ROOT = Path(__file__).resolve().parents[3]
TOOLKIT = ROOT / ".venv-sagemaker-training/bin"
# The toolkit starts the script with its own Python; torch and the rest come from the environment that trains.
LIBRARIES = ROOT / ".venv-train/lib/python3.11/site-packages"


def job(base: Path, hyperparameters: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a training job whose /opt/ml is `base`."""
    config = base / "input" / "config"
    config.mkdir(parents=True)
    for folder in ("model", "output/data", "input/data/data"):
        (base / folder).mkdir(parents=True, exist_ok=True)
    (base / ARCHIVE_FILE).write_bytes(archive())
    entry = {"sagemaker_program": "train.py", "sagemaker_submit_directory": str(base / ARCHIVE_FILE)}
    settings = {
        "hyperparameters": hyperparameters | entry,
        "inputdataconfig": {"data": {"TrainingInputMode": "File"}},
        "resourceconfig": {"current_host": "localhost", "hosts": ["localhost"], "network_interface_name": "lo"},
    }
    for name, content in settings.items():
        (config / f"{name}.json").write_text(json.dumps(content))
    environment = {
        "SAGEMAKER_BASE_DIR": str(base),
        "PATH": f"{TOOLKIT}:{os.environ['PATH']}",
        "PYTHONPATH": str(LIBRARIES),
        "LINEWATCH_INSTALL": "0",
        "HOME": str(base),
    }
    return subprocess.run(
        [str(TOOLKIT / "train")], env=environment, cwd=base, capture_output=True, text=True, check=False
    )


@pytest.mark.timeout(900)
def test_the_toolkit_trains_and_the_run_lies_in_the_model_folder(tmp_path: Path) -> None:
    base = tmp_path / "ml"
    (base / "input/data/data").mkdir(parents=True)
    data_folder(tmp_path).rename(base / "input/data/data/prepared")
    flags = {"model": "inspector", "epochs": "1", "steps": "2", "batch": "2", "pixels": "6144", "seed": "3"}
    done = job(base, flags)
    assert done.returncode == 0, done.stdout + done.stderr
    run = read_run(base / "model/run")
    assert (run.model, run.seed, run.plan.epochs, run.plan.steps) == ("inspector", 3, 1, 2)
    assert (base / "model/run/model.onnx").is_file()
    assert read_history(base / "output/data") == read_history(base / "model/run")


def test_a_wrong_hyperparameter_fails_the_job(tmp_path: Path) -> None:
    done = job(tmp_path / "ml", {"model": "inspector", "epochs": "many"})
    assert done.returncode != 0
    assert "invalid int value: 'many'" in done.stdout + done.stderr
    assert "ExitCode 2" in (tmp_path / "ml/output/failure").read_text()  # the job's failure reason
