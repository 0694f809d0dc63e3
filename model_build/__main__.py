"""Models worth deploying, step by step: `python -m model_build COMMAND --help` explains each step."""

import argparse
import sys
from importlib import import_module

from linewatch_common.errors import LinewatchError
from tqdm import tqdm

# Sub-package and its commands. Only the one that is asked for is imported: each step runs in an environment that has what
# this step needs, and starts at once.
COMMANDS = {
    "data": ("prepare", "report"),
    "captures": ("captures",),
    "training": ("train", "predict"),
    "evaluation": ("evaluate",),
    "compiling": ("compile",),
    "packaging": ("key", "package", "sign", "verify", "component"),
    "devices": ("device",),
    "infrastructure": ("infrastructure",),
    "publishing": ("publish",),
    "pipelines": ("pipeline",),
    "fleet": ("fleet",),
}


def parsed(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line; `parsed(...).command(...)` runs it. A wrong one exits with 2."""
    arguments = sys.argv[1:] if arguments is None else arguments
    return parser_for(arguments[0] if arguments else "").parse_args(arguments)


def parser_for(command: str) -> argparse.ArgumentParser:
    """The parser of one command; of all when there is none of that name."""
    parser = argparse.ArgumentParser(prog="python -m model_build", description=__doc__)
    commands = parser.add_subparsers(dest="step", required=True, metavar="COMMAND")
    wanted = [package for package, names in COMMANDS.items() if command in names]
    for package in wanted or COMMANDS:
        import_module(f"model_build.{package}.commands").add_commands(commands)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run one command: 0 when it did what was asked, 1 with the reason on stderr, 2 for a wrong command line."""
    options = parsed(arguments)
    try:
        options.command(options)
    except LinewatchError as error:
        tqdm.write(f"{options.step}: {error}", file=sys.stderr)  # on a line of its own, whatever bar is drawn
        return int(getattr(error, "exit_code", 1))  # a deployment says how it ended (model_build.fleet.errors)
    return 0


if __name__ == "__main__":
    sys.exit(main())
