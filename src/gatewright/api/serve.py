"""Serving: uvicorn, bound to an address that is known before it starts, and ended in a bounded time."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import math
import signal
import socket
import sys
from collections.abc import AsyncGenerator, Callable, Generator
from types import FrameType
from typing import Any

from gatewright.api.app import create_app
from gatewright.api.auth import check_exposure
from gatewright.api.listening import listen, url_of
from gatewright.api.sharing import check_sharing
from gatewright.errors import ConfigurationError, GatewayClosed, MissingExtra
from gatewright.gateway.gateway import LiteLLMGateway

try:
    import uvicorn
except ImportError as error:
    raise MissingExtra("the server", "server") from error

__all__ = ["DEFAULT_PORT", "Server", "running", "serve"]

DEFAULT_PORT = 4000
# Longer than clients and load balancers keep theirs (httpx 5 s, AWS 60 s): the one who closes first loses no request.
KEEP_ALIVE_SECONDS = 75
GRACE_SECONDS = 2.0
"""What is allowed beyond the gateway's `close_timeout` for connections to end."""


class Server(uvicorn.Server):
    """uvicorn that closes the gateway as it stops, so that calls under way end as `GatewayClosed` and not cancelled."""

    def __init__(self, gateway: LiteLLMGateway, *, freeze: bool, **app_settings: Any) -> None:
        if gateway.closed:
            raise GatewayClosed("the gateway is closed: make a new one to serve it")
        grace = math.ceil(gateway.config.close_timeout + GRACE_SECONDS)
        super().__init__(
            uvicorn.Config(
                create_app(gateway, **app_settings),
                lifespan="on",
                ws="none",
                access_log=False,
                log_config=None,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=grace,
            )
        )
        self._gateway = gateway
        self._freeze = freeze

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start; what was made until now is never looked at again by the garbage collector where `freeze`."""
        try:
            await super().startup(sockets)
        except SystemExit as error:  # it would take the whole process with it
            raise ConfigurationError("the server did not start; its log says why") from error
        if self._freeze:
            gc.collect()
            gc.freeze()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more connections, let calls end within `close_timeout`, and cut off the others."""
        closing = asyncio.create_task(self._gateway.aclose())
        await super().shutdown(sockets)
        if self.force_exit:
            closing.cancel()
        await asyncio.wait([closing])

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop at a first signal, at once at a second Ctrl+C; to end because one was asked to is no failure."""
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True


class _BackgroundServer(Server):
    """A server that leaves the process's signals alone."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


def _say(url: str) -> None:
    sys.stderr.write(f"gatewright is at {url}\n")
    sys.stderr.flush()


def serve(
    gateway: LiteLLMGateway,
    host: str = "127.0.0.1",
    port: int = DEFAULT_PORT,
    *,
    workers: int = 1,
    allow_open: bool = False,
    announce: Callable[[str], object] = _say,
    **app_settings: Any,
) -> str:
    """Serve until a signal ends it, and give the address that it was served at; port 0 takes a free one.

    `announce(url)` is called once the address is taken. Several `workers` are processes that share it, each with its
    own gateway of the same configuration. An address that others can reach needs a `master_key`, or `allow_open`.
    """
    check_exposure(gateway.config, host, allow_open=allow_open)
    if workers < 1:
        raise ConfigurationError(f"workers: expected at least 1, got {workers}", param="workers")
    if workers > 1:
        check_sharing(gateway.config)

    def run(listening: socket.socket) -> None:
        server = Server(gateway, freeze=True, allow_open=allow_open, **app_settings)
        server.run([listening])

    with listen(host, port) as listening:
        url = url_of(listening)
        announce(url)
        if workers == 1:
            run(listening)
        else:
            from gatewright.api.workers import run_workers

            run_workers(workers, lambda: run(listening))
    return url


@contextlib.asynccontextmanager
async def running(
    gateway: LiteLLMGateway,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    allow_open: bool = False,
    **app_settings: Any,
) -> AsyncGenerator[str]:
    """Serve `gateway` on the running event loop, in the background, and give its base URL; its end closes the gateway.

    OpenAI's clients want `/v1` behind it.
    """
    check_exposure(gateway.config, host, allow_open=allow_open)
    server = _BackgroundServer(gateway, freeze=False, allow_open=allow_open, **app_settings)
    with listen(host, port) as listening:
        serving = asyncio.create_task(server.serve([listening]))
        try:
            while not server.started and not serving.done():  # noqa: ASYNC110 - uvicorn has no event for it
                await asyncio.sleep(0.005)
            if serving.done():
                serving.result()
            yield url_of(listening)
        finally:
            server.should_exit = True
            await asyncio.wait([serving])
