"""Messages: what goes out comes back, and nothing else is let in."""

import json

import pytest
from linewatch_common.errors import MessageError
from linewatch_common.messages import (
    MAX_MESSAGE_BYTES,
    Alert,
    Defect,
    FrameCaptured,
    FrameMessage,
    Message,
    Outcome,
    Verdict,
    VerdictMessage,
    decode,
    encode,
    examples,
    schema_of,
)
from linewatch_common.messages.verdicts import MAX_DEFECTS

ALL = [*examples.FRAMES, *examples.VERDICTS, *examples.ALERTS, *examples.MODELS, *examples.STATUS, *examples.COMMANDS,
       *examples.COMMAND_RESULTS]  # fmt: skip


@pytest.mark.parametrize("message", ALL, ids=lambda m: schema_of(type(m)))
def test_every_message_survives_the_bus(message: Message) -> None:
    assert decode(encode(message), type(message)) == message


def test_a_message_names_its_schema_and_major_version() -> None:
    assert json.loads(encode(examples.VERDICTS[0]))["schema"] == "linewatch.Verdict/1"


def test_a_receiver_ignores_fields_it_does_not_know() -> None:
    raw = json.loads(encode(examples.VERDICTS[0])) | {"from_a_newer_minor_version": 1}
    assert decode(json.dumps(raw).encode(), VerdictMessage) == examples.VERDICTS[0]


def test_the_schema_decides_which_message_of_a_topic_it_is() -> None:
    assert isinstance(decode(encode(examples.FRAMES[0]), FrameMessage), FrameCaptured)


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "truncated"),
        (b"{", "truncated"),
        (b"[1,2]", "Expected `object`"),
        (b'{"schema":"linewatch.Verdict/2"}', "Invalid value 'linewatch.Verdict/2'"),
        (b'{"schema":"linewatch.Verdict/1","outcome":"perfect"}', "refused"),
        (b"\xff\xfe\x00", "refused"),
        (b'{"a":' * 3000, "refused"),
        (b" " * (MAX_MESSAGE_BYTES + 1), "bytes refused"),
    ],
)
def test_an_unreadable_message_is_refused_with_a_reason(raw: bytes, says: str) -> None:
    with pytest.raises(MessageError, match=says.replace("[", r"\[")) as caught:
        decode(raw, VerdictMessage)
    assert "\n" not in str(caught.value)


def test_a_message_too_large_for_the_bus_is_not_sent() -> None:
    alert = examples.ALERTS[0]
    assert isinstance(alert, Alert)
    huge = Verdict(
        inspection_id="i", frame_id="f", station="line1", outcome=Outcome.PASS, captured_at=alert.at, published_at=alert.at,
        timings_ms={f"stage-{n}": float(n) for n in range(500)},
    )  # fmt: skip
    with pytest.raises(MessageError, match=r"linewatch.Verdict/1: \d+ bytes, at most 7000"):
        encode(huge)


def test_the_fullest_verdict_fits() -> None:
    defect = Defect(
        defect_class="inclusion" * 2, box=(12000, 9000, 12000, 9000), area_px=108_000_000, score=0.123456789
    )
    base = examples.VERDICTS[0]
    assert isinstance(base, Verdict)
    full = Verdict(
        inspection_id="x" * 128, frame_id="x" * 128, station="s" * 32, part_id="p" * 128, outcome=Outcome.LATE, judged=Outcome.FAIL,
        score=0.123456789, threshold=0.5, defects=[defect] * MAX_DEFECTS, defects_total=999, models=base.models * 3,
        timings_ms={f"stage{n}": 1234.567 for n in range(12)}, reason="r" * 300, captured_at=base.captured_at,
        published_at=base.published_at, replayed=True,
    )  # fmt: skip
    assert len(encode(full)) <= MAX_MESSAGE_BYTES
