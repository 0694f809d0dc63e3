"""The ring's numbers on the file, good and hostile, and the frame's name."""

import pytest
from linewatch_common.errors import InputError
from linewatch_common.ring import frame_id, parse_frame_id
from linewatch_common.ring.layout import BadLayoutError, Geometry, Header, Kind, SlotHead, new_header

GEOMETRY = Geometry(8, 1000)


def head(**changes: object) -> SlotHead:
    values: dict[str, object] = {
        "sequence": 0,
        "kind": Kind.PICTURE,
        "size": 60,
        "width": 5,
        "height": 4,
        "stride": 15,
        "pixel_format": "BGR8",
        "monotonic_ns": 1,
        "wall_ns": 2,
        "source_cursor": 3,
        "part_id": "Teil ä",
        "command_id": None,
    }
    return SlotHead(**(values | changes))  # type: ignore[arg-type]  # a table of values for a test


def test_slot_head_survives_packing() -> None:
    raw = (7).to_bytes(8, "little") + head().pack()
    assert len(raw) == 512
    assert SlotHead.unpack(raw, GEOMETRY) == head(sequence=7)


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": 1001, "stride": 1001, "height": 1},
        {"size": 2**63},
        {"width": 6},
        {"width": 0},
        {"height": 0},
        {"stride": 14},
        {"pixel_format": "Mono12"},
        {"pixel_format": ""},
    ],
)
def test_impossible_slot_is_refused(wrong: dict[str, object]) -> None:
    raw = bytes(8) + head(**wrong).pack()
    with pytest.raises(BadLayoutError):
        SlotHead.unpack(raw, GEOMETRY)


def test_every_damaged_byte_of_a_slot_head_is_read_or_refused() -> None:
    good = bytes(8) + head().pack()
    for position in range(len(good)):
        damaged = bytearray(good)
        damaged[position] ^= 0xFF
        try:
            SlotHead.unpack(bytes(damaged), GEOMETRY).check(GEOMETRY)
        except BadLayoutError:
            continue


def test_header_survives_packing() -> None:
    header = new_header(1_763_805_600, GEOMETRY, 2**64 - 1)
    assert Header.unpack(header.pack()) == header


@pytest.mark.parametrize(
    ("offset", "value"),
    [(0, b"X"), (8, b"\x02"), (24, bytes(8)), (24, b"\xff" * 8), (32, bytes(8)), (32, b"\xff" * 8)],
    ids=["magic", "version", "no slots", "too many slots", "no bytes", "too many bytes"],
)
def test_hostile_header_is_refused(offset: int, value: bytes) -> None:
    raw = bytearray(new_header(1, GEOMETRY, 0).pack())
    raw[offset : offset + len(value)] = value
    with pytest.raises(BadLayoutError):
        Header.unpack(bytes(raw))


def test_short_header_is_refused() -> None:
    with pytest.raises(BadLayoutError, match="shorter"):
        Header.unpack(b"LWRING")


def test_slots_are_whole_pages_and_follow_each_other() -> None:
    assert GEOMETRY.slot_offset(8) == 4096
    assert GEOMETRY.slot_offset(9) - GEOMETRY.slot_offset(8) == 4096
    assert Geometry(8, 4096).slot_stride == 8192
    assert GEOMETRY.file_bytes == GEOMETRY.slot_offset(7) + 2 * 4096


def test_the_two_slots_next_to_the_writer_are_not_safe() -> None:
    # Eight slots, frame 20 written: 13 and 14 lie where 21 and 22 will be.
    assert GEOMETRY.oldest_safe(20) == 15
    assert GEOMETRY.oldest_safe(3) == 1


def test_frame_ids_survive() -> None:
    assert frame_id("line-1", 1763805600, 42) == "line-1-1763805600-000042"
    assert parse_frame_id("line-1-1763805600-000042") == ("line-1", 1763805600, 42)
    assert parse_frame_id(frame_id("a", 1, 12_345_678)) == ("a", 1, 12_345_678)


@pytest.mark.parametrize("text", ["", "line1", "line1-1-42", "Line1-1-000042", "line1-1-000042\n", "x" * 10_000])
def test_other_texts_are_no_frame_ids(text: str) -> None:
    with pytest.raises(InputError):
        parse_frame_id(text)
