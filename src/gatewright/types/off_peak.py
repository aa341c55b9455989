"""The quiet hours in which some providers sell for less."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import msgspec

__all__ = ["OffPeakHours", "Window"]


class Window(msgspec.Struct, frozen=True, array_like=True):
    """Hours of the day, in minutes after midnight UTC: the end is outside, and an end before the start is tomorrow's.

    `weekdays` are those of the calendar, Monday is 1; none named are all of them.
    """

    start: int
    end: int
    weekdays: tuple[int, ...] = ()

    def holds(self, minute: int, weekday: int) -> bool:
        """Say whether a minute of the day (UTC) on a weekday is inside."""
        if self.weekdays and weekday not in self.weekdays:
            return False
        if self.start < self.end:
            return self.start <= minute < self.end
        return minute >= self.start or minute < self.end


class OffPeakHours(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Windows of hours in UTC, whose weekdays are those of a time zone."""

    windows: tuple[Window, ...]
    timezone: str = "UTC"

    def hold(self, at: float | None = None) -> bool:
        """Say whether a Unix time, now where none is given, is inside one of the windows."""
        moment = datetime.now(UTC) if at is None else datetime.fromtimestamp(at, UTC)
        weekday = (moment if self.timezone == "UTC" else moment.astimezone(ZoneInfo(self.timezone))).isoweekday()
        minute = moment.hour * 60 + moment.minute
        return any(window.holds(minute, weekday) for window in self.windows)
