"""What came of one deployment's attempts lately: counts in a sliding window, with nothing kept of a single one."""

from __future__ import annotations

from collections.abc import Iterable

from gatewright.health.faults import is_fault, origin
from gatewright.health.latencies import class_of, merged

__all__ = ["Summary", "Traffic"]

PARTS = 10


class Part:
    """The counts of a tenth of the window."""

    __slots__ = ("errors", "failed", "first_chunks", "latencies", "number", "succeeded", "until")

    def __init__(self, number: int, until: float) -> None:
        self.number = number
        self.until = until
        self.succeeded = 0
        self.failed = 0
        self.errors: dict[type[BaseException], int] = {}
        self.latencies: dict[int, int] = {}
        self.first_chunks: dict[int, int] = {}


class Traffic:
    """A window of `seconds` in ten parts."""

    __slots__ = ("_last", "_parts", "_seconds_a_part", "last_at", "last_fault", "last_fault_at")

    def __init__(self, seconds: float) -> None:
        self._seconds_a_part = seconds / PARTS
        self._parts: list[Part] = []
        self._last = Part(-1, float("-inf"))
        self.last_at = float("-inf")
        self.last_fault: type[BaseException] | None = None
        self.last_fault_at = float("-inf")

    def succeeded(self, seconds: float, now: float) -> None:
        """Count an answer that took `seconds` as a whole."""
        part = self._last
        if now >= part.until:
            part = self._next_part(now)
        self.last_at = now
        part.succeeded += 1
        number = class_of(seconds)
        part.latencies[number] = part.latencies.get(number, 0) + 1

    def began(self, seconds: float, now: float) -> None:
        """Count a stream whose first chunk took `seconds`; its end says how it went."""
        part = self._part(now)
        number = class_of(seconds)
        part.first_chunks[number] = part.first_chunks.get(number, 0) + 1

    def failed(self, error: BaseException, now: float) -> None:
        """Count an error, and hold it against the provider if it is its fault."""
        part = self._part(now)
        error = origin(error)
        kind = type(error)
        part.errors[kind] = part.errors.get(kind, 0) + 1
        if is_fault(error):
            part.failed += 1
            self.last_fault, self.last_fault_at = kind, now

    def parts(self, now: float) -> list[Part]:
        """Give the parts that are in the window."""
        oldest = int(now / self._seconds_a_part) - PARTS + 1
        return [part for part in self._parts if part.number >= oldest]

    def _part(self, now: float) -> Part:
        self.last_at = now
        return self._next_part(now) if now >= self._last.until else self._last

    def _next_part(self, now: float) -> Part:
        number = int(now / self._seconds_a_part)
        self._last = Part(number, (number + 1) * self._seconds_a_part)
        self._parts = [*self.parts(now), self._last]
        return self._last


class Summary:
    """The windows of some deployments added up, as of `now`."""

    __slots__ = ("errors", "failed", "fault_age", "first_chunks", "last_fault", "latencies", "succeeded")

    def __init__(self, traffics: Iterable[Traffic], now: float) -> None:
        traffics = list(traffics)
        parts = [part for one in traffics for part in one.parts(now)]
        self.succeeded = sum(part.succeeded for part in parts)
        self.failed = sum(part.failed for part in parts)
        self.latencies = merged(part.latencies for part in parts)
        self.first_chunks = merged(part.first_chunks for part in parts)
        self.errors: dict[str, int] = {}
        for part in parts:
            for kind, count in part.errors.items():
                self.errors[kind.__name__] = self.errors.get(kind.__name__, 0) + count
        latest = max(traffics, key=lambda one: one.last_fault_at, default=None)
        in_window = self.failed > 0 and latest is not None
        self.last_fault = latest.last_fault if in_window and latest is not None else None
        self.fault_age = now - latest.last_fault_at if in_window and latest is not None else None

    @property
    def total(self) -> int:
        """The attempts that say something of the provider."""
        return self.succeeded + self.failed

    @property
    def success_rate(self) -> float | None:
        """The share of them that succeeded; None where there were none."""
        return self.succeeded / self.total if self.total else None
