"""A server under load that is killed again and again: who got an answer has a record, and has it once."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import itertools
import os
import random
import signal
import sys
from pathlib import Path

import aiohttp
import pytest
import sqlalchemy as sa
from tests.servers.ports import free_port

from gatewright.llmops.records import Records
from gatewright.storage.sql import schema
from gatewright.storage.sql.database import Database

SERVER = Path(__file__).with_name("records_server.py")
KILLS = 30
CLIENTS = 8


class Answers:
    """What the clients of one server were answered: the ids of whole answers, streams and vectors."""

    def __init__(self, port: int) -> None:
        self.ids: list[str] = []
        self.kinds: collections.Counter[str] = collections.Counter()
        self._url = f"http://127.0.0.1:{port}/v1"
        self._numbers = itertools.count()

    async def go_on(self) -> None:
        """Ask one question after the other, whatever becomes of the server."""
        async with aiohttp.ClientSession() as session:
            while True:
                try:
                    await self._ask(session, next(self._numbers))
                except (aiohttp.ClientError, ConnectionError):
                    await asyncio.sleep(0.01)

    async def _ask(self, session: aiohttp.ClientSession, number: int) -> None:
        kind = ("whole", "stream", "vectors")[number % 3]
        if kind == "vectors":
            path, body = "embeddings", {"model": "m", "input": [f"text {number}"]}
        else:
            messages = [{"role": "user", "content": f"question {number}"}]
            path, body = "chat/completions", {"model": "m", "messages": messages, "stream": kind == "stream"}
        headers = {"x-gatewright-tenant": f"tenant-{number % 5}"}
        async with session.post(f"{self._url}/{path}", json=body, headers=headers) as response:
            text = await response.text()
            assert response.status == 200, text
            assert kind != "stream" or text.endswith("data: [DONE]\n\n")
            self.ids.append(response.headers["x-request-id"])
            self.kinds[kind] += 1


async def next_server(output: asyncio.StreamReader) -> int:
    async with asyncio.timeout(20):
        return int(await output.readline())


@pytest.mark.timeout(180)
async def test_every_answer_has_one_record_after_thirty_kills(tmp_path: Path) -> None:
    rng = random.Random(30)
    port = free_port()
    answers = Answers(port)
    arguments = [str(SERVER), str(port), str(tmp_path)]
    launcher = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=asyncio.subprocess.PIPE)
    assert launcher.stdout is not None
    clients: list[asyncio.Task[None]] = []
    serving = 0
    try:
        for kill in range(KILLS):
            serving = await next_server(launcher.stdout)
            clients = clients or [asyncio.create_task(answers.go_on()) for _ in range(CLIENTS)]
            await asyncio.sleep(rng.uniform(0.05, 0.6))
            if kill == KILLS - 1:  # nobody is in the middle of an answer when the last one dies
                for client in clients:
                    client.cancel()
                await asyncio.wait(clients)
                launcher.kill()
            os.kill(serving, signal.SIGKILL)
    finally:
        for process in (launcher.pid, serving):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        await launcher.wait()
    failures = [client.exception() for client in clients if not client.cancelled()]
    assert failures == []
    assert len(answers.kinds) == 3
    assert len(answers.ids) > 10 * KILLS
    _check(tmp_path, answers.ids)


def _check(directory: Path, answered: list[str]) -> None:
    records = Records.of(directory)
    assert records.flush(30)
    status = records.status()
    records.release()
    assert (status["backlog_bytes"], status["rejected"], status["dropped"]) == (0, 0, 0)
    database = Database(directory / "records.sqlite")
    with database.reading() as connection:
        stored = collections.Counter(
            "req_" + row[0].hex() for row in connection.execute(sa.select(schema.operations.c.id))
        )
        counted = connection.execute(sa.select(sa.func.sum(schema.rollups["hour"].c.calls))).scalar()
    database.close()
    assert len(set(answered)) == len(answered)
    assert [id_ for id_ in answered if stored[id_] != 1] == []
    assert set(stored.values()) == {1}
    assert counted == len(stored)
