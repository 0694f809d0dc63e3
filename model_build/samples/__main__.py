"""Command line: `python -m model_build.samples generate|raw|parts`."""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

from linewatch_common.errors import LinewatchError

from model_build.argument_types import fraction, whole
from model_build.samples.folder import DEMO_SEED, write_folder, write_parts
from model_build.samples.generator import Settings
from model_build.samples.raw import SPLIT_SEEDS, write_raw

RAW = {
    "train": (1200, 0.5),
    "test": (600, 0.3),
}  # pictures and share of defective ones; minutes to draw, prepare and learn


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0 when it did what was asked."""
    options = _parser().parse_args(arguments)
    try:
        options.command(options)
    except (LinewatchError, OSError) as error:
        print(f"{options.name}: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m model_build.samples", description=__doc__)
    commands = parser.add_subparsers(dest="name", required=True)
    generate = commands.add_parser("generate", help="write pictures, exact masks and manifest.csv")
    _common(generate, count=100, share=0.3)
    generate.add_argument("--width", type=_positive, default=640)
    generate.add_argument("--height", type=_positive, default=480)
    generate.add_argument("--colour", action="store_true", help="tinted BGR pictures instead of grey")
    generate.add_argument("--seed", type=whole, required=True, help="the same seed gives the same pictures")
    generate.set_defaults(command=_generate)
    raw = commands.add_parser("raw", help="write raw data in COCO's layout, what `python -m model_build prepare` takes")
    raw.add_argument("--out", type=Path, required=True, help="folder to write")
    raw.add_argument(
        "--train", type=_positive, default=RAW["train"][0], help="pictures to train on (default %(default)s)"
    )
    raw.add_argument(
        "--test", type=_positive, default=RAW["test"][0], help="pictures to test with (default %(default)s)"
    )
    raw.add_argument("--kinds", action="store_true", help="each kind of defect is a class (default: all are one)")
    raw.set_defaults(command=_raw)
    parts = commands.add_parser("parts", help="write the demo's parts (JPEG) and the truth beside them")
    _common(parts, count=40, share=0.3)
    parts.add_argument("--seed", type=whole, default=DEMO_SEED)
    parts.set_defaults(command=_parts)
    return parser


def _common(parser: argparse.ArgumentParser, *, count: int, share: float) -> None:
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--count", type=_positive, default=count)
    parser.add_argument("--defect-share", type=fraction, default=share, help="share of defective pictures, 0 to 1")


def _generate(options: argparse.Namespace) -> None:
    settings = Settings(options.seed, options.width, options.height, options.defect_share, options.colour)
    write_folder(settings, _progress(options.count), options.out)


def _raw(options: argparse.Namespace) -> None:
    for split, (_, share) in RAW.items():
        settings = Settings(SPLIT_SEEDS[split], defect_share=share)
        write_raw(split, settings, _progress(getattr(options, split)), options.out, kinds=options.kinds)


def _parts(options: argparse.Namespace) -> None:
    settings = Settings(seed=options.seed, defect_share=options.defect_share)
    write_parts(settings, _progress(options.count), options.out)


def _progress(count: int) -> Iterable[int]:
    """0 to count - 1, with a line of progress on stderr: no dependency, so that it works in every environment."""
    for index in range(count):
        if index % max(1, count // 50) == 0:
            print(f"\r{index} of {count}", end="", file=sys.stderr, flush=True)
        yield index
    print(f"\r{count} of {count}", file=sys.stderr)


def _positive(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 1_000_000:
        raise argparse.ArgumentTypeError(f"{text} is not between 1 and 1000000")
    return value


if __name__ == "__main__":
    sys.exit(main())
