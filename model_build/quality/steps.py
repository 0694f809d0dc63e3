"""The steps from raw pictures to figures, each with what it depends on."""

from dataclasses import dataclass
from pathlib import Path

import msgspec

from model_build.data.prepared import PreparedSet
from model_build.data.splits import SPLITS_FILE, read_splits
from model_build.nets.interface import NETS
from model_build.quality.cache import Cache, Step, code_of, listing_of
from model_build.training.code import code_digest
from model_build.training.plans import PLANS
from model_build.training.run import RUN_FILE, VALIDATION, read_run

_VISION = "components/common/linewatch_vision/*.py"
_CODE = {
    "data": ("model_build/data/**/*.py",),
    "predict": (
        *(f"model_build/training/{name}.py" for name in ("pred*", "joining", "judging", "pictures")),
        *(f"model_build/compiling/{name}.py" for name in ("asking", "locating", "pictures", "running")),
        _VISION,
    ),
    "evaluate": ("model_build/evaluation/*.py",),
    "compile": ("model_build/compiling/**/*.py", _VISION),
    "latency": ("model_build/quality/latency.py", "model_build/compiling/running.py", "tools/agent_bench/nets.py"),
}
_IN_SPITE = ("--bad", "leave-out", "--crossing", "leave-out", "--rare", "pool")  # what can be judged is judged
FOLDS = 3  # of the training pictures; the prepared form's default of 5 would take half as long again


@dataclass(frozen=True, slots=True)
class Pythons:
    """The interpreter of each framework's environment."""

    torch: str
    tensorflow: str

    def of(self, framework: str) -> str:
        """The one that can train this framework's nets."""
        return self.tensorflow if framework == "tensorflow" else self.torch


class Chain:
    """Runs the steps on one data set, through the same command line that a person uses."""

    def __init__(self, cache: Cache, root: Path, pythons: Pythons) -> None:
        self._cache, self._root, self._pythons = cache, root, pythons

    def data(self, source: Path) -> Path:
        """The prepared folder."""
        step = Step(
            name="data",
            # With the predicting code: other predictions of a model are refused where its test split was opened.
            key=(str(source), listing_of(source), self._code("data"), self._code("predict"), str(FOLDS)),
            command=(
                *self._command("prepare", self._pythons.torch),
                *(str(source), "{out}", "--folds", str(FOLDS), *_IN_SPITE),
            ),
            done=SPLITS_FILE,
        )
        return self._cache.made(step)

    def run(self, data: Path, net: str, seed: int, defects: int | None = None) -> Path:
        """A finished run of a net; `defects`: from at most so many defective pictures."""
        framework = NETS[net].framework
        opened = PreparedSet.open(data)
        splits = read_splits(data / SPLITS_FILE, opened)
        few = () if defects is None else ("--defects", str(defects))
        step = Step(
            name="-".join(("train", net, str(seed), *few[1:])),
            # The name says net, seed and defects.
            key=(code_digest(framework), msgspec.json.encode(PLANS[net]).decode(), opened.digest, splits.checksum),
            command=(
                *self._command("train", self._pythons.of(framework)),
                *(str(data), "{out}", "--model", net, "--seed", str(seed), *few),
            ),
            done=RUN_FILE,
            resumable=True,
        )
        return self._cache.made(step)

    def artefact(self, data: Path, run: Path, name: str) -> Path:
        """The run's net in INT8, as a device gets it: stated in the graph, run by OpenVINO."""
        step = Step(
            name=f"compile-{name}",
            key=(read_run(run).onnx, self._code("compile")),
            command=(
                *self._command("compile", self._pythons.torch),
                *(str(run), "{out}", "--data", str(data), "--target", "onnx-int8"),
            ),
            done="artefact.json",
        )
        return self._cache.made(step)

    def said(self, data: Path, run: Path, name: str, artefact: Path | None = None) -> Path:
        """Predictions of the test split, by the float model or by an artefact's model file."""
        found = read_run(run)
        which = () if artefact is None else ("--artefact", str(artefact))
        step = Step(
            name=f"predict-{name}",
            key=(found.onnx, found.data, found.splits, self._code("predict"), *which),
            command=(*self._command("predict", self._pythons.torch), str(run), str(data), "{out}", *which),
            done="predictions.json",
        )
        return self._cache.made(step)

    def judged(self, data: Path, run: Path, test: Path, name: str) -> Path:
        """The evaluation's folder. A net that the gate refuses is judged all the same."""
        step = Step(
            name=f"evaluate-{name}",
            key=(str(test), read_run(run).onnx, self._code("evaluate")),
            command=(
                *self._command("evaluate", self._pythons.torch),
                *(str(data), "{out}", "--validation", str(run / VALIDATION), "--test", str(test)),
            ),
            done="model-card.md",
        )
        return self._cache.made(step)

    def latency(self, ours: Path, pair: dict[str, Path]) -> Path:
        """latency.json of ours beside the pair, interleaved. Without the pair's artefacts nets of its shapes stand in."""
        named = [f"{name}={path}" for name, path in sorted({"ours": ours, **pair}.items())]
        step = Step(
            name="latency",
            key=(*named, self._code("latency")),
            command=(self._pythons.torch, "-m", "model_build.quality.latency", "{out}", *named),
            done="latency.json",
        )
        return self._cache.made(step)

    def _code(self, step: str) -> str:
        return code_of(self._root, _CODE[step])

    def _command(self, step: str, python: str) -> tuple[str, ...]:
        return python, "-m", "model_build", step
