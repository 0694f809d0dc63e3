"""Maintenance windows: when a ring may be started."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from model_build.fleet.configuration import Weekday, Window


def next_opening(windows: Sequence[Window], zone: ZoneInfo, now: datetime) -> datetime:
    """`now` inside a window (or without any), else when the next one opens, in UTC.

    A window belongs to the day on which it opens, in the zone's own clock, also when it goes over midnight.
    """
    if not windows:
        return now
    here = now.astimezone(zone)
    openings = []
    for window in windows:
        for day in range(-1, 8):
            opens = _opening(window, zone, here + timedelta(days=day))
            if opens is None:
                continue
            if opens <= now < opens + timedelta(minutes=window.minutes):
                return now
            if opens > now:
                openings.append(opens)
    return min(openings)


def _opening(window: Window, zone: ZoneInfo, day: datetime) -> datetime | None:
    if list(Weekday)[day.weekday()] not in window.days:
        return None
    hour, minute = map(int, window.start.split(":"))
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=zone).astimezone(UTC)
