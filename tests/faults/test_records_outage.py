"""PostgreSQL goes away under load: no call fails, and afterwards every record is there once."""

from __future__ import annotations

import asyncio
import collections
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.servers.postgres import PostgresServer

from gatewright import GatewayConfig, LiteLLMGateway

# A minute is what is promised; that it is a longer wait of the same kind is shown when it is asked for.
OUTAGE_SECONDS = float(os.environ.get("OUTAGE_SECONDS", "8"))
RATE = 200


def _gateway(directory: Path, url: str, **records: Any) -> LiteLLMGateway:
    return LiteLLMGateway(
        GatewayConfig(
            model_list=[{"model_name": "m", "litellm_params": {"model": "simulator/m"}}],  # type: ignore[list-item]
            default_model="m",
            data_dir=directory,
            database_url=url,  # type: ignore[arg-type]
            records={"interval": 0.1, **records},  # type: ignore[arg-type]
        )
    )


async def _load(gateway: LiteLLMGateway, over: asyncio.Event) -> tuple[list[str], list[BaseException]]:
    answered: list[str] = []
    failed: list[BaseException] = []

    async def one(number: int) -> None:
        try:
            answered.append((await gateway.generate_async(f"{number}", tenant_id=f"t{number % 9}")).request_id)
        except Exception as error:
            failed.append(error)

    async with asyncio.TaskGroup() as calls:
        number, began = 0, time.monotonic()
        while not over.is_set():
            while number < (time.monotonic() - began) * RATE:
                calls.create_task(one(number))
                number += 1
            await asyncio.sleep(0.01)
    return answered, failed


@pytest.mark.timeout(OUTAGE_SECONDS + 100)
@pytest.mark.parametrize("way", ["stop", "kill", "pause"])
async def test_an_outage_fails_no_call_and_loses_no_record(
    way: str, postgres_server: PostgresServer, tmp_path: Path
) -> None:
    gateway, over = _gateway(tmp_path, postgres_server.url), asyncio.Event()
    load = asyncio.create_task(_load(gateway, over))
    await asyncio.sleep(2)
    assert (await gateway.get_health())["stores"]["records"]["status"] == "healthy"
    await asyncio.to_thread(getattr(postgres_server, way))
    await asyncio.sleep(OUTAGE_SECONDS if way == "stop" else 4)
    outage = (await gateway.get_health())["stores"]["records"]
    await asyncio.to_thread(postgres_server.go_on if way == "pause" else postgres_server.start)
    await asyncio.sleep(3)
    over.set()
    answered, failed = await load
    records = gateway._assembly.recording.records
    assert records is not None
    await _until(lambda: records.flush(5), 40)
    health = (await gateway.get_health())["stores"]["records"]
    await gateway.aclose()
    assert failed == []
    if way != "pause":  # a server that is silent is not known to be gone so soon
        assert outage["status"] == "unhealthy"
    assert (health["status"], health["backlog_bytes"], health["dropped"], health["rejected"]) == ("healthy", 0, 0, 0)
    rows = postgres_server.ask("SELECT encode(id, 'hex') FROM operations")
    stored = collections.Counter(f"req_{row[0]}" for row in rows)
    assert stored == dict.fromkeys(answered, 1)
    assert postgres_server.ask("SELECT sum(calls) FROM rollups_hour") == [(len(answered),)]


async def _until(met: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not await asyncio.to_thread(met):
        assert time.monotonic() < end, "it did not happen"
        await asyncio.sleep(0.1)
