"""`python -m model_build.jobs STEP [--flags of the command]`: one step of a pipeline, in a container or on a laptop."""

import argparse
import os
import sys
from pathlib import Path

from linewatch_common.errors import LinewatchError

from model_build.jobs.flags import given
from model_build.jobs.places import BASE, DEFAULT_BASE, processing
from model_build.jobs.processing import JOBS

_ABOUT = f"""Run one step of a pipeline as SageMaker does: inputs in BASE/input/NAME, outputs in BASE/output/NAME.

BASE is --base, else {BASE}, else {DEFAULT_BASE}. All other flags go to the command of the same step
(`python -m model_build STEP --help`), in pairs; the value "none" leaves a flag out. Steps:
""" + "\n".join(f"  {name:18} {(job.__doc__ or '').splitlines()[0]}" for name, job in JOBS.items())


def main(arguments: list[str] | None = None) -> int:
    """0 when the step did what was asked, 1 with the reason on stderr and where SageMaker shows it."""
    parser = argparse.ArgumentParser(
        prog="python -m model_build.jobs", description=_ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("step", choices=list(JOBS))
    parser.add_argument("--base", type=Path, help="stands for /opt/ml/processing")
    options, flags = parser.parse_known_args(arguments)
    places = processing(os.environ, options.base)
    try:
        JOBS[options.step](places, given(flags))
    except LinewatchError as error:
        print(f"{options.step}: {error}", file=sys.stderr)
        places.say_why(f"{options.step}: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
