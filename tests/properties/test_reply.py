"""A reply is settled exactly once, whatever the interleaving of reads, closes, errors and cancellations."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewright.errors import CallCancelled, ConnectionFailed, DeadlineExceeded
from gatewright.pipeline.reply import Outcome, Reply

BATCHES = st.lists(st.lists(st.sampled_from("abc"), max_size=3), max_size=4)
TURNS = st.integers(0, 3)
CALLBACKS = st.lists(
    st.sampled_from(["plain", "awaits", "raises", "raises later", "awaits something cancelled"]), max_size=4
)
READS = st.lists(st.sampled_from(["next", "batch", "value", "pause", "close"]), max_size=6)
DISTURBANCES = st.lists(
    st.tuples(
        TURNS,
        st.sampled_from(["aclose", "interrupt", "cancel reader", "read too", "register", "aclose, then cancelled"]),
    ),
    max_size=5,
)
KNOWN = (CallCancelled, DeadlineExceeded, ConnectionFailed, asyncio.CancelledError)


class Trial:
    """One reply with everything that happens to it."""

    def __init__(self) -> None:
        self.delivered: list[str] = []
        self.outcomes: list[Outcome[Any]] = []
        self.order: list[int] = []
        self.started = self.finished = 0
        self.interruptions: list[DeadlineExceeded] = []
        self.tasks: list[asyncio.Task[Any]] = []
        self.source_error = ConnectionFailed("broken")

    # a fold
    def add(self, chunk: str, /) -> None:
        self.delivered.append(chunk)

    def value(self) -> str:
        return "".join(self.delivered)

    async def source(
        self, batches: list[list[str]], pauses: list[int], fails: bool, closing: int, stubborn: bool
    ) -> AsyncGenerator[list[str], None]:
        self.started += 1
        try:
            for place, batch in enumerate(batches):
                for _ in range(pauses[place % len(pauses)] if pauses else 0):
                    try:
                        await asyncio.sleep(0)
                    except asyncio.CancelledError:
                        if not stubborn:
                            raise
                yield list(batch)
            if fails:
                raise self.source_error
        finally:
            try:
                for _ in range(closing):
                    await asyncio.sleep(0)
            finally:
                self.finished += 1

    def callback(self, number: int, kind: str) -> Callable[[Outcome[Any]], Any]:
        async def later(outcome: Outcome[Any]) -> None:
            await asyncio.sleep(0)
            if kind == "awaits something cancelled":
                future = asyncio.get_running_loop().create_future()
                future.cancel()
                self.note(number, outcome)
                await future
            self.note(number, outcome)
            if kind == "raises later":
                raise OSError("later")

        def at_once(outcome: Outcome[Any]) -> None:
            self.note(number, outcome)
            if kind == "raises":
                raise OSError("at once")

        return at_once if kind in {"plain", "raises"} else later

    def note(self, number: int, outcome: Outcome[Any]) -> None:
        self.order.append(number)
        self.outcomes.append(outcome)

    async def read(self, reply: Reply[str, str], reads: list[str]) -> None:
        async with reply:
            for step in reads:
                if step == "next":
                    await anext(reply, None)
                elif step == "batch":
                    await reply.batch()
                elif step == "value":
                    await reply.value()
                elif step == "close":
                    await reply.aclose()
                else:
                    await asyncio.sleep(0)

    async def disturb(
        self, reply: Reply[str, str], reader: asyncio.Task[None], steps: list[tuple[int, str]], registered: list[int]
    ) -> None:
        for turns, step in steps:
            for _ in range(turns):
                await asyncio.sleep(0)
            if step == "interrupt":
                error = DeadlineExceeded(f"number {len(self.interruptions)}")
                self.interruptions.append(error)
                reply.interrupt(error)
            elif step == "cancel reader":
                reader.cancel()
            elif step == "register":
                registered.append(len(registered))
                reply.when_settled(self.callback(registered[-1], "awaits"))
            elif step == "read too":
                self.spawn(reply.batch())
            else:
                closing = self.spawn(reply.aclose())
                if "cancelled" in step:
                    await asyncio.sleep(0)
                    closing.cancel()

    def spawn(self, work: Any) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self.tasks.append(task)
        return task


async def scenario(
    trial: Trial,
    source: tuple[list[list[str]], list[int], bool, int, bool],
    callbacks: list[str],
    reads: list[str],
    disturbances: list[tuple[int, str]],
) -> Reply[str, str] | None:
    try:
        reply = await Reply.begin(trial.source(*source), trial)
    except ConnectionFailed:
        return None
    registered: list[int] = []
    for number, kind in enumerate(callbacks):
        registered.append(number)
        reply.when_settled(trial.callback(number, kind))
    reader = trial.spawn(trial.read(reply, reads))
    disturber = trial.spawn(trial.disturb(reply, reader, disturbances, registered))
    results: list[Any] = []
    async with asyncio.timeout(5):  # what waits for ever is a failure, not a hang
        await asyncio.wait({disturber})
        results = await asyncio.gather(*trial.tasks, return_exceptions=True)
        await reply.aclose()  # the reader may have been cancelled before it began
        me = asyncio.current_task()
        while others := {task for task in asyncio.all_tasks() if task is not me}:
            await asyncio.wait(others)  # settlements that outlive their cancelled reader
    for result in results:
        assert result is None or isinstance(result, (*KNOWN, list, RuntimeError)), result
        if isinstance(result, RuntimeError):
            assert "another task" in str(result)
    assert disturber.exception() is None
    assert set(registered) == set(trial.order)
    return reply


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("CRITICAL", "gatewright.reply")


@settings(max_examples=400, deadline=None)
@given(
    source=st.tuples(BATCHES, st.lists(TURNS, max_size=3), st.booleans(), TURNS, st.booleans()),
    callbacks=CALLBACKS,
    reads=READS,
    disturbances=DISTURBANCES,
)
def test_settled_exactly_once_whatever_happens(
    source: tuple[list[list[str]], list[int], bool, int, bool],
    callbacks: list[str],
    reads: list[str],
    disturbances: list[tuple[int, str]],
) -> None:
    trial = Trial()
    unhandled: list[dict[str, Any]] = []

    async def main() -> Reply[str, str] | None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: unhandled.append(context))
        return await scenario(trial, source, callbacks, reads, disturbances)

    reply = asyncio.run(main())
    assert unhandled == []
    assert trial.started == trial.finished == 1
    if reply is None:
        return
    outcome = reply.outcome
    assert outcome is not None
    check_callbacks(trial, callbacks, outcome)
    check_outcome(trial, source, reads, disturbances, outcome)


def check_callbacks(trial: Trial, callbacks: list[str], outcome: Outcome[Any]) -> None:
    assert all(seen is outcome for seen in trial.outcomes)
    assert len(trial.order) == len(set(trial.order)), "a callback was called twice"
    before = [number for number in trial.order if number < len(callbacks)]
    assert before == list(reversed(range(len(callbacks))))


def check_outcome(
    trial: Trial,
    source: tuple[list[list[str]], list[int], bool, int, bool],
    reads: list[str],
    disturbances: list[tuple[int, str]],
    outcome: Outcome[Any],
) -> None:
    batches, _, fails, _, _ = source
    everything = "".join(chunk for batch in batches for chunk in batch)
    assert outcome.value == trial.value(), "nothing is delivered after the end"
    assert everything.startswith(outcome.value)
    if outcome.state == "completed":
        assert outcome.value == everything
        assert outcome.error is None
        assert not fails
    elif outcome.state == "failed":
        assert outcome.error is trial.source_error or outcome.error is trial.interruptions[0]
    else:
        assert outcome.error is None
    if not disturbances and "value" in reads and "close" not in reads[: reads.index("value")]:
        assert outcome.state == ("failed" if fails else "completed")


@given(batches=BATCHES, fails=st.booleans())
def test_every_way_of_reading_adds_up_to_the_same(batches: list[list[str]], fails: bool) -> None:
    async def read(how: str) -> tuple[str, str]:
        trial = Trial()
        try:
            async with await Reply.begin(trial.source(batches, [], fails, 0, False), trial) as reply:
                if how == "chunks":
                    async for _ in reply:
                        pass
                elif how == "batches":
                    while await reply.batch():
                        pass
                else:
                    await reply.value()
        except ConnectionFailed:
            return "failed", trial.value()
        assert reply.outcome is not None
        return reply.outcome.state, trial.value()

    async def all_ways() -> list[tuple[str, str]]:
        return [await read(how) for how in ("chunks", "batches", "value")]

    everything = "".join(chunk for batch in batches for chunk in batch)
    assert set(asyncio.run(all_ways())) == {("failed" if fails else "completed", everything)}
