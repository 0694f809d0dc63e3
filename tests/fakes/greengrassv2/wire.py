"""From an HTTP request to an operation and its checked parameters, and from an answer back to JSON: all by botocore's service models."""

import base64
import functools
import json
import re
import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import botocore.session
from botocore.model import OperationModel, Shape
from botocore.validate import ParamValidator

# Only what a deployment needs of AWS IoT; everything of Greengrass is known, and what is not simulated says so.
IOT_OPERATIONS = ("DescribeJob", "DescribeThingGroup", "ListThingsInThingGroup", "ListJobExecutionsForJob")


class RefusedError(Exception):
    """An error as the service would give it: `code` is an error shape's name."""

    def __init__(self, code: str, message: str, status: int | None = None, **fields: Any) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message, self.status, self.fields = code, message, status, fields


@dataclass(frozen=True, slots=True)
class Request:
    """As it came in; `path` without its query."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a service and the path that leads to it."""

    service: str
    model: OperationModel
    method: str
    path: re.Pattern[str]

    @property
    def name(self) -> str:
        return str(self.model.name)


@dataclass(slots=True)
class Wire:
    """The operations of both services. Reading botocore's models takes about half a second, so one is made for a whole server."""

    operations: list[Operation] = field(default_factory=list)
    error_status: dict[str, int] = field(default_factory=dict)

    @staticmethod
    @functools.cache
    def load() -> "Wire":
        """Read the service models."""
        wire = Wire()
        session = botocore.session.get_session()
        for service in ("greengrassv2", "iot"):
            model = session.get_service_model(service)
            names = model.operation_names if service == "greengrassv2" else IOT_OPERATIONS
            for name in names:
                operation = model.operation_model(name)
                wire.operations.append(Operation(service, operation, operation.http["method"], _pattern(operation)))
            for shape in model.error_shapes:
                wire.error_status.setdefault(shape.name, shape.metadata.get("error", {}).get("httpStatusCode", 400))
        return wire

    def find(self, request: Request) -> tuple[Operation, dict[str, str]]:
        """The operation and what its path names. Raises RefusedError."""
        for operation in self.operations:
            match = operation.path.fullmatch(request.path)
            if match and operation.method == request.method:
                return operation, {name: urllib.parse.unquote(value) for name, value in match.groupdict().items()}
        raise RefusedError("UnknownOperationException", f"no operation at {request.method} {request.path}", 404)

    def parameters(self, operation: Operation, named: dict[str, str], request: Request) -> dict[str, Any]:
        """Checked against every rule of the model: unknown names, types, bounds, enums, patterns. Raises RefusedError."""
        shape = operation.model.input_shape
        if shape is None:
            return {}
        try:
            body = json.loads(request.body) if request.body else {}
        except ValueError as error:
            raise RefusedError("ValidationException", f"the body is not JSON: {error}") from error
        parameters: dict[str, Any] = {}
        for name, member in shape.members.items():
            place, wire_name = member.serialization.get("location"), member.serialization.get("name", name)
            if place == "uri":
                parameters[name] = named[wire_name]
            elif place == "querystring":
                if wire_name in request.query:
                    parameters[name] = _of_query(member, request.query.pop(wire_name))
            elif wire_name in body:
                parameters[name] = _of_json(member, body.pop(wire_name), name)
        if body or request.query:
            raise RefusedError(
                "ValidationException", f"unknown parameters: {', '.join(sorted([*body, *request.query]))}"
            )
        report = ParamValidator().validate(parameters, shape)
        problems = (
            [report.generate_report()] if report.has_errors() else list(_violations(shape, parameters, operation.name))
        )
        if problems:
            raise RefusedError("ValidationException", "; ".join(problems))
        return parameters

    def answer(self, operation: Operation, answer: dict[str, Any]) -> tuple[int, bytes]:
        """Status and body. An answer that the model does not allow is a defect of this fake: AssertionError."""
        shape = operation.model.output_shape
        status = operation.model.http.get("responseCode", 200)
        if shape is None:
            return status, b""
        problems = list(_violations(shape, answer, operation.name))
        assert not problems, problems
        return status, json.dumps(_to_json(shape, answer, operation.name)).encode()

    def refusal(self, refusal: RefusedError) -> tuple[int, bytes, str]:
        """Status, body and error type."""
        status = refusal.status or self.error_status.get(refusal.code, 400)
        return status, json.dumps({"message": refusal.message, **refusal.fields}).encode(), refusal.code


def _pattern(operation: OperationModel) -> re.Pattern[str]:
    path = operation.http["requestUri"].split("?")[0]
    path = re.sub(r"\{(\w+)\+\}", r"(?P<\1>.+)", path)
    return re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path))


def _of_query(member: Shape, values: list[str]) -> Any:
    if member.type_name == "list":
        return values
    if member.type_name in {"integer", "long"}:
        return int(values[0]) if values[0].lstrip("-").isdigit() else values[0]
    if member.type_name == "boolean":
        return {"true": True, "false": False}.get(values[0], values[0])
    return values[0]


def _of_json(shape: Shape, value: Any, where: str) -> Any:
    """Blobs decoded; structures checked for unknown members, which ParamValidator reports by type alone. Raises RefusedError."""
    if shape.type_name == "blob":
        return base64.b64decode(value, validate=True)
    if shape.type_name == "structure" and isinstance(value, dict):
        unknown = sorted(value.keys() - shape.members.keys())
        if unknown:
            raise RefusedError("ValidationException", f"{where}: unknown members {', '.join(unknown)}")
        return {name: _of_json(shape.members[name], each, f"{where}.{name}") for name, each in value.items()}
    if shape.type_name == "list" and isinstance(value, list):
        return [_of_json(shape.member, each, f"{where}[]") for each in value]
    if shape.type_name == "map" and isinstance(value, dict):
        return {name: _of_json(shape.value, each, f"{where}.{name}") for name, each in value.items()}
    return value


def _violations(shape: Shape, value: Any, where: str) -> Iterator[str]:
    """What ParamValidator does not check: enums, patterns, upper bounds."""
    kind = shape.type_name
    if kind == "structure":
        unknown = sorted(set(value) - set(shape.members))
        if unknown:
            yield f"{where}: unknown members {unknown}"
        missing = [name for name in shape.required_members if name not in value]
        if missing:
            yield f"{where}: missing {missing}"
        for name in value.keys() & shape.members.keys():
            yield from _violations(shape.members[name], value[name], f"{where}.{name}")
    elif kind == "list":
        yield from _bounds(shape, len(value), where, "entries")
        for each in value:
            yield from _violations(shape.member, each, f"{where}[]")
    elif kind == "map":
        yield from _bounds(shape, len(value), where, "entries")
        for name, each in value.items():
            yield from _violations(shape.key, name, f"{where} key {name!r}")
            yield from _violations(shape.value, each, f"{where}.{name}")
    elif kind == "string" and isinstance(value, str):
        yield from _text_violations(shape, value, where)
    elif kind in {"integer", "long", "double", "float"}:
        yield from _bounds(shape, value, where, "")


def _text_violations(shape: Shape, value: str, where: str) -> Iterator[str]:
    yield from _bounds(shape, len(value), where, "characters")
    if shape.enum and value not in shape.enum:
        yield f"{where}: {value!r} is none of {', '.join(shape.enum)}"
    pattern = shape.metadata.get("pattern")
    if (
        pattern and "\\p{" not in pattern and not re.fullmatch(pattern, value)
    ):  # \p is Java's, in AWS IoT's free texts alone
        yield f"{where}: {value!r} does not match {pattern}"


def _bounds(shape: Shape, size: float, where: str, unit: str) -> Iterator[str]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if (low is not None and size < low) or (high is not None and size > high):
        yield f"{where}: {size} {unit} out of {low} to {high}"


def _to_json(shape: Shape, value: Any, where: str) -> Any:
    if shape.type_name == "structure":
        return {
            shape.members[name].serialization.get("name", name): _to_json(shape.members[name], each, f"{where}.{name}")
            for name, each in value.items()
        }
    if shape.type_name == "list":
        return [_to_json(shape.member, each, where) for each in value]
    if shape.type_name == "map":
        return {name: _to_json(shape.value, each, where) for name, each in value.items()}
    if shape.type_name == "blob":
        return base64.b64encode(value).decode()
    if shape.type_name == "timestamp":
        assert isinstance(value, datetime), where
        return round(value.astimezone(UTC).timestamp(), 3)
    return value
