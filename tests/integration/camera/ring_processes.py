"""The writer and the reader processes of test_ring_processes.py: every frame is filled with its own number."""

import json
import sys
import time
from pathlib import Path

from linewatch_common.ring import FrameNotThere, FrameOverwritten, RingReader, RingUnavailable, RingWriter, Stamp

SLOTS = 8
WIDTH, HEIGHT = 640, 480


def filled(number: int) -> bytes:
    """A grey picture that holds `number` in every eight bytes."""
    return number.to_bytes(8, "little") * (WIDTH * HEIGHT // 8)


def write_for_ever(path: Path) -> None:
    """Write as fast as possible until killed."""
    writer = RingWriter.open(path, SLOTS, WIDTH * HEIGHT)
    print("writing", flush=True)
    while True:
        number = writer.sequence + 1
        writer.write_picture(
            filled(number),
            width=WIDTH,
            height=HEIGHT,
            stride=WIDTH,
            pixel_format="Mono8",
            stamp=Stamp.now(),
            part_id=str(number),
            source_cursor=number,
        )


def read_for(path: Path, seconds: float) -> None:
    """Read the newest and the oldest frames in turn; print how often which answer came."""
    counts = {"whole": 0, "mixed": 0, "overwritten": 0, "not_there": 0, "no_ring": 0}
    reader = RingReader(path)
    buffer = bytearray(WIDTH * HEIGHT)
    until = time.monotonic() + seconds
    turn = 0
    while time.monotonic() < until:
        turn += 1
        try:
            sequence = reader.oldest_safe if turn % 2 else reader.write_sequence
            frame = reader.read(sequence, into=buffer)
        except FrameOverwritten:
            counts["overwritten"] += 1
        except FrameNotThere:
            counts["not_there"] += 1
        except RingUnavailable:
            counts["no_ring"] += 1
        else:
            # Not the sequence: a ring made again in the middle counts from 1 while the writer had filled in its next number.
            whole = frame.pixels == filled(frame.source_cursor) and frame.part_id == str(frame.source_cursor)
            counts["whole" if whole else "mixed"] += 1
    print(json.dumps(counts))


if __name__ == "__main__":
    if sys.argv[1] == "write":
        write_for_ever(Path(sys.argv[2]))
    else:
        read_for(Path(sys.argv[2]), float(sys.argv[3]))
