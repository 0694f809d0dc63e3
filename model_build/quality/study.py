"""One data set from raw pictures to figures: our net with each seed, the pair once, each in INT8 beside its float form."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from linewatch_common.clock import utc_now
from linewatch_common.errors import InputError
from linewatch_common.manifest import Preparation
from msgspec import convert

from model_build.compiling.artefact import read_artefact
from model_build.data.pixels import read_bounded
from model_build.data.prepared import PreparedSet
from model_build.data.splits import SPLITS_FILE, TEST, TRAIN, passed_over, read_splits, thin_classes
from model_build.quality.figures import Judged, Net, net_of, read_judged
from model_build.quality.latency import LATENCY_FILE, Comparison
from model_build.quality.steps import Chain
from model_build.training.run import Run, read_run

OURS = "inspector"
FROM_GOOD = "anomaly"  # what learns where there is no defect to learn from
PAIR_SEED = 0
_FEW = "ours from"
_NO_PAIR = "the reference pair was not trained in this run"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which seeds of our net; which nets of the pair are trained too; from how few defects ours is trained once more."""

    seeds: tuple[int, ...]
    pair: tuple[str, ...]
    few: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class _One:
    """One net with one seed. `fast`, `model`: its INT8 form, None where it could not be compiled."""

    run: Run
    judged: Judged
    fast: Judged | None
    model: Path | None


class Study:
    """Runs the chain on one set."""

    def __init__(self, chain: Chain, wanted: Wanted) -> None:
        self._chain, self._wanted, self._notes = chain, wanted, list[str]()

    def of(self, source: Path) -> Iterator[dict[str, Any]]:
        """The set's entry in quality.json, again each time that it holds more: ours, then the pair, then ours from a few defects.

        A step that fails costs what it would have told, with a note. Raises InputError with one line when nothing can be judged, or when
        our own net was trained with no seed.
        """
        data = self._chain.data(source)
        self._refuse_unjudged(data)
        self._notes += _notes_of_set(data)
        ours = self._ours(data)
        found: dict[str, Any] = {
            "written_at": utc_now(),
            "data": _about(data, ours[0].run.preparation),
            "ours": _net(ours, latency := self._latency(ours, {})),
            "reference_pair": {},
            "latency": latency,
            "few_defects": {},
            "notes": [*self._notes, _NO_PAIR],
        }
        yield found
        if self._wanted.pair:
            pair = self._pair(data)
            latency = self._latency(ours, pair)
            found |= {
                "written_at": utc_now(),
                "ours": _net(ours, latency),
                "reference_pair": _pair_of({name: _net([one], None) for name, one in pair.items()}),
                "latency": latency,
                "notes": self._notes,
            }
            yield found
        for number in self._wanted.few:
            found["few_defects"] |= self._few(data, number)
            notes = self._notes if self._wanted.pair else [*self._notes, _NO_PAIR]
            yield found | {"written_at": utc_now(), "notes": notes}

    def pair_beside(self, source: Path, known: dict[str, Any]) -> dict[str, Any]:
        """`known`, the set's entry with ours in it, and the wanted nets of the pair trained now beside what it knows of the other.

        Raises InputError where ours was of other data or splits.
        """
        data = self._data_of(source, known)
        pair = {name: _net([one], None) for name, one in self._pair(data).items()}
        before = {name: convert(net, Net) for name, net in known["reference_pair"].items() if isinstance(net, dict)}
        return known | {
            "written_at": utc_now(),
            "reference_pair": _pair_of(before | pair),
            "notes": [note for note in known["notes"] if not _of_pair(note, self._wanted.pair)] + self._notes,
        }

    def few_beside(self, source: Path, known: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """`known`, the set's entry with ours in it, again after each training from few defects, with what that gave.

        Raises InputError where ours was of other data or splits.
        """
        data = self._data_of(source, known)
        learnt, notes = dict(known["few_defects"]), [note for note in known["notes"] if not note.startswith(_FEW)]
        for number in self._wanted.few:
            learnt |= self._few(data, number)
            yield known | {"written_at": utc_now(), "few_defects": learnt, "notes": notes + self._notes}

    def _data_of(self, source: Path, known: dict[str, Any]) -> Path:
        """The prepared set. Raises InputError where the entry is of other pictures or splits."""
        data = self._chain.data(source)
        now, then = _of_set(data), known["data"]
        if any(then.get(name) != value for name, value in now.items()):
            raise InputError(f"{source}: our net's figures are of other pictures or splits; train ours again, too")
        return data

    def _refuse_unjudged(self, data: Path) -> None:
        """Before the training, not after it."""
        found = _of_set(data)
        for side in (TRAIN, TEST):
            if found[f"{side}_defective"] in (0, found[side]):
                raise InputError(
                    f"{found[f'{side}_defective']} of {found[side]} pictures of the {side} split are defective: nothing can be judged "
                    "without good and defective ones in both splits; add some (drawn ones are no measure of quality)"
                )

    def _ours(self, data: Path) -> list[_One]:
        """Our net with each seed that it can be trained with; a note for the others. Raises InputError when there is none."""
        found = []
        for seed in self._wanted.seeds:
            try:
                found.append(self._one(data, OURS, seed))
            except InputError as error:
                self._notes.append(f"seed {seed} is missing: {error}")
        if not found:
            raise InputError("; ".join(self._notes))
        return found

    def _one(self, data: Path, net: str, seed: int) -> _One:
        name = f"{net}-{seed}"
        run = self._chain.run(data, net, seed)
        judged = read_judged(self._chain.judged(data, run, self._chain.said(data, run, name), name))
        try:
            folder = self._chain.artefact(data, run, name)
            model = folder / read_artefact(folder).model
            said = self._chain.said(data, run, f"{name}-int8", model)
            fast = read_judged(self._chain.judged(data, run, said, f"{name}-int8"))
        except InputError as error:
            self._notes.append(f"{name} has no INT8 form: {error}")
            return _One(read_run(run), judged, None, None)
        return _One(read_run(run), judged, fast, model)

    def _few(self, data: Path, number: int) -> dict[str, Net]:
        """What is learnt from so few of the defects, float form alone, the first seed; nothing and a note where it fails."""
        seed, net = self._wanted.seeds[0], OURS if number else FROM_GOOD
        name = f"{net}-{seed}-{number}"
        try:
            run = self._chain.run(data, net, seed, number)
            judged = read_judged(self._chain.judged(data, run, self._chain.said(data, run, name), name))
        except InputError as error:
            self._notes.append(f"{_FEW} {number} defective picture(s) is missing: {error}")
            return {}
        return {str(number): net_of([read_run(run)], [judged], [], None)}

    def _pair(self, data: Path) -> dict[str, _One]:
        """Each net of the pair that can be trained here; a note for the other."""
        found = {}
        for name in self._wanted.pair:
            try:
                found[name] = self._one(data, name, PAIR_SEED)
            except InputError as error:
                self._notes.append(f"{name} was not trained: {error}")
        return found

    def _latency(self, ours: list[_One], pair: dict[str, _One]) -> Comparison | None:
        if ours[0].model is None:
            return None
        models = {name: one.model for name, one in pair.items() if one.model is not None}
        try:
            path = self._chain.latency(ours[0].model, models) / LATENCY_FILE
        except InputError as error:
            self._notes.append(f"nothing was timed: {error}")
            return None
        return msgspec.json.decode(read_bounded(path), type=Comparison)


def _net(made: list[_One], latency: Comparison | None) -> Net:
    fast = [one.fast for one in made if one.fast is not None]
    return net_of([one.run for one in made], [one.judged for one in made], fast, latency)


def _pair_of(nets: dict[str, Net]) -> dict[str, Any]:
    """The pair's nets, and at the top what the two say together: the classifier of pictures, the segmenter of pixels."""
    found: dict[str, Any] = dict(nets)
    if "resnet18" in nets:
        classifier = nets["resnet18"]
        found["image_ap_mean"] = classifier.image_ap_mean
        found["oracle_escapes_at_1_false_reject"] = classifier.oracle_escapes_at_1_false_reject
    if "unet" in nets:
        found["pixel_ap_mean"] = nets["unet"].pixel_ap_mean
    return found


def _of_pair(note: str, nets: tuple[str, ...]) -> bool:
    """Whether the note says what became of one of these nets when it was trained last."""
    return note == _NO_PAIR or note.startswith(nets)


def _notes_of_set(data: Path) -> list[str]:
    """What the figures do not rest on, without naming a file."""
    opened = PreparedSet.open(data)
    splits, entries = read_splits(data / SPLITS_FILE, opened), opened.index.entries
    why, bad, crossing = passed_over(entries), len(opened.index.left_out), len(splits.left_out)
    notes = [
        (splits.method == "random" and why, f"split at random: {why}"),
        (bad, f"{bad} picture(s) or masks could not be taken (`prepare` says why)"),
        (
            crossing,
            f"{crossing} picture(s) were left out of training, as a duplicate or their part is in another split",
        ),
        *(
            (True, f"class {name} has {number} picture(s), none in the test split or in some fold")
            for name, number in thin_classes(splits, entries).items()
        ),
    ]
    return [note for holds, note in notes if holds]


def _about(data: Path, preparation: Preparation) -> dict[str, Any]:
    return _of_set(data) | {"input": f"{preparation.width}x{preparation.height}, {preparation.resize}"}


def _of_set(data: Path) -> dict[str, Any]:
    opened = PreparedSet.open(data)
    splits = read_splits(data / SPLITS_FILE, opened)
    defective = {name: sum(opened.entry(one).defective for one in ids) for name, ids in splits.splits.items()}
    return {
        "digest": opened.digest,
        "splits": splits.checksum,
        "method": splits.method,
        "folds": len(splits.folds),
        "train": len(splits.splits[TRAIN]),
        "train_defective": defective[TRAIN],
        "test": len(splits.splits[TEST]),
        "test_defective": defective[TEST],
        "left_out": len(opened.index.left_out) + len(splits.left_out),
        "classes": list(opened.index.classes),
    }
