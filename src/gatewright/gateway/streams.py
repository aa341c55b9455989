"""A stream as its caller reads it: in `for` or in `async for`, on whichever thread or loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from concurrent.futures import CancelledError as FutureCancelled
from concurrent.futures import Future
from typing import Any, Self, cast

from gatewright.errors import CallCancelled, GatewayError
from gatewright.gateway.handover import BlockingHandover, LoopHandover
from gatewright.gateway.home import HomeLoop
from gatewright.pipeline.reply import Reply
from gatewright.types.responses import GenerateResponse
from gatewright.types.results import Answer, Chunk, ToolCall
from gatewright.types.usage import Usage

__all__ = ["GenerateStream"]

Open = Callable[[], Awaitable[Reply[Chunk, Answer]]]
Respond = Callable[[Reply[Chunk, Answer]], GenerateResponse]


class GenerateStream:
    """Text as it comes, of the first choice; nothing is sent before the first read.

    `for text in stream`, `async for text in stream`, and `stream.events()` for the chunks with tool calls, reasoning,
    other choices and usage. Closing it early, or leaving its `with`, cancels the request at the provider. At the end
    `response` has everything; `usage`, `cost_usd`, `finish_reason` and `tool_calls` are its shortcuts.
    """

    def __init__(self, home: HomeLoop, open_: Open, respond: Respond, request_id: str = "") -> None:
        self.request_id = request_id
        self._home = home
        self._open = open_
        self._respond = respond
        self._reply: Reply[Chunk, Answer] | None = None
        self._handover: BlockingHandover | LoopHandover | None = None
        self._pump: Future[None] | None = None
        self._ready: deque[Chunk] = deque()
        self._said: list[str] = []
        self._over = False
        self._response: GenerateResponse | None = None

    @property
    def text(self) -> str:
        """The text so far; the whole text at the end."""
        return "".join(self._said)

    @property
    def response(self) -> GenerateResponse | None:
        """The whole answer, as `generate` would have given it; None until the stream has ended well."""
        return self._response

    @property
    def so_far(self) -> Answer | None:
        """What has come and where from; None before the first read, and where another loop is the gateway's home."""
        return self._reply.partial() if self._reply is not None else None

    @property
    def attempts(self) -> int:
        """How many requests were made to providers for it, as far as is known here."""
        return self._reply.attempts if self._reply is not None else 1

    @property
    def usage(self) -> Usage | None:
        """The tokens used; None until the end."""
        return self._response.usage if self._response is not None else None

    @property
    def cost_usd(self) -> float | None:
        """What it cost; None until the end, or where the price is not known."""
        return self._response.cost_usd if self._response is not None else None

    @property
    def finish_reason(self) -> str | None:
        """Why the model stopped; None until the end."""
        return self._response.finish_reason if self._response is not None else None

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The tool calls asked for; empty until the end."""
        return self._response.tool_calls if self._response is not None else ()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        while True:
            text = self._take_text()
            if text:
                return text
            if not await self._more():
                raise StopAsyncIteration

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        while True:
            text = self._take_text()
            if text:
                return text
            if not self._more_blocking():
                raise StopIteration

    def events(self) -> _Chunks:
        """Give the stream as `Chunk`s, in `for` or in `async for`."""
        return _Chunks(self)

    def __await__(self) -> Generator[Any, None, Self]:
        """Let `await gateway.generate_stream_async(...)` start the request and give the stream."""
        return self._started().__await__()

    async def _started(self) -> Self:
        if not self._ready and not self._over:
            await self._more()
        return self

    def _take_text(self) -> str:
        ready = self._ready
        while ready:
            chunk = ready.popleft()
            if chunk.text and chunk.index == 0:
                self._said.append(chunk.text)
                return chunk.text
        return ""

    def take_chunk(self) -> Chunk | None:
        """Give the next chunk that is there already."""
        if not self._ready:
            return None
        chunk = self._ready.popleft()
        if chunk.text and chunk.index == 0:
            self._said.append(chunk.text)
        return chunk

    async def _more(self) -> bool:
        """Wait for the next chunks; False at the end."""
        if self._over:
            return False
        if self._handover is None and (self._reply is not None or await self._home.arrive()):
            return await self._more_at_home()
        if self._handover is None:
            self._handover = LoopHandover(self._home)
            self._start(self._handover)
        assert isinstance(self._handover, LoopHandover)
        return self._take(await self._handover.get())

    async def _more_at_home(self) -> bool:
        try:
            if self._reply is None:
                self._reply = await self._open()
            batch = await self._reply.batch()
        except BaseException:
            self._over = True
            raise
        if batch:
            self._ready.extend(batch)
            return True
        self._over = True
        if self._reply.outcome is not None and self._reply.outcome.state == "completed":
            self._response = self._respond(self._reply)
        return False

    def _more_blocking(self) -> bool:
        if self._over:
            return False
        self._home.refuse_here()
        if self._handover is None:
            self._handover = BlockingHandover(self._home)
            self._start(self._handover)
        if not isinstance(self._handover, BlockingHandover):
            raise RuntimeError("this stream is being read in `async for`: go on in that")
        return self._take(self._handover.get())

    def _start(self, handover: BlockingHandover | LoopHandover) -> None:
        # The task knows the handover, not the stream: a stream that nobody holds any more can end it.
        open_, respond = self._open, self._respond
        self._pump = self._home.submit(lambda: _fill(handover, open_, respond))

    def _take(self, item: Any) -> bool:
        if isinstance(item, list):
            self._ready.extend(cast("list[Chunk]", item))
            return True
        self._over = True
        if isinstance(item, BaseException):
            raise item
        self._response = item
        return False

    async def aclose(self) -> None:
        """Stop: what has not ended is cancelled at the provider too."""
        was_over, self._over = self._over, True
        self._ready.clear()
        if self._reply is not None and self._home.loop is asyncio.get_running_loop():
            await self._reply.aclose()
        elif self._pump is not None and not was_over:
            self._pump.cancel()
            with contextlib.suppress(asyncio.CancelledError, FutureCancelled, GatewayError):
                await asyncio.wrap_future(self._pump)
        elif self._reply is not None:
            self._abandon()

    def close(self) -> None:
        """Do the same from blocking code; on the home loop itself the cancelling goes on in the background."""
        was_over, self._over = self._over, True
        self._ready.clear()
        if not was_over:
            self._abandon()

    def _abandon(self) -> None:
        if self._pump is not None:
            self._pump.cancel()
        elif (reply := self._reply) is not None and not reply.settled:
            self._home.call_soon(lambda: _close_soon(reply))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __del__(self) -> None:
        if not self._over:
            self._abandon()


class _Chunks(AsyncIterator[Chunk], Iterator[Chunk]):
    """A stream's chunks."""

    def __init__(self, stream: GenerateStream) -> None:
        self._stream = stream

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Chunk:
        while (chunk := self._stream.take_chunk()) is None:
            if not await self._stream._more():  # pyright: ignore[reportPrivateUsage]
                raise StopAsyncIteration
        return chunk

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Chunk:
        while (chunk := self._stream.take_chunk()) is None:
            if not self._stream._more_blocking():  # pyright: ignore[reportPrivateUsage]
                raise StopIteration
        return chunk


async def _fill(handover: BlockingHandover | LoopHandover, open_: Open, respond: Respond) -> None:
    """Read a whole stream at home and hand it over; its end is the response, or the error."""
    try:
        reply = await open_()
        async with reply:
            while batch := await reply.batch():
                await handover.put(batch)
        handover.end(respond(reply))
    except Exception as error:  # noqa: BLE001 - it is raised to the reader
        handover.end(error)
    except BaseException:
        handover.end(CallCancelled("the stream was closed, or its gateway or event loop"))
        raise


_closing: set[asyncio.Task[None]] = set()


def _close_soon(reply: Reply[Any, Any]) -> None:
    task = asyncio.get_running_loop().create_task(reply.aclose())
    _closing.add(task)
    task.add_done_callback(_closing.discard)
