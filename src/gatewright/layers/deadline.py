"""One deadline for each call: it covers queueing, retries, fallbacks, and the reading of a stream."""

from __future__ import annotations

import asyncio
import math
from heapq import heapify, heappop, heappush
from typing import Any

import msgspec

from gatewright.clock import MONOTONIC, Clock
from gatewright.errors import DeadlineExceeded
from gatewright.pipeline.call import Call
from gatewright.pipeline.layer import Handler
from gatewright.pipeline.reply import Reply

__all__ = ["DeadlineLayer"]

SAME_TIME = 0.02
"""Seconds by which a loop's time may be off the clock's: some loops look at the clock once a turn."""
STALE = 256
"""How many entries of calls that have ended are kept at least, before they are swept out."""


class DeadlineLayer:
    """Ends what goes past `call.deadline` with `DeadlineExceeded`."""

    def __init__(self, clock: Clock = MONOTONIC) -> None:
        self._clock = clock
        self._alarm: _Alarm | None = None

    async def __call__(self, call: Call, proceed: Handler, /) -> Reply[Any, Any]:
        """Proceed until the deadline; a stream that has begun by then is interrupted at it."""
        if call.deadline is None:
            return await proceed(call)
        loop, alarm = asyncio.get_running_loop(), self._alarm
        if alarm is None or alarm.loop is not loop:
            alarm = self._alarm = _Alarm(loop, self._clock)
        # Where the loop's time is the clock's, as it is on all systems' own loops, there is nothing to be converted.
        ends_at = call.deadline if alarm.on_clock else loop.time() + call.deadline - self._clock.now()
        task = asyncio.current_task(loop)
        assert task is not None
        watch = alarm.set(ends_at, task)
        try:
            reply = await proceed(call)
        except asyncio.CancelledError:
            if watch.expired and task.uncancel() <= watch.cancelling:
                raise _exceeded(call) from None
            raise
        except BaseException:
            if watch.expired:
                task.uncancel()
            raise
        finally:
            alarm.unset(watch)
        if not reply.is_whole:
            timer = loop.call_at(ends_at, lambda: reply.interrupt(_exceeded(call)))
            reply.when_settled(lambda _: timer.cancel())
        return reply


class _Watch(msgspec.Struct, eq=False):
    """One call on its way: the task to be cancelled if it takes too long."""

    task: asyncio.Task[Any] | None
    cancelling: int
    expired: bool = False


class _Alarm:
    """The deadlines of all calls on one event loop, with one timer for the next of them.

    A timer for each would be made and cancelled with every call, and hardly any of them ever rings.
    """

    __slots__ = ("_heap", "_live", "_number", "_rings_at", "_timer", "loop", "on_clock")

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Clock) -> None:
        self.loop = loop
        self.on_clock = clock is MONOTONIC and abs(loop.time() - clock.now()) < SAME_TIME
        """Whether the loop's time is the clock's."""
        self._heap: list[tuple[float, int, _Watch]] = []
        self._live = 0
        self._number = 0
        self._rings_at = math.inf
        self._timer: asyncio.TimerHandle | None = None

    def set(self, at: float, task: asyncio.Task[Any]) -> _Watch:
        """Have `task` cancelled at the loop's time `at`, unless it is unset before."""
        watch = _Watch(task, task.cancelling())
        self._number += 1
        self._live += 1
        heappush(self._heap, (at, self._number, watch))
        if at < self._rings_at:
            self._wait(at)
        return watch

    def unset(self, watch: _Watch) -> None:
        """Leave the task alone from now on."""
        watch.task = None
        self._live -= 1
        if len(self._heap) > 2 * self._live + STALE:
            self._heap = [entry for entry in self._heap if entry[2].task is not None]
            heapify(self._heap)

    def _wait(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._rings_at = at
        self._timer = self.loop.call_at(at, self._ring)

    def _ring(self) -> None:
        self._timer, self._rings_at = None, math.inf
        now = self.loop.time()
        heap = self._heap
        while heap and (heap[0][2].task is None or heap[0][0] <= now):
            watch = heappop(heap)[2]
            if watch.task is not None:
                watch.expired = True
                watch.task.cancel()
        if heap:
            self._wait(heap[0][0])


def _exceeded(call: Call) -> DeadlineExceeded:
    seconds = (call.deadline or call.started_at) - call.started_at
    return DeadlineExceeded(
        f"the call did not end within its {seconds:g} s: give a longer timeout or ask for less",
        model=call.request.model,
        request_id=call.id,
    )
