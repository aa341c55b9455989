"""A stream as its caller reads it: in `for` or in `async for`, on whichever thread or loop."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Generator
from typing import Any, Self, cast

from gatewright.errors import CallCancelled, GatewayError
from gatewright.gateway.handover import BlockingHandover, LoopHandover
from gatewright.gateway.home import HomeLoop
from gatewright.gateway.stream_events import StreamEvents
from gatewright.gateway.stream_pump import Open, Respond, fill, response_of
from gatewright.gateway.submission import LoopEnded, Submission
from gatewright.gateway.under_way import Reader
from gatewright.pipeline.reply import Reply
from gatewright.pipeline.settling import keep_settling
from gatewright.pipeline.tracebacks import let_go_of_frames
from gatewright.types.responses import CacheStatus, GenerateResponse
from gatewright.types.results import Answer, Chunk, ToolCall
from gatewright.types.usage import Usage

__all__ = ["GenerateStream"]

_BLOCKING = object()


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
        self._pump: Submission[None] | None = None
        self._place: object = None  # the loop on which it is read, or `_BLOCKING`
        self._reading = threading.Lock()
        self._ready: deque[Chunk] = deque()
        self._said: list[str] = []
        self._begun = self._over = False
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
    def cache_status(self) -> CacheStatus | None:
        """What the response cache had, as far as is known here; None before the first read."""
        return self._reply.cache_status if self._reply is not None else None

    @property
    def cache_age(self) -> float | None:
        """The seconds since the answer was kept in the response cache; None where it is not from there."""
        return self._reply.cache_age if self._reply is not None else None

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

    def events(self) -> StreamEvents:
        """Give the stream as `Chunk`s, in `for` or in `async for`."""
        return StreamEvents(self.take_chunk, self._more, self._more_blocking)

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
        self._claim(asyncio.get_running_loop())
        try:
            if self._handover is None and (self._reply is not None or await self._home.arrive()):
                return await self._more_at_home()
            while True:
                handover = self._handover or self._start(LoopHandover(), asyncio.current_task())
                assert isinstance(handover, LoopHandover)
                item = await handover.get()
                if not self._begins_anew(item):
                    return self._take(item)
                await asyncio.to_thread(self._move)
        except BaseException as error:
            self._broke(error)
            raise
        finally:
            self._reading.release()

    def _more_blocking(self) -> bool:
        if self._over:
            return False
        self._home.refuse_here()
        self._claim(_BLOCKING)
        try:
            while True:
                handover = self._handover or self._start(BlockingHandover(), threading.get_ident())
                assert isinstance(handover, BlockingHandover)
                item = handover.get()
                if not self._begins_anew(item):
                    return self._take(item)
                self._move()
        except BaseException as error:
            self._broke(error)
            raise
        finally:
            self._reading.release()

    def _claim(self, place: object) -> None:
        """Let one reader in at a time, and all of them in the way and on the loop of the first."""
        if not self._reading.acquire(blocking=False):
            raise RuntimeError("this stream is being read by another task or thread: give each a stream of its own")
        if self._place is None:
            self._place = place
        elif self._place is not place:
            self._reading.release()
            began = "in a blocking `for`" if self._place is _BLOCKING else "in `async for`, on a loop of its own"
            raise RuntimeError(f"the reading of this stream began {began}: go on there, or ask for another stream")

    async def _more_at_home(self) -> bool:
        if self._reply is None:
            self._reply = await self._open(asyncio.current_task())
            if self._over:
                raise CallCancelled("the stream was closed while it was being read")
        batch = await self._reply.batch()
        if batch:
            self._ready.extend(batch)
            return True
        self._over = True
        self._response = response_of(self._reply, self._respond)
        return False

    def _start(self, handover: Any, reader: Reader) -> BlockingHandover | LoopHandover:
        # The task knows the handover, not the stream: a stream that nobody holds any more can end it.
        open_, respond = self._open, self._respond
        self._handover = handover
        self._pump = self._home.submit(lambda: fill(handover, open_, respond, reader))
        handover.follow(self._pump)
        return handover

    def _begins_anew(self, item: Any) -> bool:
        """Say whether the gateway's home ended before the first chunk, and the next home is to be asked."""
        return isinstance(item, LoopEnded) and not self._begun and not self._over

    def _move(self) -> None:
        assert self._pump is not None
        self._home.await_move(self._pump.loop)
        self._handover = None

    def _take(self, item: Any) -> bool:
        if isinstance(item, list):
            self._begun = True
            self._ready.extend(cast("list[Chunk]", item))
            return True
        self._over = True
        if isinstance(item, BaseException):
            raise item
        self._response = item
        return False

    async def aclose(self) -> None:
        """Stop: what has not ended is cancelled at the provider too, and has ended when this returns."""
        if self._over:
            return
        self._break_off()
        if self._pump is not None:
            with contextlib.suppress(GatewayError):
                await self._pump.wait_async()
        elif self._reply is not None and self._place is asyncio.get_running_loop():
            await self._reply.aclose()

    def close(self) -> None:
        """Do the same from blocking code, where the cancelling goes on in the background."""
        if not self._over:
            self._break_off()

    def _break_off(self) -> None:
        self._over = True
        self._ready.clear()
        if self._pump is not None:
            self._pump.cancel()
        elif (reply := self._reply) is not None and not reply.settled:
            self._home.call_soon(lambda: None if reply.settled else keep_settling(reply.aclose()))

    def _broke(self, error: BaseException) -> None:
        self._break_off()
        let_go_of_frames(error)
        if (reply := self._reply) is not None and reply.settled:
            # What came of it is kept, and not the error: that has this stream in its traceback.
            self._reply = Reply[Chunk, Answer].whole(reply.partial()).like(reply)

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
            self._break_off()
