"""The committed stubs are what agent.proto makes, and agent.proto is the original's interface."""

from pathlib import Path

from linewatch_agent_api import agent_pb2

from tests.agent_interface import ENUMS, MESSAGES, RPCS
from tools.make_stubs import COMMON, MADE, make_stubs


def test_committed_stubs_are_made_from_the_proto(tmp_path: Path) -> None:
    make_stubs(tmp_path)
    for name in MADE:
        made, committed = tmp_path / "linewatch_agent_api" / name, COMMON / "linewatch_agent_api" / name
        assert made.read_text() == committed.read_text(), f"{name}: run `python -m tools.make_stubs`"


def test_messages_are_the_documented_ones() -> None:
    described = agent_pb2.DESCRIPTOR.message_types_by_name
    assert {
        message: {field.name: (field.number, _kind(field)) for field in descriptor.fields}
        for message, descriptor in described.items()
    } == {message: {name: (number, kind) for number, name, kind in fields} for message, fields in MESSAGES.items()}


def test_enums_are_the_documented_ones() -> None:
    described = agent_pb2.DESCRIPTOR.enum_types_by_name
    assert {name: [value.name for value in enum.values] for name, enum in described.items()} == ENUMS


def test_calls_are_the_documented_ones_in_order() -> None:
    service = agent_pb2.DESCRIPTOR.services_by_name["Agent"]
    assert service.full_name == "AWS.SageMaker.Edge.Agent"
    assert [method.name for method in service.methods] == list(RPCS)


def _kind(field: object) -> str:
    from google.protobuf.descriptor import FieldDescriptor

    assert isinstance(field, FieldDescriptor)
    scalars = {
        FieldDescriptor.TYPE_BYTES: "bytes",
        FieldDescriptor.TYPE_STRING: "string",
        FieldDescriptor.TYPE_INT32: "int32",
        FieldDescriptor.TYPE_INT64: "int64",
        FieldDescriptor.TYPE_UINT64: "uint64",
    }
    if field.message_type is not None:
        kind = field.message_type.name
    elif field.enum_type is not None:
        kind = field.enum_type.name
    else:
        kind = scalars[field.type]
    oneof = "" if field.containing_oneof is None else f"{field.containing_oneof.name}:"
    return f"{oneof}{'repeated ' if field.is_repeated else ''}{kind}"
