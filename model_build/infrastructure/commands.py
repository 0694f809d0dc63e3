"""`infrastructure` of the command line."""

import argparse
from pathlib import Path

from linewatch_common.files import write_atomically

from model_build.data.commands import Commands
from model_build.infrastructure.bundle import BUNDLES, write_bundle
from model_build.infrastructure.machine import text

HERE = Path(__file__).parent
MACHINE = HERE / "release.asl.json"
_PAGE = """What an account needs, before `sam deploy` (docs/infrastructure.md).

  python -m model_build infrastructure functions build/functions.zip            # the functions' code
  python -m model_build infrastructure functions build/drift.zip --bundle drift   # of those that look for drift: with numerics
  python -m model_build infrastructure machine                         # writes release.asl.json again
"""


def add_commands(commands: Commands) -> None:
    """Add `infrastructure` with both."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = commands.add_parser(
        "infrastructure", help="what the account's template needs", description=_PAGE, formatter_class=raw
    )
    steps = parser.add_subparsers(dest="infrastructure_step", required=True, metavar="STEP")
    functions = steps.add_parser("functions", help="the functions' code as a zip")
    functions.add_argument("out", type=Path, nargs="?", default=Path("build/functions.zip"))
    functions.add_argument("--bundle", choices=list(BUNDLES), default="functions", help="default functions")
    functions.set_defaults(command=_functions)
    machine = steps.add_parser("machine", help="write the state machine again")
    machine.set_defaults(command=lambda _: write_atomically(MACHINE, text(), 0o644))


def _functions(options: argparse.Namespace) -> None:
    content = write_bundle(options.out, BUNDLES[options.bundle])
    print(f"{options.out}: {content.files} files, {content.size / 1e6:.1f} MB unpacked")
