"""The steps of a recipe: `install` and `run`; and `--selfcheck` for people and tests."""

import argparse
import logging
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path

from linewatch_launcher.bundle import Bundle, check_host, is_whole, read_bundle
from linewatch_launcher.errors import LauncherError, WrongHostError
from linewatch_launcher.locks import VersionLock
from linewatch_launcher.process import (
    command,
    environment,
    remove_old_byte_code,
    replace_process,
    selfcheck_environment,
)
from linewatch_launcher.store import Store

log = logging.getLogger(__name__)

EXIT_FAILED = 1
EXIT_WRONG_HOST = 78  # EX_CONFIG of sysexits.h: trying again does not help


def main(main_file: str, arguments: Sequence[str] | None = None) -> int:
    """Run one step of the artefact whose `__main__.py` is `main_file`. Returns the exit code, or becomes the component."""
    _set_up_logging()
    source = Path(main_file).resolve().parent
    options = _parser(source).parse_args(arguments)
    try:
        bundle = read_bundle(source)
        check_host(bundle)
        if options.selfcheck:
            return _selfcheck(source, bundle)
        _step(source, bundle, options)
    except WrongHostError as error:
        log.error("%s", error)  # noqa: TRY400 - the line says it all
        return EXIT_WRONG_HOST
    except LauncherError as error:
        log.error("%s", error)  # noqa: TRY400 - the line says it all
        return EXIT_FAILED
    return 0


def _parser(source: Path) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=source.name, description="One component of linewatch: its recipe's steps.")
    parser.add_argument("step", nargs="?", choices=["install", "run"], help="what the runtime asks for")
    parser.add_argument("--work", type=Path, help="the component's work folder, {work:path} of the recipe")
    parser.add_argument("--decompressed", type=Path, help="where the runtime unpacks, {artifacts:decompressedPath}")
    parser.add_argument("--selfcheck", action="store_true", help="import everything that is packed, write nothing")
    return parser


def _step(source: Path, bundle: Bundle, options: argparse.Namespace) -> None:
    if options.step is None or options.work is None:
        raise LauncherError(f"{source}: say install or run, and --work FOLDER; or --selfcheck")
    work = options.work.resolve()
    folder, lock = _unpacked(source, bundle, work, options.decompressed)
    if options.step == "install":
        if lock is not None:
            Store(work).remove_others(bundle)
        if not bundle.installs:
            log.info("%s: ready in %s", bundle, folder)
            return
    else:
        remove_old_byte_code(bundle, work)
    if lock is not None:
        lock.hand_over()
    replace_process(command(bundle, options.step), environment(bundle, folder, work, os.environ))


def _unpacked(source: Path, bundle: Bundle, work: Path, decompressed: Path | None) -> tuple[Path, VersionLock | None]:
    """A whole unpacked folder: this one, the runtime's, or our own in the work folder with a lock on it."""
    if source.is_dir():
        candidates = [source]
    elif decompressed is not None:
        candidates = [decompressed / source.stem, decompressed]
    else:
        candidates = []
    for folder in candidates:
        if is_whole(folder, bundle):
            return folder.resolve(), None
    if source.is_dir():
        raise LauncherError(f"{source}: files are missing or changed; deploy {bundle} again")
    return Store(work).hold(source, bundle)


def _selfcheck(source: Path, bundle: Bundle) -> int:
    if source.is_dir():
        replace_process(command(bundle, "--selfcheck"), selfcheck_environment(source, os.environ))
    with tempfile.TemporaryDirectory(prefix="linewatch-selfcheck-") as folder:
        try:
            with zipfile.ZipFile(source) as packed:
                packed.extractall(folder)
        except (OSError, zipfile.BadZipFile) as error:
            raise LauncherError(f"{source}: cannot unpack into {folder}: {error}") from error
        checked = subprocess.run(
            command(bundle, "--selfcheck"), env=selfcheck_environment(Path(folder), os.environ), check=False
        )
    return checked.returncode


def _set_up_logging() -> None:
    """The same lines as the components write."""
    line = "%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s"
    formatter = logging.Formatter(line, "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(formatter)
    logging.basicConfig(level=logging.INFO, handlers=[handler])
