"""A Redis that may be slow or gone: nobody waits for it for long, and it is back as soon as it answers."""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time
from collections.abc import Callable, Sequence
from typing import Any, Literal

import msgspec

from gatewright.errors import ConfigurationError
from gatewright.redaction import redact
from gatewright.storage.errors import StoreUnavailable
from gatewright.storage.redis.address import RedisAddress
from gatewright.storage.redis.connection import RedisConnection, Unanswered
from gatewright.storage.redis.opening import open_connection
from gatewright.storage.redis.resp import ErrorReply, encode
from gatewright.storage.redis.script import Script

__all__ = ["RedisStore", "StoreStatus"]

log = logging.getLogger("gatewright.redis")

PATIENCE = 0.09
"""Seconds; whoever falls back on something else then has decided within 100 ms."""
OPENING_PATIENCE = 0.75
FIRST_RETRY, LONGEST_RETRY = 0.1, 1.0
STEADY = 5.0
"""Seconds after which one that came back is taken to stay: if it fails before, the outage was not over."""

OnReply = Callable[[Any], None]


class StoreStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How a store is: `unused` until it is asked first. `degraded_for` is seconds, `outages` how often it was gone."""

    state: Literal["unused", "opening", "healthy", "degraded"]
    where: str
    degraded_for: float | None
    last_error: str | None
    outages: int


class RedisStore:
    """Runs scripts over one connection; lives on the loop that asks it first, until it is closed or abandoned.

    Once it fails, whoever asks is told so at once, and it is tried again in the background. All keys have the same
    hash tag, the `namespace`, so that they are on one node of a cluster and one script can touch any of them.
    """

    def __init__(
        self,
        address: RedisAddress | str,
        *,
        namespace: str = "gatewright",
        scripts: Sequence[Script] = (),
        patience: float = PATIENCE,
    ) -> None:
        self.address = RedisAddress.parse(address) if isinstance(address, str) else address
        if namespace.startswith("}"):
            # There would be no hash tag: in a cluster the keys of one script would be on several nodes.
            raise ConfigurationError("redis_namespace: expected a name that begins otherwise", param="redis_namespace")
        self._prefix = b"{" + namespace.encode() + b"}:"
        self._scripts = list(scripts)
        self._patience = patience
        self._state: Literal["unused", "opening", "healthy", "degraded"] = "unused"
        self._connection: RedisConnection | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._backlog: list[tuple[bytes, OnReply]] = []
        self._watch: asyncio.TimerHandle | None = None
        self._pause = 0.0
        self._returned_at = -math.inf
        self._degraded_since = 0.0
        self._last_error: str | None = None
        self._outages = 0
        self._on_return: list[Callable[[], None]] = []

    def __repr__(self) -> str:
        return f"<RedisStore {self.address.where} {self._state}>"

    @property
    def is_degraded(self) -> bool:
        """Whether it is of no use at present."""
        return self._state == "degraded"

    def use(self, *scripts: Script, on_return: Callable[[], None] | None = None) -> None:
        """Announce scripts, to be loaded with every connection, and who wants to hear when it has come back."""
        self._scripts += scripts
        if on_return is not None:
            self._on_return.append(on_return)

    def key(self, name: str) -> bytes:
        """Give the full key of a name; any text is one, half a character too."""
        return self._prefix + name.encode("utf-8", "surrogatepass")

    def run(self, script: Script, keys: Sequence[bytes], args: Sequence[bytes], on_reply: OnReply) -> None:
        """Run a script; `on_reply` gets its reply, or `StoreUnavailable`, within `patience`, once and for certain."""

        def answered(reply: Any) -> None:
            if not isinstance(reply, ErrorReply):
                on_reply(reply)
            elif reply.code == "NOSCRIPT":
                self._submit(script.call_in_full(keys, args), lambda reply: self._checked(reply, on_reply))
            else:
                self._checked(reply, on_reply)

        self._submit(script.call(keys, args), answered)

    async def open(self) -> None:
        """Connect now, not at the first question; a failure shows in the status only."""
        self._begin()
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=OPENING_PATIENCE)

    async def ask(self, *words: bytes) -> Any:
        """Run one command and give its reply, or `StoreUnavailable`, within `patience`."""
        answered: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def give(reply: Any) -> None:
            if not answered.done():
                answered.set_result(reply)

        def on_reply(reply: Any) -> None:
            # A server that is full refuses what would be one value more, and answers everything else.
            full = isinstance(reply, ErrorReply) and reply.code == "OOM"
            give(reply) if full else self._checked(reply, give)

        self._submit(encode(*words), on_reply)
        reply = await answered
        if isinstance(reply, ErrorReply):
            raise StoreUnavailable(f"Redis answered {reply.code}", upstream_code=reply.code)
        if isinstance(reply, StoreUnavailable):
            raise reply
        return reply

    async def check(self) -> None:
        """Raise `StoreUnavailable` where it does not answer now; its `reason` is why it is not used."""
        try:
            await self.ask(b"PING")
        except StoreUnavailable as error:
            error.reason = self._last_error
            raise

    def status(self) -> StoreStatus:
        """Say how it is."""
        degraded = self._state == "degraded"
        return StoreStatus(
            state=self._state,
            where=self.address.where,
            degraded_for=time.monotonic() - self._degraded_since if degraded else None,
            last_error=self._last_error,
            outages=self._outages,
        )

    async def aclose(self) -> None:
        """Close the connection; it is opened anew when it is asked again."""
        task, connection = self._task, self._connection
        self._reset()
        if task is not None:
            task.cancel()
            await asyncio.wait({task})
        if connection is not None:
            connection.on_end = None
            connection.end(StoreUnavailable("Redis: the store was closed"))
            await connection.gone

    def abandon(self) -> None:
        """Let go without the loop, which is closed or belongs to the process's parent."""
        connection = self._connection
        self._reset()
        if connection is not None:
            connection.let_go()

    def _reset(self) -> None:
        backlog, self._backlog = self._backlog, []
        if self._watch is not None:
            self._watch.cancel()
        self._watch = self._task = self._connection = self._loop = None
        self._state = "unused"
        for _, on_reply in backlog:
            on_reply(StoreUnavailable("Redis: the store was closed"))

    def _submit(self, command: bytes, on_reply: OnReply) -> None:
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._begin()
        if self._state == "healthy" and self._connection is not None:
            self._connection.send(command, on_reply)
        elif self._state == "opening":
            self._backlog.append((command, on_reply))
        else:
            on_reply(StoreUnavailable("Redis does not answer at present"))
            return
        if self._watch is None:
            self._watch = loop.call_later(self._patience, self._look)

    def _begin(self) -> None:
        loop = asyncio.get_running_loop()
        if self._loop is loop:
            return
        if self._loop is not None:
            self.abandon()
        self._loop = loop
        self._state = "opening"
        self._pause, self._returned_at = 0.0, -math.inf
        self._task = loop.create_task(self._open_until_it_works())

    async def _open_until_it_works(self) -> None:
        while True:
            await asyncio.sleep(self._pause * (0.5 + random.random() / 2))
            self._pause = min(LONGEST_RETRY, max(FIRST_RETRY, 2 * self._pause))
            try:
                async with asyncio.timeout(OPENING_PATIENCE):
                    connection = await open_connection(self.address, self.key("opening"), self._scripts)
            except TimeoutError:
                self._degrade(StoreUnavailable("Redis: it is too slow to be opened"))
            except StoreUnavailable as error:
                self._degrade(error)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is tried again
                self._degrade(StoreUnavailable(f"Redis: it cannot be opened: {type(error).__name__}"))
            else:
                self._opened(connection)
                return

    def _opened(self, connection: RedisConnection) -> None:
        returned = self._state == "degraded"
        self._task, self._connection, self._state = None, connection, "healthy"
        connection.on_end = self._degrade
        backlog, self._backlog = self._backlog, []
        for command, on_reply in backlog:
            connection.send(command, on_reply)
        if returned:
            self._returned_at = time.monotonic()
            for on_return in self._on_return:
                on_return()

    def _look(self) -> None:
        """End what has waited too long; a reply that is there already was handed over before."""
        self._watch = None
        loop, connection = asyncio.get_running_loop(), self._connection
        if connection is None:
            if self._state == "opening":
                self._degrade(StoreUnavailable("Redis: it is too slow to be opened"))
            return
        since = connection.asked_first
        if since is None:
            return
        left = since + self._patience - loop.time()
        if left > 0.0:
            self._watch = loop.call_later(left, self._look)
        else:
            connection.end(Unanswered(f"Redis did not answer within {self._patience * 1000:.0f} ms"))

    def _degrade(self, error: StoreUnavailable) -> None:
        self._last_error = redact(error.message, self.address.password, self.address.sentinel_password)
        if self._state != "degraded":
            self._state = "degraded"
            now = time.monotonic()
            # One that can be opened and then refuses, being full, is neither tried all the time nor told of each time.
            if now - self._returned_at > STEADY:
                log.warning("Redis at %s is not used for now: %s", self.address.where, self._last_error)
                self._degraded_since = now
                self._outages += 1
                self._pause = FIRST_RETRY
        self._connection = None
        if self._task is None and self._loop is not None:
            self._task = self._loop.create_task(self._open_until_it_works())
        backlog, self._backlog = self._backlog, []
        for _, on_reply in backlog:
            on_reply(StoreUnavailable(error.message))  # whatever the error says, it was never asked this

    def _checked(self, reply: Any, on_reply: OnReply) -> None:
        """Take an error for what it is: this server is not to be asked for the moment."""
        if isinstance(reply, ErrorReply):
            reply = StoreUnavailable(f"Redis answered {reply.code}", upstream_code=reply.code)
            if self._connection is not None:
                self._connection.end(reply)
        on_reply(reply)
