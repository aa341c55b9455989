"""Public test doubles: a provider that follows a script, and a clock that only the test moves."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncGenerator, Iterable, Sequence
from itertools import count
from typing import Any

from gatewright.clock import MONOTONIC, Clock
from gatewright.pipeline.call import Call
from gatewright.pipeline.reply import Reply
from gatewright.types.folding import AnswerFold, chunks_of
from gatewright.types.requests import EmbedRequest
from gatewright.types.results import Answer, Choice, Chunk, Embeddings

__all__ = ["FakeClock", "ScriptExhausted", "ScriptedProvider", "Step"]

Step = str | Answer | Embeddings | BaseException | Sequence[str | Chunk | BaseException]
"""One answer of a script: a text, a whole answer, vectors, an error to raise, or the parts of a stream.

An error among the parts of a stream is raised when the reader comes to it.
"""


class ScriptExhausted(AssertionError):
    """A scripted provider was called more often than its script foresees."""


class ScriptedProvider:
    """Gives the answers of a script, one a call, and keeps the `calls` that it got.

    It is a `Handler` and a `Provider`. A streamed call may meet a whole answer, and a whole call the parts of a
    stream: the answer is the same. Each call waits `delay` seconds on `clock`, and then for `gate` if there is one.
    """

    def __init__(
        self,
        script: Iterable[Step],
        *,
        provider: str = "scripted",
        model: str = "scripted-model",
        deployment_id: str = "scripted",
        delay: float = 0.0,
        clock: Clock = MONOTONIC,
        gate: asyncio.Event | None = None,
    ) -> None:
        self._script = list(script)
        self._context: dict[str, Any] = {"provider": provider, "model": model, "deployment_id": deployment_id}
        self._delay = delay
        self._clock = clock
        self._gate = gate
        self.calls: list[Call] = []
        self.closed = False
        self.open_streams = 0
        """Streams that were begun and neither ended nor closed."""

    async def __call__(self, call: Call, /) -> Reply[Any, Any]:
        """Give the next answer of the script."""
        self.calls.append(call)
        step = self._step(len(self.calls), call)
        if self._delay > 0:
            await self._clock.sleep(self._delay)
        if self._gate is not None:
            await self._gate.wait()
        if isinstance(step, BaseException):
            raise step
        if isinstance(step, (Answer, Embeddings, str)):
            return self._whole(step)
        return await self._parts(step, call)

    async def aclose(self) -> None:
        """Note that it was closed."""
        self.closed = True

    def extend(self, *steps: Step) -> None:
        """Add answers to the script."""
        self._script.extend(steps)

    def _step(self, number: int, call: Call) -> Step:
        if number > len(self._script):
            raise ScriptExhausted(f"the script has {len(self._script)} answers; call number {number} was {call.id}")
        return self._script[number - 1]

    def _whole(self, step: Answer | Embeddings | str) -> Reply[Any, Any]:
        if isinstance(step, Embeddings):
            return Reply[Any, Embeddings].whole(step)
        answer = self._answer(step) if isinstance(step, str) else step
        return Reply.whole(answer, chunks_of)

    def _answer(self, text: str) -> Answer:
        return Answer(choices=[Choice(text=text, finish_reason="stop")], **self._context)

    async def _parts(self, parts: Sequence[str | Chunk | BaseException], call: Call) -> Reply[Any, Any]:
        if isinstance(call.request, EmbedRequest):
            raise AssertionError(f"the script has a stream where {call.id} asks for embeddings")
        reply = await Reply.begin(self._stream(parts), AnswerFold(**self._context))
        if call.stream:
            return reply
        async with reply:
            return Reply.whole(await reply.value(), chunks_of)

    async def _stream(self, parts: Sequence[str | Chunk | BaseException]) -> AsyncGenerator[list[Chunk], None]:
        self.open_streams += 1
        try:
            for part in parts:
                if isinstance(part, BaseException):
                    raise part
                yield [Chunk(text=part) if isinstance(part, str) else part]
                await asyncio.sleep(0)
        finally:
            self.open_streams -= 1


class FakeClock:
    """A clock that stands still until the test advances it; whoever sleeps on it waits until then."""

    def __init__(self, start: float = 1000.0) -> None:
        self._now = start
        self._order = count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def now(self) -> float:
        """Give the seconds that the test has set."""
        return self._now

    @property
    def sleepers(self) -> int:
        """How many wait."""
        return sum(not future.done() for _, _, future in self._sleepers)

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock was advanced so far; zero or less only lets others run."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + seconds, next(self._order), future))
        await future

    async def advance(self, seconds: float) -> None:
        """Move the clock on, wake whoever is due in the order of their times, and let them run.

        A woken task that sleeps again within the same stretch is woken again when its time comes.
        """
        target = self._now + seconds
        await self._let_run()
        while self._sleepers and self._sleepers[0][0] <= target:
            due, _, future = heapq.heappop(self._sleepers)
            if not future.done():
                self._now = max(self._now, due)
                future.set_result(None)
                await self._let_run()
        self._now = target
        await self._let_run()

    async def _let_run(self, rounds: int = 20) -> None:
        """Give other tasks a few turns of the loop: what they do between two waits takes several."""
        for _ in range(rounds):
            await asyncio.sleep(0)
