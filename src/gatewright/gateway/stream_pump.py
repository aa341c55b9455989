"""The task that reads a stream at home for a reader elsewhere."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from gatewright.errors import CallCancelled
from gatewright.gateway.handover import BlockingHandover, LoopHandover
from gatewright.gateway.under_way import Reader
from gatewright.pipeline.reply import Reply
from gatewright.types.responses import GenerateResponse
from gatewright.types.results import Answer, Chunk

__all__ = ["Open", "Respond", "fill", "response_of"]

Open = Callable[[Reader], Awaitable[Reply[Chunk, Answer]]]
Respond = Callable[[Reply[Chunk, Answer]], GenerateResponse]


async def fill(handover: BlockingHandover | LoopHandover, open_: Open, respond: Respond, reader: Reader) -> None:
    """Read a whole stream at home and hand it over; its end is the response, or the error."""
    try:
        reply = await open_(reader)
        async with reply:
            while batch := await reply.batch():
                await handover.put(batch)
        handover.end(response_of(reply, respond))
    except Exception as error:  # noqa: BLE001 - it is raised to the reader
        handover.end(error)


def response_of(reply: Reply[Chunk, Answer], respond: Respond) -> GenerateResponse:
    """Make the response of a stream that ended well; one that was closed meanwhile did not."""
    outcome = reply.outcome
    if outcome is None or outcome.state != "completed":
        error = outcome.error if outcome is not None else None
        raise error or CallCancelled("the stream was closed before its end")
    return respond(reply)
