"""The command line: greengrass-cli's words for a core on this machine. Arguments here, what they do in commands.py."""

import argparse
import logging
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from linewatch_common.errors import LinewatchError

from localcore.errors import CoreNotRunningError

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_NOT_RUNNING = 3
EXIT_INTERRUPTED = 130

_DESCRIPTION = "A Greengrass core for this machine: runs the bundle's recipes and artefacts without AWS."
_EXAMPLES = """\
a first run, in two terminals:
  python -m localcore up
  python -m localcore deployment create -r greengrass-build/recipes -a greengrass-build/artifacts \\
      -m com.linewatch.Camera=1.0.0 --wait
  python -m localcore component list
  python -m localcore pubsub sub -t 'linewatch/#'

exit codes: 0 done, 1 failed, 2 wrong usage, 3 no core is up on this root
"""
_UP = """\
Runs in the foreground until Ctrl-C or SIGTERM, then stops its components. What was deployed before comes back.
  --like lite     (default) installs all new versions beside the running ones; no rollback; lite's size limits
  --like classic  stops what changes, installs, starts; rolls back on failure
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, run, and return the exit code; an error is one line on stderr."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if "run" not in options:
        parser.print_help()
        return EXIT_USAGE
    try:
        code: int = options.run(options)
    except CoreNotRunningError as error:
        return _fail(error, EXIT_NOT_RUNNING)
    except LinewatchError as error:
        return _fail(error, EXIT_FAILED)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # `... | head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    return code


def _fail(error: Exception, code: int) -> int:
    print(f"localcore: {error}", file=sys.stderr)
    return code


def _up(options: argparse.Namespace) -> int:
    from localcore.options import read_options  # noqa: PLC0415 - asyncio and the core are not needed for --help

    core_options = read_options(options)
    _log_to_stdout()
    from localcore.daemon import serve  # noqa: PLC0415

    serve(core_options)
    return 0


def _log_to_stdout() -> None:
    formatter = logging.Formatter("%(asctime)s.%(msecs)03dZ %(levelname)-7s %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(formatter)
    logging.basicConfig(level=logging.INFO, handlers=[handler])


class CommandRunner:
    """Imports the command only when it is run, so that --help is quick."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, options: argparse.Namespace) -> int:
        """Run it; its exit code."""
        from localcore import commands  # noqa: PLC0415

        code: int = getattr(commands, self._name)(options)
        return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m localcore",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--root",
        type=Path,
        default=Path(".localcore"),
        metavar="DIR",
        help="the core's folder (default: .localcore here)",
    )
    groups = parser.add_subparsers(title="commands", metavar="COMMAND")
    _add_up(groups)
    _add_deployment(groups)
    _add_component(groups)
    _add_pubsub(groups)
    _add_logs(groups)
    return parser


Groups = Any  # argparse's own type of subparsers is private


def _add_up(groups: Groups) -> None:
    up = groups.add_parser(
        "up", help="run the core", description=_UP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    up.add_argument("--like", choices=("classic", "lite"), help="the runtime to behave like (default: lite)")
    up.add_argument(
        "--max-errors", type=int, metavar="N", help="errors in an hour until a component is BROKEN (default: 3)"
    )
    up.add_argument(
        "--mqtt", metavar="HOST:PORT", help="a broker for IoT Core topics (default: they stay here and are logged)"
    )
    up.add_argument("--thing", metavar="NAME", help="the thing's name (default: laptop)")
    up.add_argument(
        "--stop-timeout", type=float, metavar="S", help="seconds from SIGTERM to SIGKILL for a component (default: 15)"
    )
    up.add_argument(
        "--config", type=Path, metavar="FILE", help='defaults for these options: {"like": "classic", "thing": "x"}'
    )
    up.set_defaults(run=_up)


def _add_deployment(groups: Groups) -> None:
    commands = groups.add_parser("deployment", help="create and follow deployments").add_subparsers(
        title="commands", metavar="COMMAND", required=True
    )
    create = commands.add_parser("create", help="deploy recipes and artefacts from folders")
    create.add_argument("-r", "--recipeDir", type=Path, metavar="DIR", help="flat folder of NAME-VERSION.json recipes")
    create.add_argument("-a", "--artifactDir", type=Path, metavar="DIR", help="folder of NAME/VERSION/ artefacts")
    create.add_argument(
        "-m",
        "--merge",
        action="append",
        default=[],
        metavar="N=V",
        help="a root component and its version (repeatable)",
    )
    create.add_argument(
        "--remove", action="append", default=[], metavar="N", help="a root component to remove (repeatable)"
    )
    create.add_argument(
        *("-c", "--config", "--update-config"),
        metavar="FILE",
        help='JSON file, or JSON text: {"NAME": {"merge": {...}, "reset": ["/pointer"]}}',
    )
    create.add_argument(
        "--failure-handling-policy",
        choices=("ROLLBACK", "DO_NOTHING"),
        help="after a failure, classic only (default: ROLLBACK)",
    )
    create.add_argument("--wait", action="store_true", help="wait for the end; exit code 1 when it failed")
    create.add_argument(
        "--timeout", type=float, default=600.0, metavar="S", help="with --wait: give up after S s (default: 600)"
    )
    create.set_defaults(run=CommandRunner("deployment_create"))
    status = commands.add_parser("status", help="how a deployment stands")
    status.add_argument("-i", "--deploymentId", required=True, metavar="ID")
    status.add_argument("--json", action="store_true", help="for programs")
    status.set_defaults(run=CommandRunner("deployment_status"))
    listing = commands.add_parser("list", help="all deployments, newest first")
    listing.add_argument("--json", action="store_true", help="for programs")
    listing.set_defaults(run=CommandRunner("deployment_list"))


def _add_component(groups: Groups) -> None:
    commands = groups.add_parser("component", help="look at components, restart and stop them").add_subparsers(
        title="commands", metavar="COMMAND", required=True
    )
    listing = commands.add_parser("list", help="all components with state, pid and memory")
    listing.add_argument("--json", action="store_true", help="for programs")
    listing.set_defaults(run=CommandRunner("component_list"))
    details = commands.add_parser("details", help="one component with its configuration")
    details.add_argument("--json", action="store_true", help="for programs")
    details.set_defaults(run=CommandRunner("component_details"))
    restart = commands.add_parser("restart", help="restart a component")
    restart.set_defaults(run=CommandRunner("component_restart"))
    stop = commands.add_parser("stop", help="stop a component until it is restarted")
    stop.set_defaults(run=CommandRunner("component_stop"))
    reset = commands.add_parser(
        "reset", help="forget a component's errors and restarts, as `systemctl reset-failed` does"
    )
    reset.set_defaults(run=CommandRunner("component_reset"))
    for parser in (details, restart, stop, reset):
        parser.add_argument("-n", "--name", "--names", required=True, metavar="N", help="the component's name")


def _add_pubsub(groups: Groups) -> None:
    commands = groups.add_parser("pubsub", help="publish and subscribe on local topics").add_subparsers(
        title="commands", metavar="COMMAND", required=True
    )
    sub = commands.add_parser("sub", help="print messages: UTC time, topic, payload")
    sub.add_argument("-t", "--topic", required=True, metavar="T", help="a topic; + and # are wildcards")
    sub.add_argument("--count", type=int, metavar="N", help="end after N messages")
    sub.add_argument(
        "--timeout", type=float, metavar="S", help="end after S s; exit code 1 when --count was not reached"
    )
    sub.add_argument("--json", action="store_true", help="one JSON object a line, for programs")
    sub.set_defaults(run=CommandRunner("pubsub_sub"))
    pub = commands.add_parser("pub", help="publish one message")
    pub.add_argument("-t", "--topic", required=True, metavar="T")
    pub.add_argument("-m", "--message", required=True, metavar="M", help="the payload, sent as UTF-8")
    pub.set_defaults(run=CommandRunner("pubsub_pub"))


def _add_logs(groups: Groups) -> None:
    logs = groups.add_parser("logs", help="a component's log")
    logs.add_argument("-n", "--name", required=True, metavar="N", help="the component's name")
    logs.add_argument("--lines", type=int, default=200, metavar="K", help="the last K lines (default: 200)")
    logs.add_argument("--follow", "-f", action="store_true", help="go on with new lines until Ctrl-C")
    logs.set_defaults(run=CommandRunner("logs"))
