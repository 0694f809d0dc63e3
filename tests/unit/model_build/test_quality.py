"""Quality: steps are kept and resumed, figures and page say what was measured."""

import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from linewatch_common.errors import InputError

from model_build.quality.__main__ import main
from model_build.quality.cache import Cache, Step, code_of, listing_of
from model_build.quality.figures import Judged, net_of
from model_build.quality.latency import Comparison, Times, interval_of, ratio_of
from model_build.quality.page import page, write
from model_build.quality.study import Study, Wanted
from model_build.training.plan import Plan
from model_build.training.run import Run
from model_build.training.run import Times as Taken
from tests.unit.model_build.runs import data_folder, run_folder

_WRITES = (
    "import pathlib, sys; p = pathlib.Path(sys.argv[1]); p.mkdir(); (p / 'done').write_text(' '.join(sys.argv[2:]))"
)
_RESUMES = (
    "import pathlib, sys; p = pathlib.Path(sys.argv[1]); p.mkdir(exist_ok=True)\n"
    "(p / 'done').write_text('x') if '--resume' in sys.argv else sys.exit(3)"
)


def step(script: str, *key: str, resumable: bool = False) -> Step:
    return Step("one", key, (sys.executable, "-c", script, "{out}"), "done", resumable)


def cache(folder: Path) -> tuple[Cache, list[str]]:
    told: list[str] = []
    return Cache(folder / "cache", folder, told.append), told


def test_a_step_runs_once_and_again_when_what_it_depends_on_changes(tmp_path: Path) -> None:
    kept, told = cache(tmp_path)
    first = kept.made(step(_WRITES, "a"))
    assert kept.made(step(_WRITES, "a")) == first
    assert len(told) == 1
    assert kept.made(step(_WRITES, "b")) != first
    assert len(told) == 2


def test_what_an_interruption_left_is_removed_or_resumed(tmp_path: Path) -> None:
    kept, _ = cache(tmp_path)
    left = kept.place(step(_WRITES, "a"))
    left.mkdir(parents=True)
    (left / "half").write_text("x")
    assert sorted(path.name for path in kept.made(step(_WRITES, "a")).iterdir()) == ["done"]
    with pytest.raises(InputError, match="one ended with 3"):
        kept.made(step(_RESUMES, "c", resumable=True))
    assert (kept.made(step(_RESUMES, "c", resumable=True)) / "done").exists()


def test_digests_see_code_and_raw_files(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("1")
    code, listing = code_of(tmp_path, ("*.py",)), listing_of(tmp_path)
    (tmp_path / "note.md").write_text("x")
    assert code_of(tmp_path, ("*.py",)) == code
    assert listing_of(tmp_path) != listing
    (tmp_path / "a.py").write_text("2")
    assert code_of(tmp_path, ("*.py",)) != code


def test_the_ratio_is_of_medians() -> None:
    taken = {"ours": np.array([6.0, 6.0, 60.0]), "resnet18": np.array([5.0, 5.0, 5.0]), "unet": np.array([7.0] * 3)}
    assert ratio_of(taken) == 0.5
    low, high = interval_of(taken)
    assert low <= 0.5 <= high


def judged(ap: float, pixel: float | None, refusals: list[str]) -> Judged:
    found = {
        "image_ap": ap,
        "image_ap_interval": [ap - 0.02, 1.0],
        "auroc": 0.999,
        "point": {"review": 0.3, "fail": 0.4, "statement": "0 of 35 escape"},
        "outcome": {
            "defective": 17,
            "good": 119,
            "escapes": 1,
            "escapes_interval": [0.0, 0.29],
            "false_rejects": 0,
            "false_rejects_interval": [0.0, 0.03],
            "reviews": 2,
        },
        "oracle_escapes_at_1_false_reject": 1,
        "pixel": None if pixel is None else {"ap": {"value": pixel}, "ap_interval": [0.6, 0.9], "iou": 0.5},
        "refusals": refusals,
        "worst": ["more than is read"],
    }
    return msgspec.convert(found, Judged)


def run(seed: int) -> Run:
    at = "2026-01-01T00:00:00.000000Z"
    return msgspec.convert(
        {
            "model": "inspector",
            "framework": "torch",
            "start": "imagenet",
            "seed": seed,
            "preparation": {"width": 256, "height": 640, "resize": "squash"},
            "plan": msgspec.to_builtins(Plan()),
            "versions": {},
            "folds": [],
            "epochs": 10,
            "classes": ["defect"],
            "times": msgspec.to_builtins(Taken(started=at, ended=at, seconds=600, cpu_seconds=1100)),
            **dict.fromkeys(("data", "splits", "code", "weights", "onnx"), "a" * 64),
        },
        Run,
    )


def test_figures_are_means_over_seeds_and_losses_against_the_float_net() -> None:
    latency = Comparison(
        at="2026-01-01T00:00:00Z",
        threads=2,
        rounds=9,
        cores=2,
        stand_ins=("unet",),
        models={name: Times(min=1.0, p50=2.0, p90=3.0) for name in ("ours", "resnet18", "unet")},
        ratio=0.6,
        ratio_interval=(0.55, 0.65),
    )
    seeds = [judged(1.0, 0.8, []), judged(0.98, 0.7, ["1 of 17 escape"])]
    ours = net_of([run(0), run(1)], seeds, [judged(0.99, 0.79, []), judged(0.98, 0.69, [])], latency)
    assert ours.image_ap_mean == 0.99
    assert ours.pixel_ap_mean == 0.75
    assert ours.int8_image_ap_loss == 0.005
    assert ours.int8_image_ap_loss_worst == 0.01
    assert ours.int8_pixel_ap_loss == 0.01
    assert ours.int8_ms_over_reference_pair == 0.6
    assert ours.oracle_escapes_at_1_false_reject == [1, 1]
    alone = net_of([run(0)], [judged(0.9, None, [])], [], None)
    assert alone.int8_image_ap_loss is None
    data = {"train": 263, "train_defective": 35, "test": 136, "test_defective": 17, "folds": 3, "method": "suggested"}
    found = {
        "written_at": "2026-01-01T00:00:00Z",
        "data": data | {"input": "256x640, squash"},
        "ours": ours,
        "reference_pair": {"resnet18": alone, "image_ap_mean": 0.9},
        "latency": latency,
        "few_defects": {"20": alone, "5": alone},
        "notes": ["unet was not trained: no TensorFlow"],
    }
    text = page({"set": msgspec.to_builtins(found)})
    for told in (
        "0.9900 (0.9700 to 1.0000)",
        "1 of 17 (0.0% to 29.0%)",
        "**0.60** (0.55 to 0.65)",
        "by nets of the same shape",
        "the gate refuses ours, seed 1",
        "unet was not trained",
        "| 5 | inspector | 0.9000 (0.8800 to 1.0000) | 1 | none |",
    ):
        assert told in text
    assert text.index("| 5 | inspector") < text.index("| 20 | inspector")


def test_sets_stand_beside_each_other(tmp_path: Path) -> None:
    ours = net_of([run(0)], [judged(0.9, None, [])], [], None)
    data = dict.fromkeys(("train", "train_defective", "test", "test_defective", "folds", "method", "input"), 0)
    found = {"written_at": "now", "data": data, "ours": ours, "reference_pair": {}, "latency": None, "notes": []}
    measured_apart = {"few_defects": {"0": ours}, "reference_pair": {"resnet18": ours, "image_ap_mean": 0.9}}
    write(tmp_path, "one", found | measured_apart)
    for name in ("one", "two"):
        write(tmp_path, name, found | {"few_defects": {}})
    written = msgspec.json.decode((tmp_path / "quality.json").read_bytes())
    assert sorted(written) == ["one", "two"]
    assert list(written["one"]["few_defects"]) == ["0"]
    assert written["one"]["reference_pair"]["image_ap_mean"] == 0.9
    assert not written["two"]["reference_pair"]
    assert "## one" in (tmp_path / "quality.md").read_text()


@pytest.mark.parametrize("alone", [["--pair-alone"], ["--few-alone", "5"]])
def test_what_is_measured_alone_needs_figures_of_ours_on_the_page(
    alone: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    assert main(["--dataset", str(raw), "--docs", str(tmp_path), "--cache", str(tmp_path / "c"), *alone]) == 1
    assert capsys.readouterr().err.strip() == f"quality: {tmp_path / 'quality.json'}: says nothing of raw yet"


class FailingChain:
    """Finished steps on a tiny set, but for those whose name begins with a word of `failing`."""

    def __init__(self, folder: Path, failing: tuple[str, ...], defective: int = 10) -> None:
        self.folder, self._failing = folder, failing
        self.prepared = data_folder(folder, defective=defective)

    def data(self, source: Path) -> Path:
        return self.prepared

    def run(self, data: Path, net: str, seed: int, defects: int | None = None) -> Path:
        name = f"train-{net}-{seed}" + ("" if defects is None else f"-{defects}")
        place = self._step(name)
        model = self.folder / "any.onnx"
        model.write_bytes(b"x")
        return place if place.exists() else run_folder(place, data, model, net=net)

    def artefact(self, data: Path, run: Path, name: str) -> Path:
        return self._step(f"compile-{name}")

    def said(self, data: Path, run: Path, name: str, artefact: Path | None = None) -> Path:
        return self._step(f"predict-{name}")

    def judged(self, data: Path, run: Path, test: Path, name: str) -> Path:
        place = self._step(f"evaluate-{name}")
        place.mkdir(exist_ok=True)
        (place / "evaluation.json").write_bytes(msgspec.json.encode(judged(0.9, None, [])))
        return place

    def latency(self, ours: Path, pair: dict[str, Path]) -> Path:
        return self._step("latency")

    def _step(self, name: str) -> Path:
        if name.startswith(self._failing):
            raise InputError(f"{name} ended with 1")
        return self.folder / name


def studied(chain: FailingChain, *few: int) -> list[dict[str, Any]]:
    study = Study(chain, Wanted((0, 1), (), few))  # type: ignore[arg-type]  # a chain by its methods
    return [dict(found) for found in study.of(chain.folder)]


def test_a_step_that_fails_costs_what_it_tells_and_no_more(tmp_path: Path) -> None:
    chain = FailingChain(tmp_path, ("compile", "evaluate-inspector-1", "train-inspector-0-5"))
    first, last = studied(chain, 5)
    assert first["ours"].seeds == [0]
    assert last["few_defects"] == {}
    assert last["notes"] == [
        "inspector-0 has no INT8 form: compile-inspector-0 ended with 1",
        "seed 1 is missing: evaluate-inspector-1 ended with 1",
        "ours from 5 defective picture(s) is missing: train-inspector-0-5 ended with 1",
        "the reference pair was not trained in this run",
    ]
    assert "- seed 1 is missing" in page({"set": msgspec.to_builtins(last)})
    with pytest.raises(InputError, match="seed 0 is missing: predict-inspector-0 ended with 1; seed 1 is missing"):
        studied(FailingChain(tmp_path / "again", ("predict",)))


def test_few_defects_alone_stand_beside_what_is_known(tmp_path: Path) -> None:
    chain = FailingChain(tmp_path, ("train-inspector-0-5",))
    (known,) = [msgspec.to_builtins(found) for found in studied(chain)]
    known |= {"few_defects": {"20": known["ours"]}, "notes": ["ours from 0 defective picture(s) is missing: x", "kept"]}
    alone = Study(chain, Wanted((0,), (), (0, 5)))  # type: ignore[arg-type]  # a chain by its methods
    first, last = (msgspec.to_builtins(dict(found)) for found in alone.few_beside(tmp_path, known))
    assert (list(first["few_defects"]), first["notes"]) == (["20", "0"], ["kept"])
    assert list(last["few_defects"]) == ["20", "0"]
    assert last["few_defects"]["0"]["model"] == "anomaly"
    assert "| 0 | anomaly | 0.9000" in page({"set": last})
    assert last["notes"] == ["kept", "ours from 5 defective picture(s) is missing: train-inspector-0-5 ended with 1"]
    assert last["ours"] == known["ours"]
    with pytest.raises(InputError, match="our net's figures are of other pictures or splits"):
        list(alone.few_beside(tmp_path, known | {"data": known["data"] | {"digest": "other"}}))


def test_a_set_that_cannot_be_judged_is_refused_before_the_training(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="0 of 10 pictures of the train split are defective: nothing can be judged"):
        studied(FailingChain(tmp_path, ("train",), defective=0))


def test_braces_in_a_folders_name_are_no_place_to_fill(tmp_path: Path) -> None:
    kept, _ = cache(tmp_path)
    made = kept.made(step(_WRITES, "a"))
    with_braces = Step("one", ("b",), (sys.executable, "-c", _WRITES, "{out}", "{line 1}"), "done")
    assert (kept.made(with_braces) / "done").read_text() == "{line 1}"
    assert made.exists()


def test_a_missing_set_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--dataset", str(tmp_path / "nowhere")]) == 1
    assert capsys.readouterr().err.strip() == f"quality: {tmp_path / 'nowhere'}: is no folder (--dataset)"
