"""Configuration: a plain mapping in, a frozen and bounds-checked object out.

A component's configuration class is a `Config` subclass whose field names become the recipe's keys in PascalCase (`frames_per_second`
is `FramesPerSecond`) and whose defaults equal the recipe's DefaultConfiguration (a contract test holds them together). Greengrass lite
turns the scalars of a YAML recipe into strings, so "5" and "true" are read as 5 and true.
"""

import difflib
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, TypeVar, get_args, get_origin

import msgspec

from linewatch_common.errors import ConfigError
from linewatch_common.topics import STATION_PATTERN

# What the runtime itself keeps in a component's configuration.
RUNTIME_KEYS = frozenset({"accessControl"})

Station = Annotated[str, msgspec.Meta(pattern=STATION_PATTERN)]


class Config(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """Base of every component's configuration."""

    # Keys of a component that this one stands in for: admitted, named in a line, and without effect.
    without_meaning: ClassVar[frozenset[str]] = frozenset()

    station: Station = "line1"


C = TypeVar("C", bound=msgspec.Struct)


def read_config(config_type: type[C], raw: Mapping[str, Any], where: str) -> tuple[C, list[str]]:
    """The configuration in `raw` and a warning line for each key that nobody reads.

    Raises ConfigError with one line that names `where`, the key and the bound when a value is missing, mistyped or out of bounds.
    """
    own = {key: value for key, value in raw.items() if key not in RUNTIME_KEYS}
    known = [field.encode_name for field in msgspec.structs.fields(config_type)]
    warnings = _unknown_keys(where, config_type, own)
    try:
        config = msgspec.convert({key: own[key] for key in own if key in known}, type=config_type, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{where}: {_readable(str(error), config_type)}") from error
    return config, warnings


def default_configuration(config_type: type[msgspec.Struct]) -> dict[str, Any]:
    """The class's defaults as the recipe's DefaultConfiguration would hold them (without accessControl)."""
    builtins: dict[str, Any] = msgspec.to_builtins(config_type())
    return builtins


def _unknown_keys(where: str, config_type: type[msgspec.Struct], raw: Mapping[str, Any]) -> list[str]:
    """A line for each unread key, also of the maps within."""
    fields = {field.encode_name: field.type for field in msgspec.structs.fields(config_type)}
    without_meaning = config_type.without_meaning if issubclass(config_type, Config) else frozenset()
    lines = [_unknown_key(where, key, list(fields), without_meaning) for key in raw if key not in fields]
    for key, value in raw.items():
        inner = fields.get(key)
        if isinstance(value, Mapping) and isinstance(inner, type) and issubclass(inner, msgspec.Struct):
            lines += _unknown_keys(f"{where}: {key}", inner, value)
    return lines


def _unknown_key(where: str, key: str, known: list[str], without_meaning: frozenset[str]) -> str:
    if key in without_meaning:
        return f"{where}: {key} has no meaning for this component and is ignored"
    near = difflib.get_close_matches(key, known, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"{where}: unknown key {key!r} is ignored{hint}"


def _readable(message: str, config_type: type[msgspec.Struct]) -> str:
    """msgspec's "Expected `int` <= 10 - at `$.Retries`" as "Retries: expected `int` <= 10"; of a choice, with what may be chosen."""
    text, separator, path = message.partition(" - at `$.")
    if not separator:
        return message
    key = path.rstrip("`")
    return f"{key}: {text[0].lower()}{text[1:]}{_choices(config_type, key)}"


def _choices(config_type: type[msgspec.Struct], key: str) -> str:
    for field in msgspec.structs.fields(config_type):
        if field.encode_name == key and get_origin(field.type) is Literal:
            return "; want " + " or ".join(repr(choice) for choice in get_args(field.type) if choice)
    return ""
