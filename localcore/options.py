"""The options of `up`: from the command line, then from --config, then the defaults."""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from linewatch_common.errors import ConfigError

from localcore.daemon import CoreOptions
from localcore.runtime import RUNTIMES

_KEYS = ("like", "max_errors", "mqtt", "thing", "stop_timeout")
_MAX_STOP_TIMEOUT_S = 3600.0
_MAX_ERRORS = 1_000_000


def read_options(arguments: argparse.Namespace) -> CoreOptions:
    """Raises ConfigError naming the option and what is wrong with it."""
    values = {
        **_read_file(arguments.config),
        **{key: value for key in _KEYS if (value := getattr(arguments, key)) is not None},
    }
    defaults = CoreOptions(arguments.root)
    return CoreOptions(
        root=arguments.root.absolute(),
        like=_like(values.get("like", defaults.like)),
        max_errors=_max_errors(values.get("max_errors", defaults.max_errors)),
        thing_name=_thing(values.get("thing", defaults.thing_name)),
        mqtt=None if values.get("mqtt") is None else _address(values["mqtt"]),
        stop_timeout_s=None if values.get("stop_timeout") is None else _stop_timeout(values["stop_timeout"]),
    )


def _read_file(path: Path | None) -> Mapping[str, Any]:
    if path is None:
        return {}
    try:
        values = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError(f"--config {path}: {error}") from error
    if not isinstance(values, dict) or set(values) - set(_KEYS):
        raise ConfigError(f"--config {path}: a JSON object with some of {', '.join(_KEYS)} is wanted")
    return values


def _like(value: object) -> str:
    if not isinstance(value, str) or value not in RUNTIMES:
        raise ConfigError(f"like: {value!r} is neither classic nor lite")
    return value


def _max_errors(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= _MAX_ERRORS:
        raise ConfigError(f"max-errors: {value!r} is not a number from 1 to {_MAX_ERRORS}")
    return value


def _stop_timeout(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value <= _MAX_STOP_TIMEOUT_S:
        raise ConfigError(f"stop-timeout: {value!r} is not a number of seconds up to {_MAX_STOP_TIMEOUT_S:g}")
    return float(value)


def _thing(value: object) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= 128 or any(mark in value for mark in "/+#\0"):
        raise ConfigError(f"thing: {value!r} is no thing name")
    return value


def _address(value: object) -> tuple[str, int]:
    host, colon, port = str(value).rpartition(":")
    if not colon or not host or not port.isdigit() or not 1 <= int(port) <= 65535:
        raise ConfigError(f"mqtt: {value!r} is not HOST:PORT")
    return host, int(port)
