"""Splits: grouped, stratified, seeded, and without leaks."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from linewatch_common.errors import InputError

from model_build.data.duplicates import clusters, indistinct
from model_build.data.pixels import look_hash
from model_build.data.prepare import Preparer, Settings, listed
from model_build.data.prepared import Entry, Index, PreparedSet
from model_build.data.readers import reader_for
from model_build.data.records import Options
from model_build.data.splits import Wish, passed_over, read_splits, refuse_leaks, split, thin_classes, write_splits

KOLEKTOR = Path(__file__).parents[4] / "shared" / "data" / "kolektorsdd"
RNG = np.random.default_rng(0)


def entry(number: int, **changes: object) -> Entry:
    fields: dict[str, object] = {
        "id": f"p{number:03d}",
        "source": "x",
        "part": f"part{number}",
        "split": None,
        "defective": number % 4 == 0,
        "weak": False,
        "width": 9,
        "height": 9,
        "areas": {"dent" if number % 8 else "crack": 5} if number % 4 == 0 else {},
        "picture": f"{number:064x}",
        "mask": None,
        "pixels": f"{number:064x}",
        "look": RNG.bytes(32).hex(),
    }
    return Entry(**(fields | changes))  # type: ignore[arg-type]  # a table of fields


def prepared(entries: list[Entry]) -> PreparedSet:
    index = Index(layout="x", classes=("dent", "crack"), region=None, ignore=None, entries=tuple(entries), left_out=())
    return PreparedSet(Path("x"), index, "0" * 64)


def test_strata_are_spread_and_parts_stay_together() -> None:
    data = prepared([entry(number, part=f"part{number // 2}") for number in range(160)])
    found = split(data, Wish(seed=1, folds=4))
    assert {len(fold) for fold in found.folds} <= set(range(24, 33))
    for fold in found.folds:
        names = [name for member in fold for name in data.entries[member].areas]
        assert {names.count("dent"), names.count("crack")} <= {3, 4}
    assert 40 <= len(found.splits["test"]) <= 60
    side = {name: split_name for split_name, names in found.splits.items() for name in names}
    assert all(side[f"p{2 * part:03d}"] == side[f"p{2 * part + 1:03d}"] for part in range(80))
    assert split(data, Wish(seed=1, folds=4)) == found
    assert split(data, Wish(seed=2, folds=4)).folds != found.folds


def test_duplicates_are_never_parted() -> None:
    first = entry(0)
    entries = [entry(number) for number in range(80)]
    flipped = bytes([int(entries[12].look[:2], 16) ^ 0x0F]).hex() + entries[12].look[2:]
    entries[3] = msgspec.structs.replace(entries[3], pixels=entries[8].pixels)
    entries[4] = msgspec.structs.replace(entries[4], look=flipped)
    data = prepared(entries)
    assert clusters(entries) == [("p003", "p008"), ("p004", "p012")]
    assert first.id == "p000"
    for seed in range(5):
        found = split(data, Wish(seed=seed, folds=3))
        refuse_leaks(found, entries)
        moved = {name: tuple(x for x in ids if x != "p003") for name, ids in found.splits.items()}
        other = "test" if "p008" in found.splits["train"] else "train"
        moved[other] += ("p003",)
        with pytest.raises(InputError, match=r"'p003' .* are duplicates"):
            refuse_leaks(msgspec.structs.replace(found, splits=moved), entries)


def flipped(look: str, bits: int) -> str:
    """The look with so many of its bits changed, drawn anew each time."""
    value = int(look, 16)
    for place in RNG.choice(256, bits, replace=False):
        value ^= 1 << int(place)
    return f"{value:064x}"


def test_parts_in_one_pose_are_no_duplicates_of_each_other() -> None:
    """A fixture holds every part alike: any two looks are at most 8 bits apart, which would make all of them one group."""
    pose = RNG.bytes(32).hex()
    entries = [entry(number, look=flipped(pose, 4)) for number in range(120)]
    entries[7] = msgspec.structs.replace(entries[7], pixels=entries[50].pixels)
    assert clusters(entries) == [("p007", "p050")]
    assert indistinct(entries) > 100
    found = split(prepared(entries), Wish(folds=3))
    assert {name: len(ids) for name, ids in found.splits.items()} == {"test": 40, "train": 80}


def test_a_picture_saved_again_is_found_among_parts_that_are_somewhat_alike() -> None:
    pose = RNG.bytes(32).hex()
    entries = [entry(number, look=flipped(pose, 30)) for number in range(120)]
    entries[7] = msgspec.structs.replace(entries[7], look=flipped(entries[50].look, 5))
    assert clusters(entries) == [("p007", "p050")]
    assert indistinct(entries) == 0


def test_a_suggested_split_that_trains_on_good_pictures_alone_is_not_taken_by_itself() -> None:
    """MVTec AD's: made for methods that learn without defects; here thresholds and folds need some."""
    entries = [entry(number, split="test" if number % 4 == 0 else "train") for number in range(120)]
    data = prepared(entries)
    found = split(data, Wish(folds=3))
    assert found.method == "random"
    assert all(any(data.entries[name].defective for name in fold) for fold in found.folds)
    kept = split(data, Wish(folds=3, method="suggested"))
    assert set(kept.splits["test"]) == {e.id for e in entries if e.defective}


def test_a_suggested_split_that_leaks_is_refused_or_loses_training_pictures() -> None:
    entries = [entry(number, split="test" if number >= 40 else "train") for number in range(60)]
    entries[1] = msgspec.structs.replace(entries[1], pixels=entries[45].pixels)
    data = prepared(entries)
    with pytest.raises(InputError, match="parts what belongs together, 1 time"):
        split(data, Wish(folds=2))
    found = split(data, Wish(folds=2, crossing="leave-out"))
    assert found.left_out == ("p001",)
    assert "p001" not in found.splits["train"]


def test_what_crosses_between_validation_and_test_is_left_out_of_validation() -> None:
    entries = [entry(number, split=("train", "validation", "test")[number // 40]) for number in range(120)]
    entries[50] = msgspec.structs.replace(entries[50], pixels=entries[90].pixels)
    found = split(prepared(entries), Wish(folds=2, crossing="leave-out"))
    assert found.left_out == ("p050",)
    assert "p050" not in found.splits["validation"]
    assert "p090" in found.splits["test"]


def test_classes_too_rare_for_the_folds_are_spread_as_one_and_named() -> None:
    entries = [entry(number) for number in range(60)]
    for number, name in enumerate(("once", "rare", "rare", "rare")):
        entries[number] = msgspec.structs.replace(entries[number], defective=True, areas={name: 4})
    data = prepared(entries)
    with pytest.raises(
        InputError, match=r"class 'once' has 1 example\(s\) in 1 group\(s\): too few for 5 folds; --rare pool"
    ):
        split(data, Wish(folds=5, test_share=0.2))
    found = split(data, Wish(folds=5, test_share=0.2, rare="pool"))
    assert len(found.folds) == 5
    assert thin_classes(found, entries) == {"once": 1, "rare": 3}
    sides = [found.splits["test"], *found.folds]
    assert min(sum(data.entries[name].defective for name in side) for side in sides) >= 2


def test_few_defects_make_few_folds() -> None:
    entries = [entry(number, defective=number < 4, areas={"dent": 5} if number < 4 else {}) for number in range(12)]
    found = split(prepared(entries), Wish(rare="pool"))
    train = {name for name in found.splits["train"] if int(name[1:]) < 4}
    assert len(found.folds) == len(train) in (2, 3)
    assert all(train & set(fold) for fold in found.folds)


FEW = [
    (1, {}, "none of them to train: at least 3 are needed"),
    (2, {}, "1 defective part is left to train on, at least 2"),
    (9, {"test_share": 0.95}, "none of them to train"),
]


@pytest.mark.parametrize(("number", "wish", "line"), FEW)
def test_too_few_defects_are_refused_before_anything_is_trained(number: int, wish: dict[str, float], line: str) -> None:
    entries = [entry(n, defective=n < number, areas={"dent": 5} if n < number else {}) for n in range(30)]
    with pytest.raises(InputError, match=line):
        split(prepared(entries), Wish(**wish, rare="pool"))  # type: ignore[arg-type]  # a table


def test_where_the_source_has_no_test_split_its_validation_split_tests() -> None:
    entries = [entry(number, split="validation" if number >= 80 else "train") for number in range(120)]
    found = split(prepared(entries), Wish(folds=2))
    assert (found.method, sorted(found.splits)) == ("suggested", ["test", "train"])
    assert len(found.splits["test"]) == 40


POOR = [
    ([("train", range(60))], "has 0 good picture(s) in its test split"),
    (
        [("train", range(40)), ("test", [n for n in range(40, 60) if n % 4])],
        "has 0 defective picture(s) in its test split",
    ),
    ([("train", range(40)), ("test", range(40, 59))], "leaves out 1 picture(s)"),
]


@pytest.mark.parametrize(("sides", "why"), POOR)
def test_a_suggested_split_by_which_nothing_can_be_judged_is_passed_over(
    sides: list[tuple[str, list[int]]], why: str
) -> None:
    named = {number: side for side, numbers in sides for number in numbers}
    entries = [entry(number, split=named.get(number)) for number in range(60) if number in named or number == 59]
    assert why in str(passed_over(entries))
    assert split(prepared(entries), Wish(folds=2)).method == "random"


def test_a_split_file_is_checked_when_read(tmp_path: Path) -> None:
    data = prepared([entry(number) for number in range(60)])
    path = tmp_path / "splits.json"
    write_splits(path, split(data, Wish(folds=2)))
    assert read_splits(path, data) == split(data, Wish(folds=2))
    with pytest.raises(InputError, match="other data"):
        read_splits(path, PreparedSet(Path("y"), data.index, "1" * 64))
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 5'))
    with pytest.raises(InputError, match="was changed"):
        read_splits(path)


@pytest.mark.skipif(not KOLEKTOR.is_dir(), reason="needs ../shared/data/kolektorsdd")
def test_kolektorsdd_duplicate_parts_are_found(tmp_path: Path) -> None:
    """The parts that are known to be the same, and some that are not; the whole set takes too long here."""
    reader, settings = reader_for(KOLEKTOR), Settings("x")
    some = {"000", "004", "143", "147", "096", "102", "223", "229", "040", "330"}
    records, _ = listed((record for record in reader.records(KOLEKTOR, Options()) if record.id in some), settings)
    data = Preparer(tmp_path / "out", settings).run(records, [], iter(records))
    twins = {frozenset(data.entries[name].part for name in group) for group in clusters(data.index.entries)}
    assert twins == {frozenset({"0", "18"}), frozenset({"12", "28"})}
    exact = {e.pixels for e in data.index.entries if e.part in {"0", "12"}}
    assert {e.pixels for e in data.index.entries if e.part in {"18", "28"}} == exact


@pytest.mark.skipif(not KOLEKTOR.is_dir(), reason="needs ../shared/data/kolektorsdd")
def test_kolektorsdd_suggested_split_is_reproduced() -> None:
    entries = [
        entry(
            number,
            id=r.id,
            part=r.part,
            split=r.split,
            defective=bool(r.defective),
            areas={"d": 1} if r.defective else {},
        )
        for number, r in enumerate(reader_for(KOLEKTOR).records(KOLEKTOR, Options()))
    ]
    found = split(prepared(entries), Wish())
    assert {name: len(ids) for name, ids in found.splits.items()} == {"train": 263, "test": 136}
    defective = {e.id for e in entries if e.defective}
    assert {name: len(defective & set(ids)) for name, ids in found.splits.items()} == {"train": 35, "test": 17}


def test_the_look_survives_saving_again_and_tells_others_apart() -> None:
    import cv2

    from tests.unit.model_build.pictures import picture

    def bits(one: str, other: str) -> int:
        return (int(one, 16) ^ int(other, 16)).bit_count()

    one = picture(1)
    again = cv2.imdecode(cv2.imencode(".jpg", one, [cv2.IMWRITE_JPEG_QUALITY, 80])[1], cv2.IMREAD_GRAYSCALE)
    assert bits(look_hash(one), look_hash(np.asarray(again, np.uint8))) <= 24
    assert bits(look_hash(one), look_hash(picture(2))) > 60
