"""A Neo compilation between the approval and the build, where the account asks for one: what is compiled, and how.

`releases/<release>/source.json` is written by the release job (`--source`), which alone opens packages; the request follows from it.
"""

import json
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from model_build.infrastructure.records import read
from model_build.infrastructure.services import Services

SOURCE_FILE = "source.json"
FOLDER = "neo"  # below the release: Neo's input and what it makes
JOB_PREFIX = "linewatch-"
# A net of ours compiles within a few minutes; a job that hangs is billed until it is stopped.
_JOB_SECONDS = 900


class CompileSource(Struct, frozen=True, kw_only=True, tag_field="schema", tag="linewatch.CompileSource/1"):
    """Neo's input: a .tar.gz with the approved ONNX, and the shapes of its inputs. `note` says why there is none, then `uri` is empty."""

    uri: str = ""
    shapes: dict[str, list[int]] = {}
    note: str = ""


def request(services: Services, event: Mapping[str, Any]) -> dict[str, Any]:
    """{"wanted": "yes", "name", "input", "shapes", "output", "limit"} or {"wanted": "no", "note"}, as the state machine asks."""
    source = read(services.releases, event["release"], SOURCE_FILE, CompileSource)
    if not source.uri:
        return {"wanted": "no", "note": source.note}
    return {
        "wanted": "yes",
        "name": job_name(event["release"], "neo"),
        "input": source.uri,
        "shapes": json.dumps(source.shapes),
        "output": f"{services.releases.address}{event['release']}/{FOLDER}/compiled/",
        "limit": _JOB_SECONDS,
    }


def job_name(release: str, step: str = "") -> str:
    """Of a job of that release: the same again is the same job."""
    return f"{JOB_PREFIX}{step}{'-' if step else ''}{release}"[:63].rstrip("-")
