"""`prepare` and `report` of the command line."""

import argparse
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from linewatch_common.manifest import Region
from tqdm import tqdm

from model_build.argument_types import whole
from model_build.data.drawing import with_drawn
from model_build.data.prepare import Preparer, Settings, counting_of, listed
from model_build.data.prepared import PreparedSet
from model_build.data.readers import READERS, reader_for
from model_build.data.records import Options
from model_build.data.report import summary, write_report
from model_build.data.splits import SPLITS_FILE, TRAIN, Splits, Wish, passed_over, read_splits, split, write_splits

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # argparse has no public name for it
else:
    Commands = Any

T = TypeVar("T")
_LAYOUTS = "\n".join(f"  {reader.name:20} {reader.layout}" for reader in READERS)
_PREPARE = f"""Turn raw pictures in any known layout into one checked form, and split them.

Known layouts (found by themselves, or named with --layout):
{_LAYOUTS}

Nothing is half-written: OUT appears when all is done; an interrupted run goes on where it stopped when the same command is
given again. A corrupt file, a mask of another size, an empty mask on a defective part, a mask on a good part and a duplicate
name each give one line, and nothing is written, unless --bad leave-out takes the rest and lists them in the report.

A set of good pictures alone trains, from drawn defects, but nothing can be judged by it. With --draw-defects 0.4 four in ten pictures get a
twin with a drawn defect, which thresholds and figures then rest on; report and model card say so. Take real ones as soon as there are some.

The split never parts pictures of one part or duplicates (same pixels, or the same look). A source's own split is kept, unless it has too
few good or defective pictures to train on or to test on: then all are spread at random (--split suggested keeps it all the same).

  python -m model_build prepare ../shared/data/kolektorsdd build/data/kolektorsdd
  python -m model_build prepare new-line build/data/new-line --draw-defects 0.4
  python -m model_build prepare pictures build/data/brackets --part-pattern '^[^/]+/(\\d+)_' --test-share 0.25
"""
_REPORT = """Write data-report.json and contact sheets: counts, sizes, defect areas, duplicates, suspects.

  python -m model_build report build/data/kolektorsdd build/reports/kolektorsdd
"""


def add_commands(commands: Commands) -> None:
    """Add both to the parser."""
    prepare = _command(commands, "prepare", "raw pictures to one checked form, with splits", _PREPARE)
    prepare.add_argument("source", type=Path, help="the folder with the raw data")
    prepare.add_argument("out", type=Path, help="the prepared folder to make")
    prepare.add_argument("--layout", choices=[reader.name for reader in READERS], help="default: found by itself")
    prepare.add_argument(
        "--bad", choices=["refuse", "leave-out"], default="refuse", help="what a bad picture does (default: refuse)"
    )
    prepare.add_argument("--region", type=_region, metavar="X,Y,W,H", help="region of interest in pixels of the frame")
    prepare.add_argument("--ignore", type=Path, metavar="FILE", help="picture whose non-black pixels never count")
    prepare.add_argument(
        "--part-pattern", type=_pattern, metavar="REGEX", help="its first group in a picture's name is the part"
    )
    prepare.add_argument("--ledger", type=Path, help="the ledger with the operators' labels (layout captured)")
    prepare.add_argument(
        "--draw-defects",
        type=_share,
        metavar="SHARE",
        help="of a set without any defect: give so many pictures a twin with one",
    )
    _split_options(prepare)
    prepare.set_defaults(command=_prepare)
    report = _command(commands, "report", "what is in a prepared folder", _REPORT)
    report.add_argument("data", type=Path, help="a prepared folder")
    report.add_argument("out", type=Path, help="folder for the report")
    report.set_defaults(command=_report)


def _command(commands: Commands, name: str, line: str, text: str) -> argparse.ArgumentParser:
    return commands.add_parser(name, help=line, description=text, formatter_class=argparse.RawDescriptionHelpFormatter)


def _split_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--split",
        choices=["auto", "suggested", "random"],
        default="auto",
        help="default: the source's; random where it suggests none, or one that nothing can be learnt or judged by",
    )
    parser.add_argument("--test-share", type=float, default=0.3, help="of a random split (default 0.3)")
    parser.add_argument("--folds", type=int, default=5, help="folds of the training pictures (default 5)")
    parser.add_argument("--seed", type=whole, default=0, help="the same seed gives the same split (default 0)")
    parser.add_argument(
        "--crossing",
        choices=["refuse", "leave-out"],
        default="refuse",
        help="when the source's split parts duplicates: refuse, or leave them out of training (default refuse)",
    )
    parser.add_argument(
        "--rare",
        choices=["refuse", "pool"],
        default="refuse",
        help="when a class has fewer examples than there are folds: refuse, or spread such classes together, in fewer folds where "
        "there are not so many good or defective parts (default refuse)",
    )


def _prepare(options: argparse.Namespace) -> None:
    reader = reader_for(options.source, options.layout)
    layout = reader.name if options.draw_defects is None else f"{reader.name}, defects drawn"
    settings = Settings(layout, options.bad, options.region, options.ignore, root=options.source)
    wish = Wish(options.seed, options.folds, options.test_share, options.split, options.crossing, options.rare)
    if options.out.exists():
        data = PreparedSet.open(options.out)
        print(f"{options.out}: prepared already, {len(data.entries)} pictures")
    else:
        found = reader.records(options.source, Options(options.part_pattern, options.ledger))
        records, left = listed(iter(progress(found, "listing")), settings)
        if options.draw_defects is not None:
            records = with_drawn(records, options.draw_defects, options.seed, counting_of(settings))
        steps = iter(progress(records, "preparing"))
        data = Preparer(options.out, settings).run(records, left, steps)
    splits = split(data, wish)
    write_splits(options.out / SPLITS_FILE, splits)
    figures = summary(data, splits)
    print(f"{options.out}: {figures['counts']}, data {data.digest[:12]}, layout {reader.name}")
    print(
        f"{options.out / SPLITS_FILE}: { ({name: len(ids) for name, ids in splits.splits.items()}) }, {len(splits.folds)} folds"
    )
    for note in _notes(data, splits, wish, figures):
        print(note)
    print(f"{len(figures['duplicates'])} group(s) of duplicates, {len(figures['suspects'])} suspect(s): see `report`")


def _notes(data: PreparedSet, splits: Splits, wish: Wish, figures: dict[str, Any]) -> Iterator[str]:
    """What was decided without being asked, and what the set is too small for."""
    why = passed_over(data.index.entries)
    if splits.method == "random" and wish.method == "auto" and why:
        yield f"split at random: {why} (--split suggested keeps it)"
    if len(splits.folds) < wish.folds:
        yield f"{len(splits.folds)} folds instead of {wish.folds}: there are no more good or defective parts to train on"
    for kind, advice in (
        ("good", ""),
        ("defective", ": a net learns from drawn ones; --draw-defects gives some to judge by"),
    ):
        if not figures["counts"][kind]:
            yield f"no {kind} picture, so nothing can be judged{advice}"
    if figures["counts"]["defective"] and not figures["splits"][TRAIN]["defective"]:
        yield "no defective picture in the training split: a net learns from drawn ones, and no threshold can be chosen (--split random)"
    for name, number in figures["thin_classes"].items():
        yield f"class {name!r} has {number} picture(s), none in the test split or in some fold: it is hardly learnt, or hardly judged"
    if figures["indistinct"]:
        yield (
            f"{figures['indistinct']} picture(s) look too much like many others: only the same pixels count as duplicates there; "
            "name the parts with --part-pattern if some are photographed more than once"
        )


def _report(options: argparse.Namespace) -> None:
    data = PreparedSet.open(options.data)
    path = options.data / SPLITS_FILE
    splits = read_splits(path, data) if path.exists() else None
    print(write_report(options.out, data, splits, lambda names: progress(names, "drawing")))


def progress(things: Iterable[T], what: str) -> Iterator[T]:
    """The same things, with a bar on stderr where that is a terminal or a log that somebody reads."""
    bar: Any = tqdm(things, desc=what, mininterval=1, leave=False)
    return iter(bar)


def _share(text: str) -> float:
    value = float(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not above 0 and at most 1")
    return value


def _region(text: str) -> Region:
    try:
        x, y, width, height = (int(number) for number in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not X,Y,W,H in whole pixels") from error
    if min(x, y) < 0 or min(width, height) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: negative or empty")
    return Region(x=x, y=y, width=width, height=height)


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {error}") from error
