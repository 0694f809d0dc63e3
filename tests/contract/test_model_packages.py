"""The shipped model packages: verified as a device does, run by both runtimes, and as good as they say."""

import csv
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
import openvino
import pytest
from linewatch_common.errors import PackageError
from linewatch_common.manifest import Manifest, load_manifest, manifest_digest, verify_files
from linewatch_vision.golden import GoldenCase, decision, differences, read_golden
from linewatch_vision.masks import read_mask
from linewatch_vision.preparation import prepare
from numpy.typing import NDArray

from model_build.samples.generator import KINDS

PROJECT = Path(__file__).parents[2]
MODELS = PROJECT / "components" / "models"
PAIR = ("SurfaceClassifier", "SurfaceSegmenter")
NAMES = (*PAIR, "SurfaceInspector")
MEGABYTE = 1024 * 1024
# None of some hundred test parts may still be one in a hundred (95 % confidence).
LEAST_SHARE = 0.01

Tensors = dict[str, NDArray[Any]]
Predict = Callable[[Tensors], Tensors]


def by_onnxruntime(folder: Path, manifest: Manifest) -> Predict:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    session = onnxruntime.InferenceSession(folder / manifest.model, options, providers=["CPUExecutionProvider"])
    names = [tensor.name for tensor in manifest.outputs]
    return lambda inputs: dict(zip(names, session.run(names, inputs), strict=True))


def by_openvino(folder: Path, manifest: Manifest) -> Predict:
    core = openvino.Core()
    settings = {"INFERENCE_PRECISION_HINT": "f32", "ENABLE_CPU_PINNING": False, "INFERENCE_NUM_THREADS": 2}
    model = core.read_model(folder / manifest.model)
    # Compiling fuses nodes; an output then has the names of inner tensors, too.
    names, compiled = [port.any_name for port in model.outputs], core.compile_model(model, "CPU", settings)
    return lambda inputs: dict(zip(names, map(np.array, compiled(inputs).values()), strict=True))


RUNTIMES = {"onnxruntime": by_onnxruntime, "openvino": by_openvino}


@cache
def manifest_of(name: str) -> Manifest:
    return load_manifest(MODELS / name)


@cache
def predictor(name: str, runtime: str) -> Predict:
    return RUNTIMES[runtime](MODELS / name, manifest_of(name))


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_package_verifies(name: str) -> None:
    manifest = manifest_of(name)
    verify_files(MODELS / name, manifest)
    assert manifest.name == name
    assert manifest_digest(MODELS / name).startswith("sha256:")


def test_the_packages_are_small() -> None:
    assert sum(path.stat().st_size for path in MODELS.rglob("*.onnx")) <= 12 * MEGABYTE
    for name in NAMES:
        golden = MODELS / name / manifest_of(name).golden.file
        assert golden.stat().st_size <= 1.5 * MEGABYTE


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("name", NAMES)
def test_a_runtime_reproduces_the_golden_outputs(name: str, runtime: str) -> None:
    manifest = manifest_of(name)
    predict = predictor(name, runtime)
    for case in read_golden(MODELS / name, manifest):
        assert list(differences(case, predict(case.inputs), manifest)) == []


@pytest.mark.parametrize("name", ["SurfaceClassifier", "SurfaceInspector"])
def test_the_golden_set_of_a_model_with_a_score_has_both_decisions(name: str) -> None:
    manifest = manifest_of(name)
    scores = [float(case.outputs["score"].flat[0]) for case in read_golden(MODELS / manifest.name, manifest)]
    assert {decision(score, manifest) for score in scores} == {"pass", "fail"}


def test_the_golden_set_of_the_segmenter_has_every_kind_and_a_good_part() -> None:
    manifest = manifest_of("SurfaceSegmenter")
    thresholds = manifest.thresholds.mask
    assert thresholds is not None
    assert set(manifest.labels) == set(KINDS)
    found = set()
    for case in read_golden(MODELS / manifest.name, manifest):
        mask = case.outputs[manifest.output("mask").name][0]
        defective = mask.max(axis=0) >= thresholds.pixel * (255 if mask.dtype == np.uint8 else 1)
        found.add(manifest.labels[int(mask[:, defective].sum(axis=1).argmax())] if defective.any() else "good")
    assert found == {*KINDS, "good"}


def spoilt_by(amount: float, case: GoldenCase) -> Tensors:
    return {name: np.asarray(array * amount, array.dtype) for name, array in case.outputs.items()}


@pytest.mark.parametrize("name", NAMES)
def test_a_runtime_that_is_wrong_is_noticed(name: str) -> None:
    manifest = manifest_of(name)
    cases = read_golden(MODELS / name, manifest)
    assert any(list(differences(case, spoilt_by(0.5, case), manifest)) for case in cases)
    assert all(list(differences(case, {}, manifest)) for case in cases)
    broken = {key: np.full_like(array, np.nan) for key, array in cases[0].outputs.items() if array.dtype.kind == "f"}
    assert not broken or list(differences(cases[0], broken, manifest))


def test_a_mask_of_no_numbers_is_noticed_where_no_defect_is_expected() -> None:
    """On the line each such part ends as an error, so the proof must see it."""
    manifest = manifest_of("SurfaceInspector")
    quiet = {
        tensor.name: np.zeros(tensor.shape, tensor.dtype) for tensor in manifest.outputs if tensor.dtype == "float32"
    }
    case = GoldenCase({}, quiet)
    mask = manifest.output("mask").name
    assert mask in quiet
    assert list(differences(case, quiet, manifest)) == []
    spoilt = {**quiet, mask: np.full_like(quiet[mask], np.nan)}
    assert list(differences(case, spoilt, manifest)) == [f"output {mask}: the mask holds values that are no numbers"]


@pytest.mark.parametrize("score", [float("nan"), float("inf"), float("-inf")])
def test_a_score_that_is_no_number_is_no_decision(score: float) -> None:
    with pytest.raises(PackageError, match="SurfaceClassifier-1-0-0 gave the score"):
        decision(score, manifest_of("SurfaceClassifier"))


def test_a_golden_set_that_does_not_fit_the_manifest_is_refused(tmp_path: Path) -> None:
    manifest = manifest_of("SurfaceClassifier")
    path = tmp_path / manifest.golden.file
    path.parent.mkdir()
    path.write_bytes(b"not an archive")
    with pytest.raises(PackageError, match=r"golden\.npz"):
        read_golden(tmp_path, manifest)
    np.save(path.with_suffix(".npy"), np.zeros(3))
    for content, reason in ((b"", "No data left"), (path.with_suffix(".npy").read_bytes(), "holds one array")):
        path.write_bytes(content)
        with pytest.raises(PackageError, match=rf"golden\.npz: {reason}"):
            read_golden(tmp_path, manifest)
    name = manifest.inputs[0].name
    wrong = {f"input.{name}": np.zeros((1, 2), np.uint8)}
    np.savez(path, **wrong)  # type: ignore[arg-type]  # numpy's stub mistakes the names for its options
    with pytest.raises(PackageError, match=rf"input\.{name}: expected uint8"):
        read_golden(tmp_path, manifest)
    with pytest.raises(PackageError, match="No such file"):
        read_golden(tmp_path / "nowhere", manifest)


@dataclass(frozen=True)
class Part:
    """A demo part: its truth, and what the two models say about it."""

    part_id: str
    label: str
    kinds: frozenset[str]
    decision: str
    found: frozenset[str]


@pytest.fixture(scope="module")
def parts() -> list[Part]:
    with (PROJECT / "demo" / "parts.csv").open(encoding="utf-8") as file:
        return [_inspected(row) for row in csv.DictReader(file)]


def frame_of(part_id: str) -> NDArray[np.uint8]:
    return np.asarray(cv2.imread(str(PROJECT / "demo" / "parts" / f"{part_id}.jpg"), cv2.IMREAD_GRAYSCALE), np.uint8)


def _inspected(row: dict[str, str]) -> Part:
    frame = frame_of(row["part_id"])
    classifier, segmenter = (manifest_of(name) for name in PAIR)
    seen = prepare(frame, "Mono8", classifier.preparation)
    score = predictor(classifier.name, "openvino")({classifier.inputs[0].name: seen.tensor})["score"]
    looked = prepare(frame, "Mono8", segmenter.preparation)
    mask = predictor(segmenter.name, "openvino")({segmenter.inputs[0].name: looked.tensor})["mask"]
    thresholds = segmenter.thresholds.mask
    assert thresholds is not None
    reading = read_mask(mask, labels=segmenter.labels, thresholds=thresholds, transform=looked.transform, limit=32)
    return Part(
        row["part_id"],
        row["label"],
        frozenset(row["kinds"].split()),
        decision(float(score.flat[0]), classifier),
        frozenset(defect.label for defect in reading.defects),
    )


def test_the_classifier_judges_the_demo_parts_as_its_manifest_says(parts: list[Part]) -> None:
    metrics = manifest_of("SurfaceClassifier").metrics
    defective = [part for part in parts if part.label == "anomalous"]
    good = [part for part in parts if part.label == "normal"]
    escapes = [part.part_id for part in defective if part.decision == "pass"]
    rejects = [part.part_id for part in good if part.decision == "fail"]
    assert len(escapes) <= allowed(max(metrics["escapes"], LEAST_SHARE), len(defective)), escapes
    assert len(rejects) <= allowed(max(metrics["false_rejects"], LEAST_SHARE), len(good)), rejects


def test_the_segmenter_finds_the_demo_parts_defects_and_little_else(parts: list[Part]) -> None:
    defective = [part for part in parts if part.label == "anomalous"]
    good = [part for part in parts if part.label == "normal"]
    escapes = [part.part_id for part in defective if not part.found]
    rejects = [part.part_id for part in good if part.found]
    assert len(escapes) <= allowed(LEAST_SHARE, len(defective)), escapes
    assert len(rejects) <= allowed(LEAST_SHARE, len(good)), rejects
    named = [part for part in defective if part.found & part.kinds]
    assert len(named) >= 0.75 * len(defective)


def test_the_inspector_judges_the_demo_parts_as_its_manifest_says() -> None:
    manifest = manifest_of("SurfaceInspector")
    predict, thresholds = predictor(manifest.name, "openvino"), manifest.thresholds.mask
    assert thresholds is not None
    decisions, found = dict[str, list[str]](normal=[], anomalous=[]), dict[str, int](normal=0, anomalous=0)
    with (PROJECT / "demo" / "parts.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        seen = prepare(frame_of(row["part_id"]), "Mono8", manifest.preparation)
        said = predict({"image": seen.tensor})
        decisions[row["label"]].append(decision(float(said["score"].flat[0]), manifest))
        reading = read_mask(
            said["mask"], labels=manifest.labels, thresholds=thresholds, transform=seen.transform, limit=32
        )
        found[row["label"]] += reading.total > 0
    good, defective = decisions["normal"], decisions["anomalous"]
    assert defective.count("pass") <= allowed(max(manifest.metrics["escapes"], LEAST_SHARE), len(defective))
    assert good.count("fail") <= allowed(max(manifest.metrics["false_rejects"], LEAST_SHARE), len(good))
    # The line sends a part to review where mask and score disagree.
    assert found["anomalous"] >= 0.75 * len(defective)
    assert found["normal"] <= 0.1 * len(good)


def allowed(share: float, count: int) -> int:
    """The largest number of wrong ones among `count` that the stated share still explains, in one of a hundred sets.

    Rounding the share up is no bound: with a share of 1 %, one set of 26 in forty has two wrong ones or more.
    """
    chances = [math.comb(count, wrong) * share**wrong * (1 - share) ** (count - wrong) for wrong in range(count + 1)]
    return max(wrong for wrong in range(count + 1) if sum(chances[wrong:]) >= 0.01)


def test_the_bound_lets_bad_luck_pass_and_a_useless_model_not() -> None:
    assert [allowed(share, 26) for share in (0.0, 0.01, 0.1)] == [0, 2, 7]
    assert allowed(0.01, 14) < 14
