"""Run the whole line on this machine: build, start a core, deploy, inspect, show a live line."""

import argparse
import contextlib
import json
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

from linewatch_common.errors import LinewatchError

from tools.demo.live import LiveLine
from tools.line import MODELS, Line, LineError, LineSettings, build, free_port
from tools.line.line import ROOT
from tools.line.summary import summary

STATE = ROOT / "build/demo"
PORT = 8080
CAMERA = "com.linewatch.Camera"
FIRST_VERDICT_SECONDS = 60.0
# After the last frame: its deadline, the ledger's batch, and slack for a busy machine.
LAST_OUTCOME_SECONDS = 20.0


class _Stopped(Exception):  # noqa: N818 - not an error: a person pressed Ctrl-C
    """SIGTERM or SIGINT."""


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise _Stopped


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--frames", type=_count, default=0, help="stop after so many frames and print one JSON line")
    parser.add_argument("--source", type=_folder, default=ROOT / "demo/parts", help="folder with your own pictures")
    parser.add_argument("--fps", type=float, default=5.0, help="frames a second (default 5)")
    parser.add_argument("--like", choices=("lite", "classic"), default="lite", help="which nucleus to behave like")
    parser.add_argument(
        "--models", choices=tuple(MODELS), default="pair", help="classifier and segmenter, or one net for both roles"
    )
    parser.add_argument("--port", type=int, default=PORT, help="port of the page (default 8080, or a free one)")
    return parser.parse_args()


def _folder(text: str) -> Path:
    """`make demo SOURCE=~/pictures`: only some shells replace the tilde there, and make none."""
    return Path(text).expanduser()


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("want at least 1 frame")
    return number


def _check_source(source: Path) -> None:
    if not source.is_dir():
        raise LineError(f"SOURCE={source}: no such folder")
    pictures = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"}
    if not any(entry.suffix.lower() in pictures for entry in source.iterdir()):
        raise LineError(f"SOURCE={source}: no PNG, JPEG, BMP or TIFF picture in it")


def run(settings: LineSettings, started: float) -> dict[str, Any]:
    """Run the line until the frames are inspected or Ctrl-C; the closing figures. `started` is when the command began (monotonic)."""
    with Line(settings, STATE) as line:
        print("deploying the bundle …", flush=True)
        line.deploy()
        print(f"page: http://127.0.0.1:{settings.port}   state and logs: {line.root}", flush=True)
        with contextlib.suppress(_Stopped):
            _inspect(line, settings, started)
        memory = line.memory()
        _settle(line)
        return summary(line, memory)


def _settle(line: Line) -> None:
    """Stop taking pictures and let what is on its way end, so that Ctrl-C leaves no part without an outcome."""
    line.core.stop(CAMERA)
    with contextlib.suppress(LineError):  # the closing figures name what has no outcome
        line.wait_for(
            lambda: sum(line.records.outcomes().values()) >= line.records.captured(),
            LAST_OUTCOME_SECONDS,
            "all outcomes",
        )


def _inspect(line: Line, settings: LineSettings, started: float) -> None:
    line.wait_for(lambda: bool(line.records.outcomes()), FIRST_VERDICT_SECONDS, "the first verdict")
    print(f"first verdict {time.monotonic() - started:.1f} s after the start", flush=True)
    with LiveLine() as live:
        while True:
            line.check_core()
            captured, outcomes = line.records.captured(), line.records.outcomes()
            live.show(captured, outcomes, settings.frames)
            if settings.frames and captured >= settings.frames:
                return
            time.sleep(0.25)


def main() -> int:
    """Exit 0 only if every captured frame has an outcome."""
    started = time.monotonic()
    arguments = _arguments()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    try:
        _check_source(arguments.source)
        build()
        port = free_port(arguments.port)
        settings = LineSettings(
            arguments.source, arguments.frames, arguments.fps, arguments.like, port, models=arguments.models
        )
        figures = run(settings, started)
    except _Stopped:
        return 130
    except LinewatchError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    problems = figures.pop("unaccounted")
    for problem in problems[:10]:
        print(f"demo: {problem}", file=sys.stderr)
    print(json.dumps(figures))
    return 1 if problems or not figures["inspected"] else 0


if __name__ == "__main__":
    sys.exit(main())
