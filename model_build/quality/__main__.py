"""From raw pictures to docs/quality.md: `python -m model_build.quality [--dataset DIR]`; `make quality` calls it."""

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from linewatch_common.errors import InputError, LinewatchError
from tqdm import tqdm

from model_build.argument_types import whole
from model_build.quality.cache import Cache
from model_build.quality.latency import PAIR
from model_build.quality.page import known, write
from model_build.quality.steps import Chain, Pythons
from model_build.quality.study import Study, Wanted

_DEFAULT = Path("../shared/data/kolektorsdd")
_TEXT = """Train, compile and judge our net with three seeds, and the reference's pair beside it.

Writes docs/quality.md and docs/quality.json. Every step is kept below --cache under a digest of its code, data and seed: after an
interruption the same command goes on where it was, and a step runs again only when something that it depends on has changed. The
page is written when our seeds are done and again with the pair. An hour and a half on 2 quiet cores.

  make quality
  make quality DATASET=pictures/brackets
"""


def main(arguments: list[str] | None = None) -> int:
    """0 when the page is written, 1 with one line when not."""
    options = _parser().parse_args(arguments)
    root = Path(__file__).resolve().parents[2]
    try:
        _run(options, root)
    except LinewatchError as error:
        tqdm.write(f"quality: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m model_build.quality",
        description=_TEXT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--dataset", type=Path, help=f"raw pictures in a known layout (default {_DEFAULT})")
    parser.add_argument("--cache", type=Path, default=Path("build/quality"), help="default build/quality")
    parser.add_argument("--docs", type=Path, default=Path("docs"), help="where the page is written (default docs)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of our net (default 0 1 2)")
    pair = parser.add_mutually_exclusive_group()
    pair.add_argument("--without-pair", action="store_true", help="do not train the reference's pair")
    pair.add_argument(
        "--pair-alone",
        nargs="*",
        choices=PAIR,
        metavar="NET",
        help=f"train the pair alone, or one of {' and '.join(PAIR)}, and put it beside what the page says already",
    )
    few = parser.add_mutually_exclusive_group()
    few.add_argument(
        "--few-defects",
        type=whole,
        nargs="*",
        default=[],
        metavar="N",
        help="train ours once more from so few defective pictures, e.g. 0 5 20 (0: the net that learns good ones alone)",
    )
    few.add_argument(
        "--few-alone",
        type=whole,
        nargs="+",
        metavar="N",
        help="train ours from so few alone, with the first seed, and put it beside what the page says already",
    )
    parser.add_argument("--python", default=sys.executable, help="of the environment with torch")
    parser.add_argument("--python-tensorflow", default=".venv-tensorflow/bin/python", help="of that with TensorFlow")
    return parser


def _beside(
    options: argparse.Namespace, chain: Chain, source: Path, known_already: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """The set's entry with what was trained alone, whenever there is more."""
    if options.few_alone is not None:
        study = Study(chain, Wanted(tuple(options.seeds), (), tuple(options.few_alone)))
        yield from study.few_beside(source, known_already)
    else:
        study = Study(chain, Wanted((), tuple(options.pair_alone) or PAIR))
        yield study.pair_beside(source, known_already)


def _run(options: argparse.Namespace, root: Path) -> None:
    source = options.dataset or _DEFAULT
    if not source.is_dir():
        what = "--dataset" if options.dataset else "the sample set is not at hand; name another with DATASET=DIR"
        raise InputError(f"{source}: is no folder ({what})")
    name = re.sub(r"[^A-Za-z0-9_.-]+", "_", source.resolve().name)
    cache = Cache((options.cache / name).resolve(), root, lambda line: tqdm.write(line, file=sys.stderr))
    chain = Chain(cache, root, Pythons(options.python, options.python_tensorflow))
    if options.few_alone is not None or options.pair_alone is not None:
        for found in _beside(options, chain, source, known(options.docs, name)):
            write(options.docs, name, found)
        print(f"{options.docs / 'quality.md'}: {name}, what was measured alone beside ours")
        return
    pair = () if options.without_pair else PAIR
    study = Study(chain, Wanted(tuple(options.seeds), pair, tuple(options.few_defects)))
    for found in study.of(
        source
    ):  # written whenever there is more: what is measured is not lost with what takes longer
        write(options.docs, name, found)
    print(f"{options.docs / 'quality.md'}: {name}, image AP {found['ours'].image_ap_mean:.4f}")


if __name__ == "__main__":
    sys.exit(main())
