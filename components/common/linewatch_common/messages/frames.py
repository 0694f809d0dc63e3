"""Topic `frames`, from Camera."""

from linewatch_common.messages.base import Count, Identifier, Message, PartId, Reason, UtcTime


class FrameCaptured(Message, frozen=True, kw_only=True, tag="linewatch.FrameCaptured/1"):
    """A frame lies in the ring: a handle, no pixels.

    `ring` is the path of the ring file, `slot` the index of the slot, `stride` the bytes of a row, `pixel_format` a GenICam PFNC name
    (Mono8, BGR8, RGB8). `captured_monotonic_ns` is CLOCK_MONOTONIC at the trigger or grab, comparable between processes of one boot.
    """

    frame_id: Identifier
    station: Identifier
    epoch: Count
    sequence: Count
    ring: str
    slot: Count
    width: Count
    height: Count
    stride: Count
    pixel_format: str
    captured_at: UtcTime
    captured_monotonic_ns: Count
    part_id: PartId | None = None
    trigger: str = "free-run"
    command_id: Identifier | None = None


class FrameFailed(Message, frozen=True, kw_only=True, tag="linewatch.FrameFailed/1"):
    """A trigger that gave no picture; the part ends with the outcome `error`."""

    frame_id: Identifier
    station: Identifier
    epoch: Count
    sequence: Count
    reason: Reason
    captured_at: UtcTime
    captured_monotonic_ns: Count
    part_id: PartId | None = None
    command_id: Identifier | None = None


FrameMessage = FrameCaptured | FrameFailed
