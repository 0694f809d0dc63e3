"""Compiling: what loses too much is refused, what is written is whole, and the fastest recipe that will do is taken."""

from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import openvino
import pytest
from linewatch_agent.backends.openvino_backend import OpenVinoBackend
from linewatch_common.errors import InputError
from linewatch_common.manifest import load_manifest
from linewatch_vision.golden import read_golden
from openvino import opset13 as ops

from model_build.__main__ import main
from model_build.compiling import targets
from model_build.compiling.artefact import ARTEFACT_FILE, LATENCY_FILE, Format, Tolerance, read_artefact
from model_build.compiling.compiler import Job, compile_to
from model_build.compiling.latency import Latency
from model_build.compiling.pictures import Calibration, choose_pictures
from model_build.compiling.running import OPENVINO_OPTIONS, open_model
from model_build.compiling.source import read_float
from model_build.compiling.targets import AsItIs, Target
from model_build.data.prepared import PreparedSet
from model_build.data.splits import SPLITS_FILE, TRAIN, read_splits
from model_build.evaluation.operating_point import Target as Operating
from tests.unit.model_build.runs import data_folder, run_folder, synced

MODELS = Path(__file__).parents[2] / "data/models"
ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Changed:
    """The float model with its score multiplied and shifted, as OpenVINO's own form: a recipe that may lose."""

    name: str
    factor: float = 1.0
    offset: float = 0.0
    blind: bool = False
    format: Format = "openvino"

    def make(self, model: Path, calibration: Calibration, folder: Path) -> str:
        """See Recipe."""
        assert len(list(calibration.tensors())) == len(calibration.ids) > 0
        read = openvino.Core().read_model(model)
        by_name = {output.get_any_name(): output.node.input_value(0) for output in read.outputs}
        for output in by_name.values():
            output.get_tensor().set_names(set())
        score = ops.add(ops.multiply(by_name["score"], np.float32(self.factor)), np.float32(self.offset))
        mask = ops.multiply(by_name["mask"], np.float32(0.0 if self.blind else 1.0))
        for node, name in ((score, "score"), (mask, "mask")):
            node.output(0).get_tensor().set_names({name})
        openvino.save_model(openvino.Model([score, mask], read.get_parameters()), folder / "model.xml", False)
        return "model.xml"


@dataclass(frozen=True)
class Impossible:
    """A recipe that the quantiser refuses."""

    name: str = "impossible"
    format: Format = "onnx"

    def make(self, model: Path, calibration: Calibration, folder: Path) -> str:
        """See Recipe."""
        (folder / "half").write_bytes(b"half")
        raise InputError("cannot be quantised")


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("compiling")
    data = data_folder(folder)
    return data, run_folder(folder / "run", data, MODELS / "inspector.onnx")


@pytest.fixture
def job(places: tuple[Path, Path]) -> Job:
    data = PreparedSet.open(places[0])
    splits = read_splits(places[0] / SPLITS_FILE, data)
    pictures = choose_pictures(data, splits.splits[TRAIN], 0, 6, 100)
    return Job(read_float(places[1], data, splits, Operating()), data, pictures, 0, Tolerance())


def quiet(line: str) -> None:
    """Nobody reads it."""


def left_behind(out: Path) -> list[str]:
    return sorted(path.name for path in out.parent.iterdir())


def test_the_float_model_loses_nothing(job: Job, tmp_path: Path) -> None:
    made = compile_to(targets.onnx(), job, tmp_path / "out", tell=quiet)
    assert made == read_artefact(tmp_path / "out")
    found = made.comparison
    assert found is not None
    assert found.image_ap is not None
    assert found.pixel_ap is not None
    assert (found.image_ap.loss, found.pixel_ap.loss, found.flips, found.score_difference) == (0, 0, 0, 0)
    assert found.image_ap.floating == 1
    assert found.seen
    assert made.files["model.onnx"] == job.floating.run.onnx
    latency = msgspec.json.decode((tmp_path / "out" / LATENCY_FILE).read_bytes(), type=Latency)
    assert latency.cores > 0
    assert set(latency.models) == {"float"}
    assert LATENCY_FILE not in made.files


def test_the_same_job_gives_the_same_artefact(job: Job, tmp_path: Path) -> None:
    for name in ("one", "two"):
        compile_to(targets.onnx(), job, tmp_path / name, tell=quiet)
    assert (tmp_path / "one" / ARTEFACT_FILE).read_bytes() == (tmp_path / "two" / ARTEFACT_FILE).read_bytes()


@pytest.mark.parametrize(
    ("recipe", "line"),
    [
        (Changed("turned", factor=-1, offset=1), r"loses 0\.\d+ of image AP \(1\.0000 to"),
        (Changed("blind", blind=True), r"loses 0\.\d+ of pixel AP"),
        (Changed("shy", offset=-0.4), r"judges \d+ of \d+ pictures otherwise"),
    ],
    ids=["image AP", "pixel AP", "verdicts"],
)
def test_what_loses_too_much_is_refused_and_nothing_is_left(
    job: Job, recipe: Changed, line: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=rf"no recipe will do: {recipe.name} .*{line}") as refused:
        compile_to(Target("any", ((recipe,),)), job, tmp_path / "out", tell=quiet)
    assert "\n" not in str(refused.value)
    assert left_behind(tmp_path / "out") == []


def test_a_later_stage_is_tried_when_the_first_loses_too_much(job: Job, tmp_path: Path) -> None:
    stages = ((Changed("blind", blind=True), Impossible()), (Changed("careful", offset=0.001),))
    made = compile_to(Target("any", stages), job, tmp_path / "out", tell=quiet)
    assert (made.recipe, made.format, made.model) == ("careful", "openvino", "model.xml")
    assert sorted(made.files) == ["model.bin", "model.xml"]
    outcomes = {one.recipe: one.outcome for one in made.tried}
    assert outcomes["impossible"] == "cannot be quantised"
    assert "pixel AP" in outcomes["blind"]
    assert outcomes["careful"] == "taken"
    assert made.comparison is not None
    assert made.comparison.score_difference == pytest.approx(0.001, abs=1e-5)


def test_a_model_that_gives_no_numbers_is_no_model(job: Job, places: tuple[Path, Path], tmp_path: Path) -> None:
    broken = Changed("broken", factor=float("nan"))
    stages = ((broken,), (AsItIs(name="float-again"),))
    made = compile_to(Target("try", stages), job, tmp_path / "out", tell=quiet)
    assert made.recipe == "float-again"
    assert "are no numbers" in made.tried[0].outcome
    (tmp_path / "broken").mkdir()
    file = broken.make(places[1] / "model.onnx", job.calibration, tmp_path / "broken")
    said, command = tmp_path / "said", ["predict", str(places[1]), str(places[0])]
    assert main([*command, str(said), "--artefact", str(tmp_path / "broken" / file)]) == 1
    assert not (said / "predictions.json").exists(), "it would say 0, which is good"


def test_an_artefact_is_never_replaced_and_a_change_is_seen(job: Job, tmp_path: Path) -> None:
    compile_to(targets.onnx(), job, tmp_path / "out", tell=quiet)
    with pytest.raises(InputError, match="never replaced"):
        compile_to(targets.onnx(), job, tmp_path / "out", tell=quiet)
    with (tmp_path / "out" / "model.onnx").open("ab") as file:
        file.write(b"x")
    with pytest.raises(InputError, match=r"model\.onnx: was changed"):
        read_artefact(tmp_path / "out")


def test_an_artefact_lies_on_the_disk_before_it_appears(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    durable = synced(monkeypatch)
    compile_to(targets.onnx(), job, tmp_path / "out", tell=quiet)
    files = {path.name: path.stat().st_ino in durable for path in (tmp_path / "out").rglob("*")}
    assert set(files) == {"model.onnx", ARTEFACT_FILE, LATENCY_FILE}
    assert all(files.values()), files


def test_calibration_and_comparison_share_no_picture(job: Job, places: tuple[Path, Path]) -> None:
    data = PreparedSet.open(places[0])
    training = read_splits(places[0] / SPLITS_FILE, data).splits[TRAIN]
    for seed in (0, 1):
        chosen = choose_pictures(data, training, seed, 1000, 1000)
        assert set(chosen.calibration) | set(chosen.comparison) == set(training)
        assert not set(chosen.calibration) & set(chosen.comparison)
        for names in (chosen.calibration, chosen.comparison):
            assert {data.entry(name).defective for name in names} == {True, False}
    assert choose_pictures(data, training, 0, 6, 9) == choose_pictures(data, training[::-1], 0, 6, 9)
    assert choose_pictures(data, training, 0, 6, 9) != choose_pictures(data, training, 1, 6, 9)
    with pytest.raises(InputError, match="at least 4"):
        choose_pictures(data, training[:3], 0, 6, 9)


def test_good_pictures_are_compared_however_many_defective_ones_there_are(places: tuple[Path, Path]) -> None:
    data = PreparedSet.open(places[0])
    training = read_splits(places[0] / SPLITS_FILE, data).splits[TRAIN]
    bad = [name for name in training if data.entry(name).defective]
    for compare in (2, 3, len(bad) - 1):
        chosen = choose_pictures(data, training, 0, 1, compare).comparison
        assert len(chosen) == compare
        assert sum(name in bad for name in chosen) == (compare + 1) // 2
    few_good = [*bad, *(name for name in training if name not in bad)][: len(bad) + 1]
    assert len(choose_pictures(data, few_good, 0, 1, len(bad)).comparison) == len(bad)


def test_a_run_of_other_data_or_a_changed_model_is_refused(places: tuple[Path, Path], tmp_path: Path) -> None:
    data = PreparedSet.open(places[0])
    splits = read_splits(places[0] / SPLITS_FILE, data)
    run = run_folder(tmp_path / "run", places[0], MODELS / "inspector.onnx")
    (run / "model.onnx").write_bytes((MODELS / "fused.onnx").read_bytes())
    with pytest.raises(InputError, match=r"model\.onnx: was changed"):
        read_float(run, data, splits, Operating())
    other = PreparedSet.open(data_folder(tmp_path, good=12))
    with pytest.raises(InputError, match="trained on other data"):
        read_float(places[1], other, read_splits(other.folder / SPLITS_FILE, other), Operating())


def test_the_command_line_compiles_and_says_what_is_missing(
    places: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, run = (str(place) for place in places)
    assert main(["compile", run, str(tmp_path / "a"), "--data", data, "--target", "onnx"]) == 0
    assert "image AP: 1.0000 float, 1.0000 compiled" in capsys.readouterr().out
    for target, line in (
        ("neo", "needs --neo-role"),
        ("tflite-int8", "use onnx-int8"),
    ):
        assert main(["compile", run, str(tmp_path / "b"), "--data", data, "--target", target]) == 1
        assert line in capsys.readouterr().err
    assert left_behind(tmp_path / "a") == ["a"]


@pytest.mark.parametrize(
    "flag",
    [("--image-ap-loss", "nan"), ("--pixel-ap-loss", "-0.1"), ("--flips", "2"), ("--seed", "-1")],
    ids=lambda flag: flag[0],
)
def test_a_tolerance_that_allows_everything_is_refused(
    flag: tuple[str, str], places: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["compile", str(places[1]), str(tmp_path / "out"), "--data", str(places[0]), "--target", "onnx", *flag]
    with pytest.raises(SystemExit) as ended:
        main(command)
    assert ended.value.code == 2
    assert f"argument {flag[0]}: {flag[1]} is" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_models_run_as_on_the_device() -> None:
    """The options are the agent's, and the outputs equal the agent's bit for bit."""
    assert OpenVinoBackend(2)._options() == OPENVINO_OPTIONS | {"INFERENCE_NUM_THREADS": 2}
    path = MODELS / "inspector.onnx"
    picture = np.random.default_rng(0).integers(0, 256, (1, 32, 48, 3), dtype=np.uint8)
    ours, device = open_model(path).run(picture), OpenVinoBackend(2).load(path).predict({"image": picture})
    assert {name: array.tobytes() for name, array in ours.items()} == {
        name: array.tobytes() for name, array in device.items()
    }


def test_in_float32_a_trained_model_gives_its_golden_scores() -> None:
    """On any processor: with bfloat16, where there is some, the third digit would differ."""
    folder = ROOT / "components/models/SurfaceClassifier"
    manifest = load_manifest(folder)
    compiled = openvino.Core().compile_model(folder / manifest.model, "CPU", OPENVINO_OPTIONS)
    assert compiled.get_property("INFERENCE_PRECISION_HINT") == openvino.Type.f32
    for case in read_golden(folder, manifest):
        (picture,), (wanted,) = case.inputs.values(), case.outputs.values()
        assert np.abs(compiled(picture)[0] - wanted).max() < 1e-4  # they are kept to four digits


def test_a_model_that_is_none_of_ours_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="needs exactly the input 'image'"):
        open_model(MODELS / "score.onnx")
    (tmp_path / "model.onnx").write_bytes(b"not a model" * 100)
    with pytest.raises(InputError, match=r"model\.onnx: OpenVINO cannot load it: [^\n]+$"):
        open_model(tmp_path / "model.onnx")


def test_the_float_recipe_copies(tmp_path: Path, job: Job) -> None:
    assert AsItIs().make(job.floating.path, job.calibration, tmp_path) == "model.onnx"
    assert (tmp_path / "model.onnx").read_bytes() == job.floating.path.read_bytes()
