"""Reading a request's fields."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from localcore.errors import InvalidArgumentsError


def text(request: Mapping[str, Any], name: str) -> str:
    """A required string. Raises InvalidArgumentsError."""
    value = request.get(name)
    if not isinstance(value, str) or not value:
        raise InvalidArgumentsError(f"{name} is missing")
    return value


def optional_text(request: Mapping[str, Any], name: str, default: str) -> str:
    """A string that may be absent. Raises InvalidArgumentsError."""
    value = request.get(name)
    if value is None or value == "":
        return default
    if not isinstance(value, str):
        raise InvalidArgumentsError(f"{name} is not a string")
    return value


def strings(request: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """A list of strings, empty when absent. Raises InvalidArgumentsError."""
    value = request.get(name) or []
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise InvalidArgumentsError(f"{name} is not a list of strings")
    return tuple(value)


def mapping(request: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A JSON object, empty when absent. Raises InvalidArgumentsError."""
    value = request.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidArgumentsError(f"{name} is not a map")
    return value


def base64_bytes(value: object, name: str) -> bytes:
    """Bytes from base64. Raises InvalidArgumentsError."""
    if not isinstance(value, str):
        raise InvalidArgumentsError(f"{name} is missing")
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidArgumentsError(f"{name} is not base64") from error
