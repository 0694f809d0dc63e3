"""Who trains and who judges: stratified, seeded splits and folds that never part a unit under test or duplicates."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
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
TRAIN, TEST = "train", "test"
_MAX_BYTES = 256 * 1024 * 1024
Pairs = Sequence[tuple[str, str]]  # duplicates


class Splits(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Ids by split, and the training ids once more as folds. `checksum` is the SHA-256 of all else; `data` of the index.

    `left_out`: training pictures that were dropped because a duplicate or their part is in another split.
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
    """What a person asks for. `method` auto: as the source suggests, unless it keeps all defects from training, else random.

    `crossing`: a suggested split that parts duplicates is refused, or loses training pictures.
    """

    seed: int = 0
    folds: int = 5
    test_share: float = 0.3
    method: Literal["auto", "suggested", "random"] = "auto"
    crossing: Literal["refuse", "leave-out"] = "refuse"
    near_bits: int = NEAR_BITS


def split(data: PreparedSet, wish: Wish) -> Splits:
    """Split a prepared set. Raises InputError when a class is too rare, or when the suggestion parts what belongs together."""
    entries = data.index.entries
    suggested = all(entry.split is not None for entry in entries)
    if wish.method == "suggested" and not suggested:
        raise InputError(f"{data.folder}: the source suggests no split for {_unsplit(entries)}")
    taken: dict[str, list[str]] = {}
    pairs = near_pairs(entries, wish.near_bits)
    if wish.method == "random" or not suggested or (wish.method == "auto" and keeps_defects(entries)):
        method: Literal["suggested", "random"] = "random"
        groups = whole_groups(entries, pairs)
        taken[TEST], taken[TRAIN] = _two(groups, data.entries, wish)
    else:
        method = "suggested"
        for entry in entries:
            taken.setdefault(str(entry.split), []).append(entry.id)
    left = _crossing(entries, taken, wish, pairs)
    training = [data.entries[name] for name in taken.get(TRAIN, []) if name not in left]
    if not training or not taken.get(TEST):
        raise InputError(f"{data.folder}: the split leaves no picture to train on, or none to test on")
    folds = dealt(whole_groups(training, pairs), data.entries, wish.folds, wish.seed)
    splits = {name: tuple(sorted(ids)) for name, ids in taken.items() if name != TRAIN}
    splits[TRAIN] = tuple(sorted(entry.id for entry in training))
    found = Splits(
        data=data.digest,
        method=method,
        seed=wish.seed,
        near_bits=wish.near_bits,
        splits=splits,
        folds=tuple(tuple(sorted(fold)) for fold in folds),
        left_out=tuple(sorted(left)),
    ).sealed()
    refuse_leaks(found, entries)
    return found


def keeps_defects(entries: Sequence[Entry]) -> bool:
    """Whether the source suggests a split that trains on good pictures alone, though it has defective ones (MVTec AD and its followers).

    No threshold can be chosen then, nor can a net learn what is at hand.
    """
    defective = [entry for entry in entries if entry.defective]
    return bool(defective) and all(entry.split not in (TRAIN, None) for entry in defective)


def refuse_leaks(splits: Splits, entries: Sequence[Entry]) -> None:
    """Raise InputError when a part, or a picture and its duplicate, stands on both sides of a split or of a fold."""
    pairs = near_pairs(entries, splits.near_bits)
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


def dealt(groups: Sequence[tuple[str, ...]], entries: dict[str, Entry], folds: int, seed: int) -> list[list[str]]:
    """Deal whole groups into folds so that each stratum is spread as evenly as it can be; largest defect groups first.

    Greedy after scikit-learn's StratifiedGroupKFold. Raises InputError for a stratum in fewer groups than folds.
    """
    if folds < 2:
        raise InputError(f"{folds} folds: at least 2 are needed")
    names = sorted({name for group in groups for member in group for name in strata(entries[member])})
    counts = np.array([[_count(group, entries)[name] for name in names] for group in groups], np.float64)
    for column, name in enumerate(names):
        if np.count_nonzero(counts[:, column]) < folds:
            number, spread = int(counts[:, column].sum()), np.count_nonzero(counts[:, column])
            raise InputError(f"class {name!r} has {number} example(s) in {spread} group(s): too few for {folds} folds")
    shares = counts / counts.sum(axis=0)
    order = np.random.default_rng(seed).permutation(len(groups))
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


def _with(load: NDArray[np.float64], fold: int, share: NDArray[np.float64]) -> NDArray[np.float64]:
    changed = load.copy()
    changed[fold] += share
    return changed


def _count(group: tuple[str, ...], entries: dict[str, Entry]) -> Counter[str]:
    return Counter(name for member in group for name in strata(entries[member]))


def _two(groups: list[tuple[str, ...]], entries: dict[str, Entry], wish: Wish) -> tuple[list[str], list[str]]:
    """Test and training ids: of ten deals, as many as the asked share."""
    if not 0.05 <= wish.test_share <= 0.95:
        raise InputError(f"test share {wish.test_share} is not between 0.05 and 0.95")
    rest = max(2, round(1 / min(wish.test_share, 1 - wish.test_share)))
    deals = dealt(groups, entries, rest, wish.seed)
    number = max(1, min(rest - 1, round(wish.test_share * rest)))
    test = [name for deal in deals[:number] for name in deal]
    return test, [name for deal in deals[number:] for name in deal]


def _crossing(entries: Sequence[Entry], taken: dict[str, list[str]], wish: Wish, pairs: Pairs) -> set[str]:
    leaks = _leaks(entries, {name: side for side, names in taken.items() for name in names}, pairs)
    if leaks and wish.crossing == "refuse":
        raise InputError(f"the suggested split parts what belongs together, {len(leaks)} time(s): {leaks[0][1]}")
    side = {name: split_name for split_name, names in taken.items() for name in names}
    left = {name for pair, _ in leaks for name in pair if side[name] == TRAIN}
    rest = [(pair, line) for pair, line in leaks if not left & set(pair)]
    if rest:
        raise InputError(f"two splits without training share what belongs together: {rest[0][1]}")
    return left


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
