"""What it costs to be admitted through Redis: round trips, and the CPU of this process.

Beside it stands a round trip of as many bytes that does nothing else, by an `asyncio.Protocol` on the same event loop
to the same Redis: what the system and the loop take of it. What is ours is the rest.
"""

from __future__ import annotations

import asyncio
import gc
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.report import Row, microseconds

ABOUT = "admissions through a real Redis, reserve + settle; CPU of this process, beside a bare round trip's"
LIMIT = 60.0
LIMITS = {"requests_per_minute": 1e9, "tokens_per_minute": 1e12}


def run(quick: bool) -> Iterator[Row]:
    """Admit one after another, and many at once."""
    count, rounds = (500, 3) if quick else (4_000, 9)
    with _redis() as port, asyncio.Runner() as runner:
        for what, scopes, more, judged in (
            ("one limit", 1, {}, True),
            ("four limits", 4, {}, True),
            ("four limits, each with calls at once", 4, {"max_concurrent": 1_000_000}, False),
        ):
            found = runner.run(_measure(port, scopes, {**LIMITS, **more}, count, rounds))
            yield Row(
                f"{what}: round trips an admission", f"{found['trips']:.3f}", must="1", ok=found["trips"] <= 1.001,
                numbers=found,
            )  # fmt: skip
            for when, key in (("one after another", "alone"), ("50 at once", "at_once")):
                more = statistics.median(a - b for a, b in zip(found[key], found[f"bare_{key}"], strict=True))
                yield Row(
                    f"  CPU, {when}", microseconds(found[key]), f"bare {microseconds(found[f'bare_{key}'])}",
                    f"+{more:,.1f} µs", f"<= +{LIMIT:g} µs" if judged else "", more <= LIMIT if judged else None,
                )  # fmt: skip


async def _measure(port: int, scopes: int, config: dict[str, Any], count: int, rounds: int) -> dict[str, Any]:
    from gatewright.layers.rate_limiter import RateLimitConfig, RateLimiter
    from gatewright.layers.rate_limiter.permit import Claim
    from gatewright.layers.rate_limiter.shared import SharedLedger
    from gatewright.storage.redis import RedisStore

    store = RedisStore(f"redis://127.0.0.1:{port}/0", namespace=f"of-{scopes}-{len(config)}", patience=5.0)
    limiter = RateLimiter(shared=SharedLedger(store))
    names = (("global", ""), ("tenant", "acme"), ("model", "m"), ("key", "k"))
    for scope, name in names[:scopes]:
        limiter.configure(scope, name, RateLimitConfig(**config))  # type: ignore[arg-type]
    claim = Claim(call_id="c", tokens=300, tenant="acme", model="m", key="k")

    async def admit(number: int) -> None:
        for _ in range(number):
            (await limiter.admit(claim)).settle(80)

    _, bare = await asyncio.get_running_loop().create_connection(_Bare, "127.0.0.1", port)
    await admit(10)
    spent: dict[str, Any] = {name: [] for name in ("alone", "at_once", "bare_alone", "bare_at_once")}
    _ask(port, "CONFIG RESETSTAT")
    each = count // 50
    for _ in range(rounds):
        for kind, work in (("", admit), ("bare_", bare.round_trips)):
            spent[f"{kind}alone"].append(await _cpu(work(count), count))
            spent[f"{kind}at_once"].append(await _cpu(asyncio.gather(*(work(each) for _ in range(50))), each * 50))
    trips = _evals(port) / (rounds * (count + each * 50))
    bare.close()
    await limiter.aclose()
    await store.aclose()
    return {**spent, "trips": trips}


class _Bare(asyncio.Protocol):
    """Sends what an admission sends, roughly, and waits for as much as it gets."""

    ASKED = b"*2\r\n$4\r\nECHO\r\n$300\r\n" + b"x" * 300 + b"\r\n"
    ANSWERED = len(b"$300\r\n") + 300 + len(b"\r\n")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._came = 0

    def data_received(self, data: bytes) -> None:
        self._came += len(data)
        while self._came >= self.ANSWERED:
            self._came -= self.ANSWERED
            self._waiting.popleft().set_result(None)

    async def round_trips(self, number: int) -> None:
        """Make so many, one after another."""
        for _ in range(number):
            answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(answered)
            self._transport.write(self.ASKED)
            await answered

    def close(self) -> None:
        """Hang up."""
        self._transport.close()


async def _cpu(work: Any, count: int) -> float:
    gc.collect()
    began = time.process_time()
    await work
    return (time.process_time() - began) / count * 1e6


def _evals(port: int) -> int:
    for line in _ask(port, "INFO commandstats").decode().splitlines():
        if line.startswith("cmdstat_evalsha:"):
            return int(line.split("calls=")[1].split(",")[0])
    return 0


def _ask(port: int, command: str) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=2.0) as connection:
        connection.sendall(command.encode() + b"\r\n")
        return connection.recv(1 << 20)


@contextmanager
def _redis() -> Iterator[int]:
    program = shutil.which("redis-server")
    if program is None:
        raise RuntimeError("it needs redis-server: apt-get install redis-server")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as directory:
        command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", directory]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            _wait_for(port)
            yield port
        finally:
            process.kill()
            process.wait()


def _wait_for(port: int) -> None:
    until = time.monotonic() + 10.0
    while True:
        try:
            _ask(port, "PING")
            return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)
