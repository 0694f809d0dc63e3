"""Changing a request at random: field by field as protobuf sees it, and byte by byte as the wire does."""

import random
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

MAX_STEPS = 3
_TEXTS = (
    "",
    "a",
    "with.dot",
    "-",
    "../..",
    "/",
    "/dev/null",
    ".",
    "\0",
    "ä\U0001f600",
    "%2e%2e",
    "x" * 5000,
    "file:///",
)
_NUMBERS = (0, 1, -1, 2, 63, 64, 255, 4096, 2**31 - 1, -(2**31), 2**32, 2**63 - 1, -(2**63), 2**64 - 1)
_BOUNDS = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
    FieldDescriptor.CPPTYPE_ENUM: (-(2**31), 2**31 - 1),
}


def mutated(seed: Message, chance: random.Random) -> bytes:
    """One to three changes of a copy of `seed`, then in every other case of its bytes."""
    message = type(seed)()
    message.CopyFrom(seed)
    for _ in range(chance.randint(0, MAX_STEPS)):
        _change(message, chance)
    data = message.SerializeToString()
    if chance.random() < 0.5:
        for _ in range(chance.randint(1, MAX_STEPS)):
            data = _change_bytes(data, chance)
    return data


def _change(message: Any, chance: random.Random) -> None:
    fields = message.DESCRIPTOR.fields
    if not fields:
        return
    field = chance.choice(fields)
    if field.is_repeated:
        _change_repeated(getattr(message, field.name), field, chance)
    elif field.message_type is not None:
        _change_inner(message, field, chance)
    elif chance.random() < 0.2:
        message.ClearField(field.name)
    else:
        setattr(message, field.name, _value(field, chance))


def _change_inner(message: Any, field: FieldDescriptor, chance: random.Random) -> None:
    if chance.random() < 0.15:
        message.ClearField(field.name)
        return
    inner = getattr(message, field.name)
    inner.SetInParent()
    _change(inner, chance)


def _change_repeated(items: Any, field: FieldDescriptor, chance: random.Random) -> None:
    action = chance.random()
    if items and action < 0.25:
        del items[chance.randrange(len(items))]
    elif field.message_type is None:
        items.append(_value(field, chance))
    elif not items or action < 0.5:
        copies = items[chance.randrange(len(items))] if items else None
        items.add()
        if copies is not None:
            items[-1].CopyFrom(copies)
    else:
        _change(items[chance.randrange(len(items))], chance)


def _value(field: FieldDescriptor, chance: random.Random) -> Any:
    if field.type == FieldDescriptor.TYPE_BYTES:
        return chance.randbytes(chance.choice((0, 1, 3, 48, 4096)))
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return chance.choice(_TEXTS)
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return chance.random() < 0.5
    bounds = _BOUNDS.get(field.cpp_type)
    if bounds is None:
        return chance.choice((0.0, -1.0, float("nan"), float("inf")))
    low, high = bounds
    return min(max(chance.choice((*_NUMBERS, chance.randint(low, high))), low), high)


def _change_bytes(data: bytes, chance: random.Random) -> bytes:
    if not data:
        return chance.randbytes(chance.randint(1, 16))
    # Most of a request is pixels; what the parser reads lies at the start.
    start = chance.randrange(min(len(data), 64) if chance.random() < 0.7 else len(data))
    length = chance.choice((1, 1, 2, 4, 16))
    action = chance.randrange(5)
    if action == 0:
        return data[:start] + chance.randbytes(length) + data[start + length :]
    if action == 1:
        return data[:start] + chance.randbytes(length) + data[start:]
    if action == 2:
        return data[:start] + data[start + length :]
    if action == 3:
        return data[:start]
    return data[:start] + bytes([data[start] ^ 1 << chance.randrange(8)]) + data[start + 1 :]
