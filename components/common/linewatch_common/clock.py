"""Time as linewatch writes it: wall clock in UTC for people, CLOCK_MONOTONIC for durations."""

import time
from datetime import UTC, datetime


def utc_text(wall_ns: int) -> str:
    """RFC 3339 UTC text with microseconds of nanoseconds since the epoch, e.g. 2026-11-22T10:00:00.000000Z."""
    seconds, rest = divmod(wall_ns, 1_000_000_000)
    moment = datetime.fromtimestamp(seconds, tz=UTC).replace(microsecond=rest // 1000)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def utc_now() -> str:
    """The present moment as `utc_text`."""
    return utc_text(time.time_ns())


def boot_id() -> str:
    """The kernel's id of this boot: monotonic stamps and /dev/shm of another one mean nothing."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:  # noqa: PTH123 - procfs, a plain read
        return file.read().strip()
