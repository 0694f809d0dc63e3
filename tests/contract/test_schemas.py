"""The published schemas are the code's, and every example keeps to them."""

import json
import re
from pathlib import Path

import jsonschema
import pytest
from linewatch_common.messages import Message, encode, schema_of
from linewatch_common.topics import Topics, fleet_health

from tools.channels import CHANNELS
from tools.schemas import generated, json_schema

DOCS = Path(__file__).resolve().parents[2] / "docs"
EXAMPLES = [message for channel in CHANNELS for message in channel.messages]


@pytest.mark.parametrize("path", generated(), ids=str)
def test_the_committed_documents_are_current(path: Path) -> None:
    assert (DOCS / path).read_text("utf-8") == generated()[path], "run `make schemas`"


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda m: schema_of(type(m)))
def test_every_example_keeps_to_its_schema(message: Message) -> None:
    schema = json_schema(type(message))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(json.loads(encode(message)), schema)


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda m: schema_of(type(m)))
def test_a_schema_refuses_another_major_version(message: Message) -> None:
    wrong = json.loads(encode(message)) | {"schema": "linewatch.Other/9"}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, json_schema(type(message)))


def test_every_message_class_is_published() -> None:
    def subclasses(kind: type[Message]) -> set[type[Message]]:
        return {s for k in kind.__subclasses__() for s in ({k} | subclasses(k))}

    assert subclasses(Message) == {type(message) for message in EXAMPLES}


def test_the_channels_are_the_topics() -> None:
    topics = Topics("line1")
    ours = {getattr(topics, name) for name in dir(Topics) if isinstance(getattr(Topics, name), property)}
    ours.add(fleet_health("press-01"))
    assert {channel.address.format(station="line1", thing="press-01") for channel in CHANNELS} == ours


def test_the_asyncapi_document_refers_only_to_what_exists() -> None:
    text = (DOCS / "asyncapi.json").read_text("utf-8")
    document = json.loads(text)
    for reference in re.findall(r'"\$ref": "([^"]+)"', text):
        if reference.startswith("#/"):
            node = document
            for step in reference[2:].split("/"):
                node = node[step]
        else:
            assert (DOCS / reference).is_file()
    assert document["asyncapi"] == "3.0.0"
