"""What captured data looks like: lines, keys, raw files, what is normal."""

import base64
import re
from pathlib import Path

import pytest
from linewatch_agent.captures import AuxiliaryItem, CapturedTensor, Encoding
from linewatch_agent.captures.importance import is_sampled_normal
from linewatch_agent.captures.request import Moment

from tests.integration.agent.capture_bench import LARGE, NORMAL, SMALL, accepted, stored_line


def test_a_line_has_the_originals_fields(tmp_path: Path) -> None:
    line = stored_line(tmp_path, inputs=(CapturedTensor("t", "FLOAT32", (1, 3), SMALL),))
    assert line == {
        "deviceFleetInputs": [
            {
                "name": "t",
                "mode": "Input",
                "observedContentType": "Tensor[FLOAT32; 1, 3]",
                "encoding": "BASE64",
                "data": base64.b64encode(SMALL).decode(),
            }
        ],
        "deviceFleetOutputs": [],
        "deviceFleetAuxiliaryInputs": [],
        "deviceFleetAuxiliaryOutputs": [],
        "eventMetadata": {
            "deviceFleetName": "fleet",
            "deviceId": "device",
            "eventId": "c",
            "inferenceTime": "1970-01-01T00:00:00",
            "modelName": "model",
            "modelVersion": "1.0.0",
        },
        "eventVersion": "0",
    }


def test_keys_are_laid_out_as_the_originals(tmp_path: Path) -> None:
    stored_line(tmp_path)
    [file] = tmp_path.rglob("*.jsonl")
    key = file.relative_to(tmp_path).as_posix()
    assert re.fullmatch(r"prefix/fleet/model/\d{4}/\d\d/\d\d/\d\d/[0-9a-f]{32}\.jsonl", key)


@pytest.mark.parametrize(("field", "place"), [("inputs", "input-tensors"), ("outputs", "output-tensors")])
def test_large_tensors_lie_beside_the_line(tmp_path: Path, field: str, place: str) -> None:
    line = stored_line(tmp_path, **{field: (CapturedTensor("t", "UINT8", (9,), LARGE),)})
    [entry] = line["deviceFleetInputs" if field == "inputs" else "deviceFleetOutputs"]
    assert (entry["encoding"], "data" in entry) == ("NONE", False)
    path = Path(entry["data-ref"].removeprefix("file://"))
    assert (path.read_bytes(), path.parent.name, path.parent.parent.name) == (LARGE, place, "raw-data")


@pytest.mark.parametrize(
    ("item", "content_type", "encoding", "data"),
    [
        (AuxiliaryItem("a.jpg", Encoding.BASE64, SMALL), "jpg", "BASE64", "MTI="),
        (AuxiliaryItem("a.mask.png", Encoding.BASE64, SMALL), "mask.png", "BASE64", "MTI="),
        (AuxiliaryItem("Input-1", Encoding.JSON, b"{}"), "json", "JSON", "{}"),
        (AuxiliaryItem("Input-1", Encoding.CSV, b"1,2"), "csv", "CSV", "1,2"),
        (AuxiliaryItem("Input-1", Encoding.JSON, b"\xff"), "json", "BASE64", "/w=="),
        (AuxiliaryItem("a.jpg", Encoding.NONE, SMALL), "jpg", "NONE", None),
        (AuxiliaryItem("a./../x", Encoding.NONE, SMALL), "/../x", "NONE", None),
        (AuxiliaryItem("a.jpg", Encoding.JSON, LARGE), "jpg", "NONE", None),
    ],
)
def test_auxiliary_data(
    tmp_path: Path, item: AuxiliaryItem, content_type: str, encoding: str, data: str | None
) -> None:
    [entry] = stored_line(tmp_path, auxiliary_inputs=(item,))["deviceFleetAuxiliaryInputs"]
    assert (entry["observedContentType"], entry["encoding"], entry.get("data")) == (content_type, encoding, data)
    if data is None:
        path = Path(entry["data-ref"].removeprefix("file://"))
        assert path.read_bytes() == item.data
        assert path.is_relative_to(tmp_path)


@pytest.mark.parametrize(
    ("seconds", "text"), [(-62_135_596_800, "0001-01-01T00:00:00"), (253_402_300_799, "9999-12-31T23:59:59")]
)
def test_the_first_and_the_last_moment(seconds: int, text: str) -> None:
    assert Moment(seconds, 0).text() == text


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("verdict", b"pass", True),
        ("verdict.json", b'{"verdict": "pass"}', True),
        ("result.json", b'{"outcome": "pass", "label": "fail"}', False),
        ("label", b"scratch", False),
        ("sampled", b"true", True),
        ("picture.jpg", b"pass", False),
        ("result.json", b"[1]", False),
    ],
)
def test_what_says_of_itself_that_it_is_normal(name: str, data: bytes, expected: bool) -> None:
    item = AuxiliaryItem(name, Encoding.BASE64, data)
    assert is_sampled_normal(accepted(auxiliary_outputs=(item,)).request) is expected
    assert is_sampled_normal(accepted(auxiliary_outputs=(item,), auxiliary_inputs=NORMAL).request) is (
        expected or name in ("picture.jpg",) or data == b"[1]"
    )
