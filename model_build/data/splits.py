"""Who trains and who judges: stratified, seeded splits and folds that never part a unit under test or duplicates."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import numpy as np
from linewatch_common.errors import InputError
from linewatch_common.files import write_atomically
from linewatch_common.manifest import Sha256
from msgspec import Meta, Struct
from numpy.typing import NDArray

from model_build.data.duplicates import near_pairs, whole_groups
from model_build.data.pixels import NEAR_BITS, read_bounded
from model_build.data.prepared import Entry, PreparedSet

SPLITS_FILE = "splits.json"
TRAIN, VALIDATION, TEST = "train", "validation", "test"
_LEAST = {TRAIN: 2, TEST: 1}  # good and defective pictures each: folds need two of both
_POOLED = ""  # the stratum of all classes that are too rare for one of their own
_MAX_BYTES = 256 * 1024 * 1024
Pairs = Sequence[tuple[str, str]]  # duplicates


class Splits(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Ids by split, and the training ids once more as folds. `checksum` is the SHA-256 of all else; `data` of the index.

    `left_out`: pictures that were dropped because a duplicate or their part is in another split; never one of the test split.
    """

    schema: Literal["linewatch.Splits/1"] = "linewatch.Splits/1"
    data: Sha256
    method: Literal["suggested", "random"]
    seed: int
    near_bits: int
    splits: dict[str, tuple[str, ...]]
    folds: Annotated[tuple[tuple[str, ...], ...], Meta(min_length=2)]
    left_out: tuple[str, ...] = ()
    checksum: str = ""

    def sealed(self) -> "Splits":
        """The same with its checksum."""
        return msgspec.structs.replace(self, checksum=self.digest())

    def digest(self) -> str:
        """What `checksum` must be."""
        unsealed = msgspec.structs.replace(self, checksum="")
        return hashlib.sha256(msgspec.json.encode(unsealed, order="sorted")).hexdigest()


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person asks for. `method` auto: as the source suggests, unless nothing can be learnt or judged by that, else random.

    `crossing`: a suggested split that parts duplicates is refused, or loses training pictures. `rare`: a class in fewer groups than
    folds is refused, or spread together with other such classes; then there are also no more folds than good or defective parts.
    """

    seed: int = 0
    folds: int = 5
    test_share: float = 0.3
    method: Literal["auto", "suggested", "random"] = "auto"
    crossing: Literal["refuse", "leave-out"] = "refuse"
    rare: Literal["refuse", "pool"] = "refuse"
    near_bits: int = NEAR_BITS


def split(data: PreparedSet, wish: Wish) -> Splits:
    """Split a prepared set. Raises InputError when there is too little to split, or when the suggestion parts what belongs together."""
    entries = data.index.entries
    if wish.method == "suggested" and any(entry.split is None for entry in entries):
        raise InputError(f"{data.folder}: the source suggests no split for {_unsplit(entries)}")
    pairs = near_pairs(entries, wish.near_bits)
    method: Literal["suggested", "random"] = "suggested" if wish.method != "random" else "random"
    if wish.method == "auto" and (passed_over(entries) or entries[0].split is None):
        method = "random"
    taken = _random(data, wish, pairs) if method == "random" else _suggested(entries)
    left = _crossing(entries, taken, wish, pairs)
    kept = {name: tuple(sorted(set(ids) - left)) for name, ids in taken.items()}
    if not kept.get(TRAIN) or not kept.get(TEST):
        raise InputError(f"{data.folder}: the split leaves no picture to train on, or none to test on; --split random")
    groups = whole_groups([data.entries[name] for name in kept[TRAIN]], pairs)
    folds = dealt(groups, data.entries, _folds(groups, data.entries, wish), wish)
    found = Splits(
        data=data.digest,
        method=method,
        seed=wish.seed,
        near_bits=wish.near_bits,
        splits=kept,
        folds=tuple(tuple(sorted(fold)) for fold in folds),
        left_out=tuple(sorted(left)),
    ).sealed()
    _refuse_leaks(found, entries, pairs)
    return found


def passed_over(entries: Sequence[Entry]) -> str | None:
    """Why the source's own split is not taken by itself, or None.

    MVTec AD and its followers train on good pictures alone: no threshold can be chosen then, nor can a net learn what is at hand.
    """
    without = sum(entry.split is None for entry in entries)
    if without:
        return f"the source's own leaves out {without} picture(s)" if without < len(entries) else None
    sides, kinds = _suggested(entries), Counter(entry.defective for entry in entries)
    defective = {entry.id for entry in entries if entry.defective}
    for side, least in _LEAST.items():
        names = sides.get(side, [])
        for kind, word in ((False, "good"), (True, "defective")):
            number = sum((name in defective) is kind for name in names)
            if number < min(least, kinds[kind]):
                return f"the source's own has {number} {word} picture(s) in its {side} split"
    return None


def thin_classes(splits: Splits, entries: Sequence[Entry]) -> dict[str, int]:
    """Classes of which the test split or a fold has no example, with the number of their pictures."""
    sides = [set(splits.splits[TEST]), *(set(fold) for fold in splits.folds)]
    classes = Counter(name for entry in entries for name in entry.areas)
    seen = [{name for entry in entries if entry.id in side for name in entry.areas} for side in sides]
    return {name: number for name, number in sorted(classes.items()) if not all(name in side for side in seen)}


def refuse_leaks(splits: Splits, entries: Sequence[Entry]) -> None:
    """Raise InputError when a part, or a picture and its duplicate, stands on both sides of a split or of a fold."""
    _refuse_leaks(splits, entries, near_pairs(entries, splits.near_bits))


def _refuse_leaks(splits: Splits, entries: Sequence[Entry], pairs: Pairs) -> None:
    for sides in (splits.splits, {f"fold {number}": fold for number, fold in enumerate(splits.folds)}):
        lines = _leaks(entries, {name: side for side, names in sides.items() for name in names}, pairs)
        if lines:
            raise InputError(f"the split leaks, {len(lines)} time(s): {lines[0][1]}")


def write_splits(path: Path, splits: Splits) -> None:
    """Write atomically; another split at the same place is refused with InputError. Raises StorageError."""
    if path.exists():
        if read_splits(path) == splits:
            return
        raise InputError(f"{path}: another split is there; models were perhaps trained on it, delete it by hand")
    write_atomically(path, msgspec.json.format(msgspec.json.encode(splits), indent=1) + b"\n", mode=0o644)


def read_splits(path: Path, data: PreparedSet | None = None) -> Splits:
    """Read and check. Raises InputError when it was changed, or belongs to other data than `data`."""
    try:
        splits = msgspec.json.decode(read_bounded(path, _MAX_BYTES), type=Splits)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: {error}") from error
    if splits.checksum != splits.digest():
        raise InputError(f"{path}: was changed after it was written")
    if data is not None:
        if splits.data != data.digest:
            raise InputError(f"{path}: belongs to other data than {data.folder}")
        refuse_leaks(splits, data.index.entries)
    return splits


def strata(entry: Entry) -> tuple[str, ...]:
    """What must be spread evenly: good, or each class of defect (`weak` where nobody drew it)."""
    return ("good",) if not entry.defective else tuple(entry.areas) or ("weak",)


def dealt(groups: Sequence[tuple[str, ...]], entries: dict[str, Entry], folds: int, wish: Wish) -> list[list[str]]:
    """Deal whole groups into folds so that each stratum is spread as evenly as it can be; largest defect groups first.

    Greedy after scikit-learn's StratifiedGroupKFold. Raises InputError for one fold, and for a class in fewer groups than folds unless
    such classes are to be spread as one.
    """
    if folds < 2:
        raise InputError(f"{folds} folds: at least 2 are needed")
    counted = [_count(group, entries) for group in groups]
    spread = Counter(name for count in counted for name in count)
    rare = sorted(
        name for name, number in spread.items() if number < folds and (name != "good" or wish.rare == "refuse")
    )
    if rare and wish.rare == "refuse":
        number = sum(count[rare[0]] for count in counted)
        raise InputError(
            f"class {rare[0]!r} has {number} example(s) in {spread[rare[0]]} group(s): too few for {folds} folds; "
            "--rare pool spreads rare classes together"
        )
    counted = [_pooled(count, rare) for count in counted]
    names = sorted({name for count in counted for name in count})
    counts = np.array([[count[name] for name in names] for count in counted], np.float64)
    shares = counts / counts.sum(axis=0)
    order = np.random.default_rng(wish.seed).permutation(len(groups))
    order = order[np.argsort(-shares[order].std(axis=1), kind="stable")]
    load, dealt_groups = np.zeros((folds, len(names))), [list[str]() for _ in range(folds)]
    for index in order:
        costs = [
            (np.std(_with(load, fold, shares[index]), axis=0).mean(), load[fold].sum(), fold) for fold in range(folds)
        ]
        best = min(costs)[2]
        load[best] += shares[index]
        dealt_groups[best] += groups[index]
    return dealt_groups


def _pooled(count: Counter[str], rare: Sequence[str]) -> Counter[str]:
    found: Counter[str] = Counter()
    for name, number in count.items():
        found[_POOLED if name in rare else name] += number
    return found


def _folds(groups: Sequence[tuple[str, ...]], entries: dict[str, Entry], wish: Wish) -> int:
    """As many as are asked for, or as there are good and defective groups. Raises InputError for fewer than two."""
    for kind, word in ((False, "good"), (True, "defective")):
        number = sum(any(entries[name].defective is kind for name in group) for group in groups)
        if number == 1:
            raise InputError(
                f"1 {word} part is left to train on, at least 2 are needed for the folds: take more pictures of other parts, "
                "or --split random where the source's own split was asked for"
            )
        if number and wish.rare == "pool":  # a set of one kind alone can be trained on
            wish = replace(wish, folds=min(wish.folds, number))
    return wish.folds


def _suggested(entries: Sequence[Entry]) -> dict[str, list[str]]:
    """The source's splits. Where it has no test split, what it validates by is ours to test by: folds validate here."""
    taken: dict[str, list[str]] = {}
    for entry in entries:
        taken.setdefault(str(entry.split), []).append(entry.id)
    if TEST not in taken and TRAIN in taken and VALIDATION in taken:
        taken[TEST] = taken.pop(VALIDATION)
    return taken


def _with(load: NDArray[np.float64], fold: int, share: NDArray[np.float64]) -> NDArray[np.float64]:
    changed = load.copy()
    changed[fold] += share
    return changed


def _count(group: tuple[str, ...], entries: dict[str, Entry]) -> Counter[str]:
    return Counter(name for member in group for name in strata(entries[member]))


def _random(data: PreparedSet, wish: Wish, pairs: Pairs) -> dict[str, list[str]]:
    """Test and training ids: of ten deals, as many as the asked share. Raises InputError when one of them lacks a kind that the set has."""
    if not 0.05 <= wish.test_share <= 0.95:
        raise InputError(f"test share {wish.test_share} is not between 0.05 and 0.95")
    groups = whole_groups(data.index.entries, pairs)
    rest = max(2, round(1 / min(wish.test_share, 1 - wish.test_share)))
    deals = dealt(groups, data.entries, rest, wish)
    number = max(1, min(rest - 1, round(wish.test_share * rest)))
    sides = {
        TEST: [name for deal in deals[:number] for name in deal],
        TRAIN: [name for deal in deals[number:] for name in deal],
    }
    for kind, word in ((False, "good"), (True, "defective")):
        there = sum(any(data.entries[name].defective is kind for name in group) for group in groups)
        lacks = [side for side in sides if not any(data.entries[name].defective is kind for name in sides[side])]
        if there and lacks:
            raise InputError(
                f"{data.folder}: {there} {word} part(s), and none of them to {lacks[0]}: at least 3 are needed, 1 to test and 2 "
                f"to train, and a test share that fits (here {wish.test_share})"
            )
    return sides


def _crossing(entries: Sequence[Entry], taken: dict[str, list[str]], wish: Wish, pairs: Pairs) -> set[str]:
    """What to leave out so that nothing crosses: training pictures, and of other pairs the one that is not tested."""
    side = {name: split_name for split_name, names in taken.items() for name in names}
    leaks = _leaks(entries, side, pairs)
    if leaks and wish.crossing == "refuse":
        raise InputError(
            f"the suggested split parts what belongs together, {len(leaks)} time(s): {leaks[0][1]}; "
            "--crossing leave-out drops such pictures from training, --split random splits anew"
        )
    order = (TRAIN, *sorted(set(taken) - {TRAIN, TEST}), TEST)
    return {min(pair, key=lambda name: order.index(side[name])) for pair, _ in leaks}


def _leaks(entries: Sequence[Entry], side: dict[str, str], pairs: Pairs) -> list[tuple[tuple[str, str], str]]:
    """Pairs on different sides, each with a line that says why they belong together."""
    found = []
    parts: dict[str, list[str]] = {}
    for entry in entries:
        parts.setdefault(entry.part, []).append(entry.id)
    same_part = [(members[0], other, "show one part") for members in parts.values() for other in members[1:]]
    same_look = [(one, other, "are duplicates") for one, other in pairs]
    for one, other, why in [*same_part, *same_look]:
        if one in side and other in side and side[one] != side[other]:
            found.append(((one, other), f"{one!r} ({side[one]}) and {other!r} ({side[other]}) {why}"))
    return found


def _unsplit(entries: Sequence[Entry]) -> str:
    return repr(next(entry.id for entry in entries if entry.split is None))
