"""The install step: digests, then the proof by the agent that runs."""

import logging
from collections.abc import Mapping
from pathlib import Path

from linewatch_common.config import read_config
from linewatch_common.errors import ConfigError, LinewatchError
from linewatch_common.service import ExitCode, open_bus
from linewatch_common.topics import Topics

from linewatch_model.config import ModelConfig
from linewatch_model.package import OwnPackage, verified_package
from linewatch_model.trial import Trial

log = logging.getLogger(__name__)


def install(folder: Path, component: str, environ: Mapping[str, str]) -> int:
    """Verify the package in `folder` and have it proved; returns the exit code, non-zero when it must not be used."""
    try:
        package = verified_package(folder)
        log.info("%s: %d files verified in %s", package.manifest.identifier, len(package.manifest.files), folder)
        if "SVCUID" not in environ:
            log.warning("%s: unproved: not started by a Greengrass runtime", package.manifest.identifier)
            return ExitCode.OK
        _prove(package, component, environ)
    except ConfigError as error:
        log.error("%s: %s", component, error)  # noqa: TRY400 - the line says it all
        return ExitCode.BAD_CONFIGURATION
    except LinewatchError as error:
        log.error("%s: %s", component, error)  # noqa: TRY400 - the line says it all
        return ExitCode.FAILED
    return ExitCode.OK


def _prove(package: OwnPackage, component: str, environ: Mapping[str, str]) -> None:
    bus = open_bus(environ)
    try:
        config, _ = read_config(ModelConfig, bus.configuration(), component)
        proof = Trial(package, bus, Topics(config.station)).run(component)
    finally:
        bus.close()
    identifier = package.manifest.identifier
    if proof is None:
        log.warning("%s: unproved: no edge agent runs; it proves the package when the package is offered", identifier)
    else:
        log.info("%s: proved: %.1f ms, %d golden pictures", identifier, proof.latency_ms, proof.golden_samples)
