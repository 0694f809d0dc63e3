"""Models worth deploying, step by step: `python -m model_build COMMAND --help` explains each step."""

import argparse
import sys

from linewatch_common.errors import LinewatchError
from tqdm import tqdm

from model_build.captures.commands import add_commands as add_capture_commands
from model_build.data.commands import add_commands as add_data_commands
from model_build.devices.commands import add_commands as add_device_commands
from model_build.evaluation.commands import add_commands as add_evaluation_commands
from model_build.packaging.commands import add_commands as add_packaging_commands
from model_build.training.commands import add_commands as add_training_commands


def parsed(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line; `parsed(...).command(...)` runs it. A wrong one exits with 2."""
    parser = argparse.ArgumentParser(prog="python -m model_build", description=__doc__)
    commands = parser.add_subparsers(dest="step", required=True, metavar="COMMAND")
    add_data_commands(commands)
    add_capture_commands(commands)
    add_training_commands(commands)
    add_device_commands(commands)
    add_evaluation_commands(commands)
    add_packaging_commands(commands)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Run one command: 0 when it did what was asked, 1 with the reason on stderr, 2 for a wrong command line."""
    options = parsed(arguments)
    try:
        options.command(options)
    except LinewatchError as error:
        tqdm.write(f"{options.step}: {error}", file=sys.stderr)  # on a line of its own, whatever bar is drawn
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
