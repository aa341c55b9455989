"""A stream as its chunks, with all that its text leaves out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Self

from gatewright.types.results import Chunk

__all__ = ["StreamEvents"]


class StreamEvents(AsyncIterator[Chunk], Iterator[Chunk]):
    """The chunks of a stream, in `for` or in `async for`.

    `take` gives the next that is there already, `more` and `more_blocking` wait for others: False at the end.
    """

    def __init__(
        self,
        take: Callable[[], Chunk | None],
        more: Callable[[], Awaitable[bool]],
        more_blocking: Callable[[], bool],
    ) -> None:
        self._take = take
        self._more = more
        self._more_blocking = more_blocking

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Chunk:
        while (chunk := self._take()) is None:
            if not await self._more():
                raise StopAsyncIteration
        return chunk

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Chunk:
        while (chunk := self._take()) is None:
            if not self._more_blocking():
                raise StopIteration
        return chunk
