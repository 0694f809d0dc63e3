"""A job's folders, its flags, its gate and the archive of its code."""

import io
import json
import random
import shutil
import tarfile
from pathlib import Path

import pytest
from linewatch_common.errors import InputError

from model_build.evaluation.opening import LOG_FILE
from model_build.jobs.flags import given
from model_build.jobs.gate import EVALUATION_FILE, GATE_FILE, write_gate
from model_build.jobs.places import Processing, processing, training
from model_build.jobs.processing import compile_model, evaluate, evaluate_compiled
from model_build.pipelines.source import archive
from tests.unit.model_build.runs import data_folder, run_folder

MODELS = Path(__file__).parents[2] / "data/models"


def test_a_processing_jobs_base_can_be_moved(tmp_path: Path) -> None:
    assert processing({}).base == Path("/opt/ml/processing")
    assert processing({"LINEWATCH_PROCESSING_BASE": "/elsewhere"}).base == Path("/elsewhere")
    assert processing({"LINEWATCH_PROCESSING_BASE": "/elsewhere"}, tmp_path).base == tmp_path


def test_a_missing_input_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="needs an input 'raw'"):
        Processing(tmp_path).input("raw")


def test_the_reason_of_a_failure_lies_where_sagemaker_reads_it(tmp_path: Path) -> None:
    Processing(tmp_path / "processing").say_why("prepare: " + "ä" * 2000)
    assert len((tmp_path / "output" / "message").read_bytes()) <= 1000
    assert (tmp_path / "output" / "message").read_text().startswith("prepare: ä")


def test_a_model_archive_that_leads_out_is_refused(tmp_path: Path) -> None:
    (tmp_path / "input" / "model").mkdir(parents=True)
    with tarfile.open(tmp_path / "input" / "model" / "model.tar.gz", "w:gz") as packed:
        packed.addfile(tarfile.TarInfo("../run.json"), io.BytesIO())
    with pytest.raises(InputError, match=r"model\.tar\.gz"):
        Processing(tmp_path).run()


def test_a_model_archive_that_was_cut_is_one_line(tmp_path: Path) -> None:
    """As an upload that broke off leaves it."""
    (tmp_path / "input/model").mkdir(parents=True)
    (tmp_path / "model.onnx").write_bytes(random.Random(0).randbytes(100_000))
    whole = tmp_path / "whole.tar.gz"
    with tarfile.open(whole, "w:gz") as archive:
        archive.add(tmp_path / "model.onnx", "run/model.onnx")
    (tmp_path / "input/model/model.tar.gz").write_bytes(whole.read_bytes()[:50_000])
    with pytest.raises(InputError, match=r"model\.tar\.gz: [^\n]+$"):
        Processing(tmp_path).run()


def test_a_training_job_takes_its_folders_from_the_toolkits_names(tmp_path: Path) -> None:
    names = {
        "SM_CHANNEL_DATA": "/data",
        "SM_MODEL_DIR": str(tmp_path / "model"),
        "SM_OUTPUT_DATA_DIR": str(tmp_path / "o"),
    }
    assert training(names).checkpoints is None
    (tmp_path / "checkpoints").mkdir()
    places = training(names)
    assert places.data == Path("/data/prepared")
    assert places.checkpoints == tmp_path / "checkpoints"
    with pytest.raises(InputError, match="SM_MODEL_DIR"):
        training({"SM_CHANNEL_DATA": "/data"})


def test_the_float_models_test_split_is_not_opened_again_for_its_copy(tmp_path: Path) -> None:
    """Another machine, as the next step's may be, says the same but for the last digits: other predictions of the same model."""
    data = data_folder(tmp_path)
    run_folder(tmp_path / "run", data, MODELS / "inspector.onnx")
    places = Processing(tmp_path / "processing")
    shutil.copytree(data, places.base / "input/data/prepared")
    (places.base / "input/model").mkdir()
    with tarfile.open(places.base / "input/model/model.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "run", "run")
    evaluate(places, ())
    compile_model(places, ("--target", "onnx"))
    for name, source in (("evaluated", "evaluation"), ("artefact", "artefact")):
        (places.base / "output" / source).rename(places.base / "input" / name)
    shutil.rmtree(places.base / "work/said")
    log = places.base / "input/evaluated" / LOG_FILE
    opening = json.loads(log.read_text())
    log.write_text(json.dumps(opening | {"predictions": "0" * 64}))
    evaluate_compiled(places, ())
    for name in (EVALUATION_FILE, GATE_FILE, LOG_FILE):
        made = places.base / "output/evaluation" / name
        assert made.read_bytes() == (places.base / "input/evaluated" / name).read_bytes()


def test_none_leaves_a_flag_out() -> None:
    assert given(["--layout", "none", "--seed", "3"]) == ["--seed", "3"]
    with pytest.raises(InputError, match="--name value"):
        given(["--seed"])


@pytest.mark.parametrize(("refusals", "passed"), [([], True), (["image AP 0.5 is below 0.9", "blind"], False)])
def test_the_gate_says_what_the_evaluation_says(tmp_path: Path, refusals: list[str], passed: bool) -> None:
    (tmp_path / EVALUATION_FILE).write_text(json.dumps({"refusals": refusals, "image_ap": 0.5, "other": 1}))
    write_gate(tmp_path)
    assert json.loads((tmp_path / GATE_FILE).read_text()) == {
        "passed": passed,
        "reason": "; ".join(refusals),
        "image_ap": 0.5,
    }


def test_an_evaluation_without_a_verdict_opens_no_gate(tmp_path: Path) -> None:
    (tmp_path / EVALUATION_FILE).write_text(json.dumps({"image_ap": 0.99}))
    with pytest.raises(InputError, match="refusals"):
        write_gate(tmp_path)


def test_the_archive_is_sorted_without_times_and_holds_what_a_container_starts() -> None:
    packed = archive()
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        names = tar.getnames()
        assert {member.mtime for member in tar.getmembers()} == {0}
    assert {"train.py", "requirements-torch.txt", "requirements-tensorflow.txt"} <= set(names)
    assert {"model_build/jobs/__main__.py", "linewatch_common/manifest.py", "linewatch_vision/preparation.py"} <= set(
        names
    )
    assert names == sorted(names)
