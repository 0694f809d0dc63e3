"""A package's golden set: which pictures, and what the compiled model says about them.

Every device that gets the package gets these pictures. They come from the training data (`validation` in the sense that the thresholds
were chosen on them out of fold; never from the test split), or are drawn by the project's generator where no real picture may leave.
"""

import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
from linewatch_common.errors import InputError, PackageError
from linewatch_common.manifest import Manifest, Preparation, Tolerances
from linewatch_vision.golden import decision
from linewatch_vision.preparation import prepare
from numpy.typing import NDArray

from model_build.compiling.pictures import as_on_device, telling_place
from model_build.data.prepared import PreparedSet
from model_build.samples.generator import Settings, generate

GOLDEN_FILE = "golden/golden.npz"
Kind = Literal["validation", "generated"]
Outputs = dict[str, NDArray[Any]]
Predict = Callable[[NDArray[np.uint8]], Outputs]

EACH = (
    3  # golden pictures of the good and of the defective: the clearest, a middle one and the least clear that is usable
)
LOOKED_AT = 60  # of each kind: enough to find clear ones, few enough for a slow net
CLEAR = 2 * Tolerances().score  # this far from both thresholds the tolerance cannot turn a decision
LEAST_CLEAR = 0.002  # the least that is taken where nothing is clear: runtimes differ by less than this
STEADY = 0.8  # a mask's overlap with itself when the pixel threshold moves by a tenth, at least; the steadiest quarter is taken
DECIMALS = 4  # of expected outputs: finer digits differ from processor to processor


@dataclass(frozen=True, slots=True)
class Candidate:
    """A prepared picture, uint8 (1, H, W, 3); `defective` None where nobody knows."""

    name: str
    tensor: NDArray[np.uint8]
    defective: bool | None


@dataclass(frozen=True, slots=True)
class _Judged:
    candidate: Candidate
    outputs: Outputs
    margin: float
    steadiness: float
    label: int | None  # of the defective cells together, by the mask; None where it shows none


def from_data(data: PreparedSet, names: Iterable[str], preparation: Preparation) -> Iterator[Candidate]:
    """Pictures of both kinds, in an order that depends on their ids alone; of tiles one a picture, with its defect. Raises InputError.

    Weakly labelled ones are taken only where nobody drew a defect at all, and only whole: of a tile nobody knows whether it shows one.
    """
    names = list(names)
    drawn_too = preparation.tiles is not None or any(data.entry(name).mask for name in names)
    ordered = sorted(names, key=lambda name: (zlib.crc32(name.encode()), name))
    for kind in (False, True):
        fitting = (
            name for name in ordered if data.entry(name).defective is kind and not (drawn_too and data.entry(name).weak)
        )
        for name in islice(fitting, LOOKED_AT):
            example = data.example(name)
            tiles = as_on_device(example, preparation)
            number = telling_place(example, tiles)
            yield Candidate(name if preparation.tiles is None else f"{name} tile {number}", tiles[number].tensor, kind)


def drawn(preparation: Preparation, seed: int) -> Iterator[Candidate]:
    """Pictures from the generator, of the input's size. What the model says of them is neither right nor wrong, but the same everywhere."""
    plain = Preparation(width=preparation.width, height=preparation.height, resize="squash")
    settings = Settings(seed=seed, width=max(64, plain.width), height=max(64, plain.height), defect_share=0.5)
    for index in range(LOOKED_AT):
        picture = generate(settings, index).picture
        yield Candidate(f"generated {index}", prepare(picture, "Mono8", plain).tensor, None)


def choose(candidates: Iterable[Candidate], predict: Predict, manifest: Manifest) -> list[tuple[Candidate, Outputs]]:
    """At most EACH of either kind, away from the thresholds, rightly judged where that is known, and one more of each label among them that
    these do not show: a runtime that spoils one channel must not pass. Raises InputError when there are none of a kind."""
    judged = [found for candidate in candidates if (found := _judge(candidate, predict, manifest)) is not None]
    picks: list[_Judged] = []
    for kind in {found.candidate.defective for found in judged}:
        picks += _spread([found for found in judged if found.candidate.defective is kind])
    if not picks or (
        None not in {found.candidate.defective for found in judged} and len({p.candidate.defective for p in picks}) < 2
    ):
        raise InputError("no picture of either kind is judged rightly and clearly enough for a golden set")
    for label in sorted({found.label for found in judged if found.label is not None} - {pick.label for pick in picks}):
        picks += _spread([found for found in judged if found.label == label])[:1]
    return [(pick.candidate, pick.outputs) for pick in sorted(picks, key=lambda pick: pick.candidate.name)]


def write(folder: Path, chosen: list[tuple[Candidate, Outputs]], manifest: Manifest) -> None:
    """Write the archive. Raises OSError."""
    path = folder / GOLDEN_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, NDArray[Any]] = {
        f"input.{manifest.inputs[0].name}": np.stack([candidate.tensor for candidate, _ in chosen])
    }
    for tensor in manifest.outputs:
        arrays[f"output.{tensor.name}"] = np.stack([outputs[tensor.name] for _, outputs in chosen])
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]  # numpy's stub mistakes the names for its options


def _judge(candidate: Candidate, predict: Predict, manifest: Manifest) -> _Judged | None:
    """None when the picture is judged wrongly, too close to a threshold, or its mask is unsteady."""
    outputs = {name: _rounded(value) for name, value in predict(candidate.tensor).items()}
    scores, masks = manifest.thresholds.score, manifest.thresholds.mask
    margins, said, steadiness, label = [], None, 1.0, None
    if scores is not None:
        score = float(outputs[manifest.output("scores").name].item())
        margins.append(min(abs(score - scores.fail), abs(score - scores.review)))
        said = decision(score, manifest)
    if masks is not None:
        mask = outputs[manifest.output("mask").name]
        cut = masks.pixel * (255 if mask.dtype == np.uint8 else 1)
        lax, strict = int((mask >= cut * 0.9).sum()), int((mask >= cut * 1.1).sum())
        if lax and strict < STEADY * lax:
            return None
        steadiness = strict / lax - lax**-0.5 if lax else 1.0  # a large mask has less edge for its size
        label = int(np.where(mask[0].max(axis=0) >= cut, mask[0], 0).sum(axis=(1, 2)).argmax()) if strict else None
        said = said or ("fail" if strict else "pass")
        margins.append(1.0)
    right = {None: True, True: said == "fail", False: said == "pass"}[candidate.defective]
    clear = min(margins) >= LEAST_CLEAR
    return _Judged(candidate, outputs, min(margins), steadiness, label) if right and clear else None


def _spread(judged: list[_Judged]) -> list[_Judged]:
    """The clearest, a middle one and the least clear: saturated scores alone would hide a broken runtime.

    Only of those with the steadiest masks: runtimes round 8-bit cells differently, and a small or faint mask loses its overlap by that
    (on KolektorSDD, QDQ by OpenVINO and by ONNX Runtime: 0.94 to 1.00 over all defects, 0.97 and more over the steadiest quarter).
    """
    steady = sorted(judged, key=lambda found: (-found.steadiness, found.candidate.name))
    steady = steady[: max(EACH, len(steady) // 4)]
    order = sorted(steady, key=lambda found: (-found.margin, found.candidate.name))
    usable = [found for found in order if found.margin >= CLEAR] or order[:EACH]
    places = sorted({0, len(usable) // 2, len(usable) - 1}) if usable else []
    return [usable[place] for place in places]


def _rounded(value: NDArray[Any]) -> NDArray[Any]:
    return value.round(DECIMALS) if value.dtype.kind == "f" else value


def least_margin(chosen: list[tuple[Candidate, Outputs]], manifest: Manifest) -> float | None:
    """How near the nearest golden score lies to a threshold; None for a model without a score."""
    thresholds = manifest.thresholds.score
    if thresholds is None:
        return None
    scores = [float(outputs[manifest.output("scores").name].item()) for _, outputs in chosen]
    return min(min(abs(score - thresholds.fail), abs(score - thresholds.review)) for score in scores)


def refuse_wrong_tensors(outputs: Outputs, manifest: Manifest) -> None:
    """Raises PackageError when the model's answer is not what the manifest will say."""
    for tensor in manifest.outputs:
        found = outputs.get(tensor.name)
        if found is None or found.shape != tensor.shape or str(found.dtype) != tensor.dtype:
            seen = "nothing" if found is None else f"{found.dtype} {found.shape}"
            raise PackageError(f"output {tensor.name}: expected {tensor.dtype} {tensor.shape}, got {seen}")
