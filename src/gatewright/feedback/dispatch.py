"""Telling callbacks of feedback, each in a thread of its own, until they have had it or are given up."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import random
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from gatewright.errors import GatewayClosed, GatewayError
from gatewright.feedback import deliveries as states
from gatewright.feedback.callbacks import Callback, Callbacks
from gatewright.feedback.config import CallbackConfig
from gatewright.feedback.types import Delivery, Feedback, FeedbackStatus, FeedbackType

__all__ = ["Dispatcher", "Outgoing", "RunAsync"]

log = logging.getLogger("gatewright.feedback")

RunAsync = Callable[[Callable[[], Coroutine[Any, Any, None]]], None]
"""Runs what an asynchronous callback awaits, and waits for it in a thread."""
AT_ONCE = 16


class Outgoing(Protocol):
    """What the dispatcher asks of the outbox; see `Outbox`."""

    def adopt(self, callback: str, kind: FeedbackType) -> int: ...  # noqa: D102
    def claim(self, callback: str, now: datetime, limit: int, feedback_id: str | None = None) -> list[Delivery]: ...  # noqa: D102
    def renew(self, held: list[tuple[str, str]], now: datetime) -> None: ...  # noqa: D102
    def settle(self, delivery: Delivery) -> None: ...  # noqa: D102
    def revive(self, feedback_id: str, callbacks: list[str], now: datetime) -> None: ...  # noqa: D102
    def finish(self, feedback_id: str) -> None: ...  # noqa: D102
    def next_due(self, callback: str) -> datetime | None: ...  # noqa: D102


def utc_now() -> datetime:
    """Give the time by the wall clock: what is due is due in other processes too."""
    return datetime.now(UTC)


class Dispatcher:
    """Has one lane for each callback, so that one that fails, or hangs, holds up no other."""

    def __init__(
        self,
        callbacks: Callbacks,
        outbox: Callable[[], Outgoing],
        read: Callable[[str], Feedback | None],
        config: CallbackConfig,
        run_async: RunAsync,
        *,
        now: Callable[[], datetime] = utc_now,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._callbacks = callbacks
        self._outbox = outbox
        self._read = read
        self._config = config
        self._run_async = run_async
        self._now = now
        self._chance = chance
        self._lanes: dict[str, _Lane] = {}
        self._held: set[tuple[str, str]] = set()
        self._lock = threading.Lock()
        self._renewing: threading.Thread | None = None
        self._ended = threading.Event()

    def open_lane(self, callback: Callback) -> None:
        """Begin to tell a callback of what it has not been told of."""
        with self._lock:
            if self._ended.is_set():
                return
            lane = self._lanes[callback.name] = _Lane(callback, self._round, self._config.poll_interval)
            if self._renewing is None:
                self._renewing = threading.Thread(target=self._renew, name="gatewright-feedback-leases", daemon=True)
                self._renewing.start()
        lane.start()

    def close_lane(self, callback: Callback) -> None:
        """End that; what it has not been told of waits for its next registration."""
        with self._lock:
            lane = self._lanes.pop(callback.name, None)
        if lane is not None:
            lane.end()

    def wake(self, kind: FeedbackType) -> None:
        """Have the callbacks for a type look for something new."""
        for lane in list(self._lanes.values()):
            if lane.callback.kind is kind:
                lane.wake()

    def tell_now(self, feedback: Feedback) -> None:
        """Tell all callbacks of one feedback that have not had it, those too that were given up, and wait for them."""
        with self._lock:
            under_way = {callback for id_, callback in self._held if id_ == feedback.id}
        callbacks = [one for one in self._callbacks.of(feedback.type) if one.name not in under_way]
        self._outbox().revive(feedback.id, [one.name for one in callbacks], self._now())
        for callback in callbacks:
            for delivery in self._outbox().claim(callback.name, self._now(), 1, feedback.id):
                self._deliver(callback, delivery)
        self._outbox().finish(feedback.id)

    def close(self, seconds: float) -> None:
        """End all lanes; what is under way and takes longer than so many seconds is told again by the next process."""
        self._ended.set()
        with self._lock:
            lanes, self._lanes = list(self._lanes.values()), {}
        for lane in lanes:
            lane.end()
        until = time.monotonic() + seconds
        for lane in lanes:
            if lane is not threading.current_thread():  # a gateway may be collected in any thread
                lane.join(max(0.0, until - time.monotonic()))

    def start_afresh(self) -> None:
        """Begin anew in a forked child, whose parent has the threads."""
        self._lock, self._ended = threading.Lock(), threading.Event()
        self._lanes, self._held, self._renewing = {}, set(), None
        for callback in self._callbacks:
            callback.running = threading.Lock()
            self.open_lane(callback)

    def _round(self, lane: _Lane) -> float:
        """Deliver whatever is due, and give the seconds until something is."""
        name, outbox = lane.callback.name, self._outbox()
        while outbox.adopt(name, lane.callback.kind):
            pass
        while not lane.ended and (due := outbox.claim(name, self._now(), AT_ONCE)):
            self._hold(due)
            try:
                for delivery in due:
                    if lane.ended:
                        self._let_go(delivery, states.handed_back(delivery, self._now()))
                    else:
                        self._deliver(lane.callback, delivery)
            finally:
                # Where the database died amid them: held on to, the others would never be told of again.
                self._drop(due)
        next_due = outbox.next_due(name)
        wait = self._config.poll_interval
        return wait if next_due is None else min(wait, max(0.0, (next_due - self._now()) / timedelta(seconds=1)))

    def _deliver(self, callback: Callback, delivery: Delivery) -> None:
        self._hold([delivery])
        try:
            with callback.running:
                feedback = self._read(delivery.feedback_id)
                if feedback is None or feedback.status is FeedbackStatus.IGNORED:
                    outcome = states.given_up(delivery)
                else:
                    outcome = self._attempt(callback, feedback, delivery)
            self._let_go(delivery, outcome)
        finally:
            self._drop([delivery])

    def _attempt(self, callback: Callback, feedback: Feedback, delivery: Delivery) -> Delivery:
        try:
            result = callback.function(feedback)
            if inspect.isawaitable(result):
                self._run_async(lambda: _within(result, self._config.timeout))
        except GatewayClosed:
            return states.handed_back(delivery, self._now() + timedelta(seconds=self._config.first_wait))
        except BaseException as error:  # noqa: BLE001 - the lane outlives whatever a callback does
            log.warning("callback %s failed on %s: %s", callback.name, feedback.id, type(error).__name__)
            return states.failed(delivery, type(error), self._config, self._now(), self._chance)
        return states.delivered(delivery)

    def _hold(self, due: list[Delivery]) -> None:
        with self._lock:
            self._held.update((one.feedback_id, one.callback) for one in due)

    def _drop(self, due: list[Delivery]) -> None:
        with self._lock:
            self._held.difference_update((one.feedback_id, one.callback) for one in due)

    def _let_go(self, delivery: Delivery, outcome: Delivery) -> None:
        """Keep how it ended: tried until the database takes it, or the process ends."""
        while True:
            try:
                self._outbox().settle(outcome)
                break
            except GatewayError:
                if self._ended.wait(1.0):
                    break
        self._drop([delivery])

    def _renew(self) -> None:
        while not self._ended.wait(self._config.lease / 3):
            with self._lock:
                held = sorted(self._held)
            if held:
                with contextlib.suppress(GatewayError):  # another process may then tell it again
                    self._outbox().renew(held, self._now())


class _Lane(threading.Thread):
    """The thread of one callback."""

    def __init__(self, callback: Callback, round_: Callable[[_Lane], float], poll_interval: float) -> None:
        super().__init__(name="gatewright-feedback-callback", daemon=True)
        self.callback = callback
        self.ended = False
        self._round = round_
        self._poll_interval = poll_interval
        self._awake = threading.Event()

    def run(self) -> None:
        waits = False
        while not self.ended:
            self._awake.clear()
            try:
                wait, waits = self._round(self), False
            except Exception as error:  # noqa: BLE001 - the database is down, most likely; it is asked again
                if not waits:
                    log.warning("callback %s waits: %s", self.callback.name, error)
                wait, waits = self._poll_interval, True
            if not self.ended:
                self._awake.wait(wait)

    def wake(self) -> None:
        self._awake.set()

    def end(self) -> None:
        self.ended = True
        self._awake.set()


async def _within(result: Awaitable[object], seconds: float) -> None:
    async with asyncio.timeout(seconds):
        await result
