"""The command line of the build."""

import argparse
import platform
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from components.builder.build import Request, build
from components.builder.configuration import read_site
from components.builder.errors import BuildError
from components.builder.progress import open_progress
from components.builder.table import ARCHITECTURES, ARTEFACTS, MODEL_PREFIX

_MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "aarch64", "arm64": "aarch64"}


def main(root: Path, arguments: Sequence[str] | None = None) -> int:
    """Build as the arguments say. Returns the exit code."""
    options = _parser().parse_args(arguments)
    began = time.monotonic()
    try:
        request = _request(root, options)
        with open_progress(options.quiet) as progress:
            failures = build(request, progress)
    except BuildError as error:
        failures = [str(error)]
    for failure in failures:
        print(f"build: {failure}", file=sys.stderr)
    if not failures and not options.quiet:
        print(f"build: {request.out} is ready ({time.monotonic() - began:.1f} s)")
    return 1 if failures else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="components/build.py", description="Recipes and code into greengrass-build/.")
    parser.add_argument("--architecture", choices=["amd64", "aarch64", "host", "all"], default="all")
    parser.add_argument("--python", default="3.11", metavar="3.11", help="the device's Python (default %(default)s)")
    parser.add_argument("--component", action="append", metavar="NAME", help="only this one (again for more)")
    parser.add_argument(
        "--version", action="append", default=[], metavar="NAME=1.2.3", help="another version than the recipe's"
    )
    parser.add_argument(
        "--package", action="append", default=[], metavar="NAME=DIR", help="another package for a model component"
    )
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="a site's configuration, made the recipes' defaults"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="default greengrass-build in the checkout")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="default .cache/build in the checkout")
    parser.add_argument("--gdk", action="store_true", help="also write the recipe under the names that gdk looks for")
    parser.add_argument("--quiet", action="store_true", help="one line for each artefact")
    return parser


def _request(root: Path, options: argparse.Namespace) -> Request:
    return Request(
        root=root,
        out=(options.out or root / "greengrass-build").resolve(),
        cache=(options.cache or root / ".cache" / "build").resolve(),
        components=tuple(_known(name) for name in options.component or [a.component for a in ARTEFACTS]),
        architectures=architectures_named(options.architecture),
        python=_python(options.python),
        versions=_pairs(options.version, "--version"),
        packages={name: Path(folder).resolve() for name, folder in _pairs(options.package, "--package").items()},
        site={_known(name): merge for name, merge in read_site(options.config).items()} if options.config else {},
        gdk=options.gdk,
    )


def _known(name: str) -> str:
    """A component's name, in full or without com.linewatch."""
    for artefact in ARTEFACTS:
        if name in {artefact.component, artefact.component.removeprefix("com.linewatch."), artefact.stem}:
            return artefact.component
    if re.fullmatch(re.escape(MODEL_PREFIX) + r"[A-Za-z0-9](-*[A-Za-z0-9])*", name):
        return name  # a model of somebody else's
    raise BuildError(f"{name}: no such component; there are {', '.join(a.component for a in ARTEFACTS)}")


def _pairs(values: list[str], option: str) -> dict[str, str]:
    pairs = [value.partition("=") for value in values]
    for name, _, value in pairs:
        if not value:
            raise BuildError(f"{option} {name}: want NAME=VALUE")
    return {_known(name): value for name, _, value in pairs}


def _python(version: str) -> str:
    major, _, minor = version.partition(".")
    if major != "3" or not minor.isdigit() or int(minor) < 11:
        raise BuildError(f"--python {version}: want 3.11 or later, such as 3.12")
    return version


def architectures_named(wanted: str) -> tuple[str, ...]:
    """The processors of an --architecture. Raises BuildError for a host that is none of them."""
    if wanted == "all":
        return tuple(ARCHITECTURES)
    if wanted != "host":
        return (wanted,)
    machine = platform.machine().lower()
    if machine not in _MACHINES:
        raise BuildError(f"this machine is {machine}: say --architecture amd64 or aarch64")
    return (_MACHINES[machine],)
