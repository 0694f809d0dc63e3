"""A request against botocore's service model, as strictly as the model is written.

botocore itself checks names, types and lower bounds; this adds enums, patterns and upper bounds, which the service would refuse.
"""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import botocore.session
from botocore.validate import ParamValidator

# Java's classes, which Python's `re` does not know, roughly as they stand inside the services' brackets.
_JAVA = {
    r"\p{L}": "A-Za-z\u00aa-\uffff",
    r"\p{M}": "\u0300-\u036f",
    r"\p{Z}": r"\s",
    r"\p{N}": r"\d",
    r"\p{S}": r"$+<-=>^`|~",
    r"\p{P}": r"!-#%-*,-/:;?@\[-\]_{}",
    r"\p{C}": r"\x00-\x1f\x7f",
    r"\p{Cntrl}": r"\x00-\x1f\x7f",
    r"\p{Graph}": "!-~",
    r"\p{Upper}": "A-Z",
    r"\p{Digit}": "0-9",
    r"\p{Alnum}": "A-Za-z0-9",
    r"\p{ASCII}": r"[\x00-\x7f]",  # the services write it without brackets
}


class RequestRefusedError(AssertionError):
    """What the service would refuse, every line of it."""


def check_request(service: str, operation: str, params: Mapping[str, Any]) -> None:
    """Raise RequestRefusedError unless `params` is what `operation` of `service` takes, e.g. ("sagemaker", "CreateCompilationJob")."""
    shape = _model(service).operation_model(operation).input_shape
    problems = list(check_shape(dict(params), shape))
    if problems:
        raise RequestRefusedError(f"{service} {operation}: " + "; ".join(problems))


def check_shape(value: Any, shape: Any) -> Iterator[str]:
    """Each problem of `value` as a line. `shape` None: the operation takes nothing."""
    if shape is None:
        yield from ([f"takes no parameters, got {sorted(value)}"] if value else [])
        return
    report = ParamValidator().validate(value, shape)
    if report.has_errors():
        yield from report.generate_report().splitlines()
        return  # the rest would stumble over the same types
    yield from _beyond(value, shape, shape.name)


@lru_cache(maxsize=16)  # a model takes a second to read
def _model(service: str) -> Any:
    return botocore.session.get_session().get_service_model(service)


def _beyond(value: Any, shape: Any, place: str) -> Iterator[str]:
    if value is None or getattr(shape, "is_document_type", False):
        return
    if shape.type_name == "structure":
        if getattr(shape, "is_tagged_union", False) and len(value) != 1:
            yield f"{place}: exactly one member is set, got {sorted(value)}"
        for name, inner in value.items():
            yield from _beyond(inner, shape.members[name], f"{place}.{name}")
    elif shape.type_name == "list":
        yield from _bounded(len(value), shape, f"{place}: items")
        for number, inner in enumerate(value):
            yield from _beyond(inner, shape.member, f"{place}[{number}]")
    elif shape.type_name == "map":
        yield from _bounded(len(value), shape, f"{place}: entries")
        for key, inner in value.items():
            yield from _beyond(key, shape.key, f"{place} key {key!r}")
            yield from _beyond(inner, shape.value, f"{place}.{key}")
    elif shape.type_name == "string":
        yield from _text(str(value), shape, place)
    elif shape.type_name in ("integer", "long", "float", "double"):
        yield from _bounded(value, shape, place)


def _text(value: str, shape: Any, place: str) -> Iterator[str]:
    yield from _bounded(len(value), shape, f"{place}: length")
    if shape.enum and value not in shape.enum:
        yield f"{place}: {value!r} is not one of {', '.join(shape.enum)}"
    pattern = shape.metadata.get("pattern")
    if pattern and not re.fullmatch(_python(pattern), value):
        yield f"{place}: {value!r} does not match {pattern}"


def _bounded(size: float, shape: Any, place: str) -> Iterator[str]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if (low is not None and size < low) or (high is not None and size > high):
        yield f"{place}: {size} is not in {low}..{high}"


def _python(pattern: str) -> str:
    for java, python in _JAVA.items():
        pattern = pattern.replace(java, python)
    return re.sub(
        r"\$\{\d+,\d+\}$", "", pattern
    )  # a length behind the end, in SageMaker's customer metadata; max says it too
