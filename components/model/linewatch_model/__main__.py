"""Put a model component together and run its step."""

import argparse
import importlib
import logging
import os
import sys
from collections.abc import Mapping

from linewatch_common import __version__
from linewatch_common.errors import PackageError
from linewatch_common.logs import set_up_logging
from linewatch_common.service import Context, ExitCode, Service, run_service

from linewatch_model.component import ModelComponent
from linewatch_model.config import ModelConfig
from linewatch_model.install import install
from linewatch_model.lease import Lease
from linewatch_model.package import OwnPackage, package_folder, verified_package

log = logging.getLogger(__name__)


def run(package: OwnPackage, component: str, environ: Mapping[str, str]) -> int:
    """Offer the package and hold the lease until SIGTERM; returns the exit code."""

    def build(_config: ModelConfig, context: Context) -> ModelComponent:
        return ModelComponent(package, Lease(package, component), component, context.bus, context.topics)

    return run_service(Service(component, ModelConfig, build), environ)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="linewatch_model", description="linewatch's model component: one version of one model."
    )
    parser.add_argument("step", nargs="?", choices=["install", "run"], help="what the runtime asks for")
    parser.add_argument("--package", metavar="FOLDER", help="the model package (default: $LINEWATCH_PACKAGE)")
    parser.add_argument(
        "--selfcheck", action="store_true", help="check imports and the package, print one line, and end"
    )
    parser.add_argument("--version", action="version", version=__version__)
    return parser


def _selfcheck(package: OwnPackage) -> str:
    for name in ("awsiot.greengrasscoreipc.clientv2", "msgspec"):
        importlib.import_module(name)
    return f"OK linewatch_model: {package.manifest.identifier} for the role {package.manifest.role}, {package.digest}"


def main(arguments: list[str], environ: Mapping[str, str] = os.environ) -> int:
    """Run a step; returns the exit code."""
    parser = _parser()
    given = parser.parse_args(arguments)
    set_up_logging(environ.get("LINEWATCH_LOG_LEVEL", "INFO"))
    try:
        folder = package_folder(given.package, environ)
        component = environ.get("LINEWATCH_COMPONENT", "com.linewatch.model")
        if given.step == "install":
            return install(folder, component, environ)
        package = verified_package(folder)
    except PackageError as error:
        log.error("%s", error)  # noqa: TRY400 - the line says it all
        return ExitCode.FAILED
    if given.selfcheck:
        sys.stdout.write(f"{_selfcheck(package)}\n")
        return ExitCode.OK
    if given.step == "run":
        return run(package, component, environ)
    parser.print_usage(sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
