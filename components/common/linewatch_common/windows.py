"""Maintenance windows: weekly times, the same notation for a ring of the fleet and for a device."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from linewatch_common.errors import ConfigError

# A week and the day on which the present window began: no opening is farther away.
FARTHEST_OPENING = timedelta(days=8)


class Weekday(StrEnum):
    """Days of a maintenance window, in the order of datetime.weekday()."""

    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"


class Window(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A weekly time: it opens at `start` (HH:MM in the zone that stands beside it) on `days`, for `minutes`."""

    start: Annotated[str, msgspec.Meta(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]
    minutes: Annotated[int, msgspec.Meta(ge=15, le=1440)]
    days: Annotated[list[Weekday], msgspec.Meta(min_length=1)] = msgspec.field(default_factory=lambda: list(Weekday))


def zone_of(name: str) -> tzinfo:
    """The time zone of that name; "UTC" needs no data base of zones. Raises ConfigError."""
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ConfigError(f"time zone {name!r} is not known") from error


def next_opening(windows: Sequence[Window], zone: tzinfo, now: datetime) -> datetime:
    """`now` inside a window (or without any), else when the next one opens, in UTC.

    A window belongs to the day on which it opens, in the zone's own clock, also when it goes over midnight.
    """
    if not windows:
        return now
    here = now.astimezone(zone)
    openings = []
    for window in windows:
        for day in range(-1, FARTHEST_OPENING.days):
            opens = _opening(window, zone, here + timedelta(days=day))
            if opens is None:
                continue
            if opens <= now < opens + timedelta(minutes=window.minutes):
                return now
            if opens > now:
                openings.append(opens)
    return min(openings)


def _opening(window: Window, zone: tzinfo, day: datetime) -> datetime | None:
    if list(Weekday)[day.weekday()] not in window.days:
        return None
    hour, minute = map(int, window.start.split(":"))
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=zone).astimezone(UTC)


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Schedule:
    """A device's own windows; none: always open. `clock` gives aware UTC datetimes."""

    windows: Sequence[Window] = ()
    zone: tzinfo = UTC
    clock: Callable[[], datetime] = _now

    def closed_until(self) -> datetime | None:
        """When the next window opens; None: it is open now."""
        now = self.clock()
        opens = next_opening(self.windows, self.zone, now)
        return opens if opens > now else None
