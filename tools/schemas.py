"""Write what integrators read: docs/schemas/*.json, docs/asyncapi.json and the topic tables of docs/integration.md.

All three are made from the message classes and their examples, so they cannot disagree with the code; a test holds the committed files
against a fresh run.
"""

import argparse
import inspect
import json
import re
import sys
from pathlib import Path
from typing import Any

import msgspec
from linewatch_common import __version__
from linewatch_common.files import write_atomically
from linewatch_common.messages import Message, encode, schema_of

from tools.channels import CHANNELS, Channel

ROOT = Path(__file__).resolve().parent.parent
BEGIN = "<!-- topics: written by `make schemas` -->"
END = "<!-- end of topics -->"
PARAMETERS = {
    "station": {"description": "The configured Station of the line.", "default": "line1"},
    "thing": {"description": "The device's AWS IoT thing name."},
}


def generated() -> dict[Path, str]:
    """Every file below docs/ that this command owns, with its content."""
    files = {Path(f"schemas/{_file_name(type(m))}"): _json(json_schema(type(m))) for c in CHANNELS for m in c.messages}
    files[Path("asyncapi.json")] = _json(asyncapi())
    files[Path("integration.md")] = with_topics((ROOT / "docs/integration.md").read_text(encoding="utf-8"))
    return files


def json_schema(message_type: type[Message]) -> dict[str, Any]:
    """The JSON Schema (2020-12) of one message; unknown fields are allowed, as receivers ignore them."""
    schema: dict[str, Any] = msgspec.json.schema(message_type)
    definitions = schema.pop("$defs")
    body = definitions.pop(message_type.__name__)
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": schema_of(message_type)}
    merged: dict[str, Any] = head | body | ({"$defs": definitions} if definitions else {})
    return merged


def asyncapi() -> dict[str, Any]:
    """One AsyncAPI 3.0 document of all topics."""
    messages = {type(m).__name__: m for channel in CHANNELS for m in channel.messages}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "linewatch local topics",
            "version": __version__,
            "description": "Greengrass local publish/subscribe; each payload is a BinaryMessage holding UTF-8 JSON of at most 7 KB. "
            "fleet-health goes to AWS IoT Core.",
        },
        "defaultContentType": "application/json",
        "channels": {c.name: _channel(c) for c in CHANNELS},
        "operations": {f"receive-{c.name}": _operation(c) for c in CHANNELS},
        "components": {"messages": {name: _message(m) for name, m in sorted(messages.items())}},
    }


def with_topics(page: str) -> str:
    """docs/integration.md with its topic section made anew."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    sections = "\n".join(_section(channel) for channel in CHANNELS)
    return f"{before}{BEGIN}\n\n{sections}\n{END}{after}"


def _channel(channel: Channel) -> dict[str, Any]:
    names = [type(message).__name__ for message in channel.messages]
    return {
        "address": channel.address,
        "description": channel.summary,
        "parameters": {name: PARAMETERS[name] for name in re.findall(r"{(\w+)}", channel.address)},
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names},
    }


def _operation(channel: Channel) -> dict[str, Any]:
    action = "send" if channel.name == "commands" else "receive"
    return {"action": action, "channel": {"$ref": f"#/channels/{channel.name}"}, "summary": f"From {channel.sender}."}


def _message(message: Message) -> dict[str, Any]:
    return {
        "name": schema_of(type(message)),
        "summary": _first_line(type(message)),
        "payload": {"$ref": f"schemas/{_file_name(type(message))}"},
        "examples": [{"payload": json.loads(encode(message))}],
    }


def _section(channel: Channel) -> str:
    parts = [f"### `{channel.address}`\n\nFrom {channel.sender}. {channel.summary}\n"]
    for message in channel.messages:
        kind = type(message)
        example = _numbers_on_one_line(json.dumps(json.loads(encode(message)), indent=2, ensure_ascii=False))
        link = f"[schema](schemas/{_file_name(kind)})"
        parts.append(f"**{schema_of(kind)}** ({link}): {_first_line(kind)}\n\n```json\n{example}\n```\n")
    return "\n".join(parts)


def _numbers_on_one_line(text: str) -> str:
    return re.sub(r"\[\s+([\d,\s]+?)\s+\]", lambda match: "[" + re.sub(r"\s+", " ", match[1]) + "]", text)


def _first_line(kind: type[Message]) -> str:
    return (inspect.getdoc(kind) or "").splitlines()[0]


def _file_name(kind: type[Message]) -> str:
    return schema_of(kind).replace("/", "-") + ".json"


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def main() -> int:
    """Write the files; with --check only say whether they are current."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a file is not current")
    check = parser.parse_args().check
    stale = [
        p for p, text in generated().items() if not (f := ROOT / "docs" / p).is_file() or f.read_text("utf-8") != text
    ]
    for path in stale:
        print(f"{'stale' if check else 'written'}: docs/{path}")
        if not check:
            (ROOT / "docs" / path).parent.mkdir(parents=True, exist_ok=True)
            write_atomically(ROOT / "docs" / path, generated()[path].encode(), mode=0o644)
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
