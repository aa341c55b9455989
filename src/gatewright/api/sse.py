"""Sends a gateway's stream to a client, as it comes."""

from __future__ import annotations

from gatewright.api.events import StreamEvents
from gatewright.api.exchange import Exchange
from gatewright.api.headers import cache_headers, source_headers
from gatewright.gateway.streams import GenerateStream
from gatewright.types.results import Answer, Chunk
from gatewright.types.usage import NO_USAGE

__all__ = ["send_stream"]


async def send_stream(
    exchange: Exchange, stream: GenerateStream, events_of: type[StreamEvents], *, usage: bool
) -> None:
    """Send `stream` to its end; what fails before its first chunk is raised before anything is sent."""
    async with stream:
        chunks = stream.events()
        first = await anext(chunks, Chunk())
        answer = stream.so_far or Answer(choices=(), model="", provider="")
        events = events_of(first, answer, stream.request_id, usage=usage)
        source = source_headers(stream.request_id, answer.provider, answer.deployment_id, stream.attempts)
        await exchange.begin_stream([*source, *cache_headers(stream.cache_status, stream.cache_age)])
        following: Chunk | None = first
        while following is not None:
            await exchange.write(events.written(_with_ready(following, stream)))
            following = await anext(chunks, None)
        response = stream.response
        await exchange.write(events.last(response.usage if response is not None else NO_USAGE), last=True)


def _with_ready(chunk: Chunk, stream: GenerateStream) -> list[Chunk]:
    """Give a chunk and those after it that have come with it."""
    batch = [chunk]
    while (ready := stream.take_chunk()) is not None:
        batch.append(ready)
    return batch
