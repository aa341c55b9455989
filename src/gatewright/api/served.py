"""A server beside blocking code: in a thread of its own, for as long as a `with` block lasts."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Generator
from concurrent.futures import Future
from typing import Any

from gatewright.api.serve import running
from gatewright.gateway.gateway import LiteLLMGateway

__all__ = ["served"]


@contextlib.contextmanager
def served(gateway: LiteLLMGateway, host: str = "127.0.0.1", port: int = 0, **app_settings: Any) -> Generator[str]:
    """Serve `gateway` and give its base URL; port 0 takes a free one. The end of the block closes the gateway."""
    started: Future[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def run() -> None:
        over = asyncio.Event()
        async with running(gateway, host, port, **app_settings) as url:
            started.set_result((url, asyncio.get_running_loop(), over))
            await over.wait()

    def live() -> None:
        try:
            asyncio.run(run())
        except Exception as error:
            if started.done():
                raise
            started.set_exception(error)

    thread = threading.Thread(target=live, name="gatewright-served", daemon=True)
    thread.start()
    url, loop, over = started.result()
    try:
        yield url
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
