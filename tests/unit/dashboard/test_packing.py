import json
import struct

import pytest
from linewatch_common.errors import MessageError
from linewatch_common.messages import Outcome
from linewatch_dashboard.packing import InspectionHeader, Pictures, pack, unpack

from tests.unit.dashboard.messages import frame, verdict


def header(picture: bytes, mask: bytes, missing: str = "") -> InspectionHeader:
    return InspectionHeader(
        sequence=7,
        age_ms=12.5,
        server_ms=1e6,
        live=True,
        verdict=verdict(3, Outcome.FAIL, part_id="Teil <3>"),
        picture_bytes=len(picture),
        mask_bytes=len(mask),
        no_picture=missing,
        skipped=2,
    )


def test_the_layout_is_length_json_jpeg_png() -> None:
    message = pack(header(b"JPEG!", b"PNG"), Pictures(b"JPEG!", b"PNG"))
    (length,) = struct.unpack(">I", message[:4])
    told = json.loads(message[4 : 4 + length])
    assert (told["type"], told["picture_bytes"], told["mask_bytes"]) == ("inspection", 5, 3)
    assert told["verdict"]["frame_id"] == frame(3)
    assert told["verdict"]["part_id"] == "Teil <3>"
    assert message[4 + length :] == b"JPEG!PNG"


@pytest.mark.parametrize(("picture", "mask", "missing"), [(b"J" * 9, b"P", ""), (b"J", b"", ""), (b"", b"", "no")])
def test_what_was_packed_is_unpacked(picture: bytes, mask: bytes, missing: str) -> None:
    told = header(picture, mask, missing)
    assert unpack(pack(told, Pictures(picture, mask, missing))) == (told, Pictures(picture, mask, missing))


@pytest.mark.parametrize("cut", [0, 3, 20, -1])
def test_a_message_that_is_cut_short_is_refused(cut: int) -> None:
    message = pack(header(b"JPEG", b"PNG"), Pictures(b"JPEG", b"PNG"))
    with pytest.raises(MessageError):
        unpack(message[:cut])


def test_a_message_with_more_than_it_says_is_refused() -> None:
    with pytest.raises(MessageError, match="another length"):
        unpack(pack(header(b"JPEG", b""), Pictures(b"JPEG", b"more")))
