"""The original's JSON lines. Pure: from captures to one line each and the raw files beside them."""

import base64
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from linewatch_agent.captures.request import AuxiliaryItem, CapturedTensor, CaptureRequest, Encoding, Moment


@dataclass(frozen=True, slots=True)
class Origin:
    """Who captures."""

    fleet: str
    device: str


@dataclass(frozen=True, slots=True)
class AcceptedCapture:
    """A checked capture; model name and version as its package states them (version empty for a bare model)."""

    request: CaptureRequest
    at: Moment
    model_name: str
    model_version: str


@dataclass(slots=True)
class PushedFiles:
    """The JSON lines file's content, and raw files by their path below the hour's folder."""

    lines: bytes = b""
    raw: dict[str, bytes] = field(default_factory=dict)

    @property
    def size_bytes(self) -> int:
        """What it takes on disk."""
        return len(self.lines) + sum(len(data) for data in self.raw.values())


class LineWriter:
    """Makes the files of one push: `name` (32 hex digits) begins every file's name, `hour_uri` is where they will lie.

    Data of at most `embed_limit` bytes goes into the line, larger into files that the line refers to. Without a limit
    everything goes into the line, and there are no files.
    """

    def __init__(self, origin: Origin, embed_limit: int | None, hour_uri: str, name: str) -> None:
        self._origin = origin
        self._embed_limit = sys.maxsize if embed_limit is None else embed_limit
        self._embed_all = embed_limit is None
        self._hour_uri = hour_uri
        self._name = name
        self._files = PushedFiles()

    def write(self, captures: list[AcceptedCapture]) -> PushedFiles:
        """All lines, one a capture, in order."""
        lines = [json.dumps(self._line(capture), separators=(",", ":"), ensure_ascii=False) for capture in captures]
        self._files.lines = "".join(f"{line}\n" for line in lines).encode()
        return self._files

    def _line(self, capture: AcceptedCapture) -> dict[str, Any]:
        request = capture.request
        return {
            "deviceFleetInputs": list(self._tensors(request.inputs, "Input")),
            "deviceFleetOutputs": list(self._tensors(request.outputs, "Output")),
            "deviceFleetAuxiliaryInputs": list(self._auxiliary(request.auxiliary_inputs, "Input")),
            "deviceFleetAuxiliaryOutputs": list(self._auxiliary(request.auxiliary_outputs, "Output")),
            "eventMetadata": {
                "deviceFleetName": self._origin.fleet,
                "deviceId": self._origin.device,
                "eventId": request.capture_id,
                "inferenceTime": capture.at.text(),
                "modelName": capture.model_name,
                "modelVersion": capture.model_version,
            },
            "eventVersion": "0",
        }

    def _tensors(self, tensors: tuple[CapturedTensor, ...], mode: str) -> Iterator[dict[str, str]]:
        for tensor in tensors:
            content_type = f"Tensor[{tensor.type_name}; {', '.join(str(side) for side in tensor.shape)}]"
            placed = self._placed(tensor.data, f"{mode.lower()}-tensors", ".bin")
            yield {"name": tensor.name, "mode": mode, "observedContentType": content_type, **placed}

    def _auxiliary(self, items: tuple[AuxiliaryItem, ...], mode: str) -> Iterator[dict[str, str]]:
        for item in items:
            ending = _ending(item)
            text = self._text(item)
            if text is not None:
                placed = {"encoding": item.encoding.value, "data": text}
            else:
                file_ending = f".{ending}" if ending.replace(".", "").isalnum() and ending.isascii() else ".bin"
                placed = self._placed(
                    item.data, f"{mode.lower()}-auxiliary", file_ending, embed=item.encoding is not Encoding.NONE
                )
            yield {"name": item.name, "mode": mode, "observedContentType": ending, **placed}

    def _text(self, item: AuxiliaryItem) -> str | None:
        """CSV and JSON appear as they are when they fit and are text."""
        if item.encoding not in (Encoding.CSV, Encoding.JSON) or len(item.data) > self._embed_limit:
            return None
        try:
            return item.data.decode()
        except UnicodeDecodeError:
            return None

    def _placed(self, data: bytes, folder: str, ending: str, *, embed: bool = True) -> dict[str, str]:
        if self._embed_all or (embed and len(data) <= self._embed_limit):
            return {"encoding": "BASE64", "data": base64.b64encode(data).decode("ascii")}
        path = f"raw-data/{folder}/{self._name}-{len(self._files.raw)}{ending}"
        self._files.raw[path] = data
        return {"encoding": "NONE", "data-ref": f"{self._hour_uri}/{path}"}


def _ending(item: AuxiliaryItem) -> str:
    """What the item is, by its name ("part.mask.png" is "mask.png") or by its encoding."""
    _, dot, ending = item.name.partition(".")
    if dot and 0 < len(ending) <= 32:
        return ending
    return item.encoding.value.lower() if item.encoding in (Encoding.CSV, Encoding.JSON) else "bin"
