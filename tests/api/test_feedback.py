"""The routes of feedback, in raw HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

SAID = {"query": "How?", "response": "So.", "feedback_type": "correction", "content": "Not so."}
ACME = {"x-gatewright-tenant": "acme"}
GLOBEX = {"x-gatewright-tenant": "globex"}


@pytest.fixture
async def feedback(serving: Any, tmp_path: Path) -> AsyncIterator[aiohttp.ClientSession]:
    async with serving(data_dir=tmp_path) as session:
        yield session


async def asked(
    http: aiohttp.ClientSession, method: str, path: str, headers: dict[str, str] = ACME, **more: Any
) -> tuple[int, dict[str, Any]]:
    async with http.request(method, path, headers=headers, **more) as response:
        return response.status, await response.json()


async def test_from_saying_to_learning(feedback: aiohttp.ClientSession) -> None:
    status, said = await asked(feedback, "POST", "/v1/feedback", json=SAID)
    assert status == 200
    rated = {"query": "q", "response": "r", "feedback_type": "rating", "rating": 4, "metadata": {"model": "m"}}
    assert (await asked(feedback, "POST", "/v1/feedback", json=rated))[0] == 200
    _, found = await asked(feedback, "GET", f"/v1/feedback/{said['id']}")
    assert (found["content"], found["status"], found["tenant_id"], found["deliveries"]) == (
        "Not so.",
        "pending",
        "acme",
        [],
    )
    _, insights = await asked(feedback, "GET", "/v1/feedback/insights?time_range_hours=1&limit=5")
    assert insights["average_rating"] == 4.0
    assert [one["text"] for one in insights["common_corrections"]] == ["Not so."]
    _, stats = await asked(feedback, "GET", "/v1/feedback/stats")
    assert stats["by_type"]["correction"] == 1
    _, done = await asked(feedback, "POST", f"/v1/feedback/{said['id']}/process")
    assert done["status"] == "processed"
    _, done = await asked(feedback, "POST", f"/v1/feedback/{said['id']}/apply")
    assert done["status"] == "applied"
    status, told = await asked(feedback, "POST", f"/v1/feedback/{said['id']}/ignore")
    assert (status, told["error"]["code"], told["error"]["param"]) == (409, "feedback_conflict", "status")
    _, page = await asked(feedback, "GET", "/v1/feedback?feedback_type=correction&status=applied&limit=1")
    assert ([one["id"] for one in page["data"]], page["has_more"]) == ([said["id"]], True)
    _, rest = await asked(feedback, "GET", f"/v1/feedback?status=applied&limit=1&after={said['id']}")
    assert (rest["data"], rest["has_more"]) == ([], False)
    _, gone = await asked(feedback, "DELETE", f"/v1/feedback/{said['id']}")
    assert gone == {"id": said["id"], "object": "feedback", "deleted": True}
    assert (await asked(feedback, "GET", f"/v1/feedback/{said['id']}"))[0] == 404


async def test_tenants_never_meet(feedback: aiohttp.ClientSession) -> None:
    _, said = await asked(feedback, "POST", "/v1/feedback", json=SAID)
    path = f"/v1/feedback/{said['id']}"
    for headers in (GLOBEX, {}):
        for method, there in (("GET", path), ("DELETE", path), ("POST", path + "/apply"), ("POST", path + "/process")):
            assert (await asked(feedback, method, there, headers))[0] == 404
        assert (await asked(feedback, "GET", "/v1/feedback", headers))[1]["data"] == []
        assert (await asked(feedback, "GET", "/v1/feedback/insights", headers))[1]["total_feedback"] == 0
        assert (await asked(feedback, "GET", "/v1/feedback/stats", headers))[1]["total_feedback"] == 0
    assert (await asked(feedback, "GET", path))[1]["status"] == "pending"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "query"),
        ({**SAID, "feedback_type": "praise"}, "feedback_type"),
        ({**SAID, "content": None}, "content"),
        ({**SAID, "content": 7}, "content"),
        ({**SAID, "rating": True}, "rating"),
        ({**SAID, "tenant_id": "globex"}, "tenant_id"),
        ({**SAID, "operation_id": "req_0"}, "operation_id"),
        ({**SAID, "metadata": []}, "metadata"),
        ({**SAID, "query": "a\0"}, "query"),
    ],
)
async def test_what_is_wrong_is_named(feedback: aiohttp.ClientSession, body: Any, field: str) -> None:
    status, told = await asked(feedback, "POST", "/v1/feedback", json=body)
    assert (status, told["error"]["param"]) == (400, field)
    assert (await asked(feedback, "GET", "/v1/feedback/stats"))[1]["total_feedback"] == 0


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/v1/feedback?limit=0", "limit"),
        ("/v1/feedback?limit=x", "limit"),
        ("/v1/feedback?nope=1", "nope"),
        ("/v1/feedback?since=yesterday", "since"),
        ("/v1/feedback?since=2026-01-01", "since"),
        ("/v1/feedback?after=fb_1", "after"),
        ("/v1/feedback/insights?time_range_hours=0", "time_range_hours"),
        ("/v1/feedback/insights?time_range_hours=nan", "time_range_hours"),
        ("/v1/feedback/insights?period_hours=x", "period_hours"),
        ("/v1/feedback/stats?time_range_hours=-1", "time_range_hours"),
    ],
)
async def test_a_wrong_parameter_is_named(feedback: aiohttp.ClientSession, path: str, field: str) -> None:
    status, told = await asked(feedback, "GET", path)
    assert (status, told["error"]["param"]) == (400, field)


async def test_it_needs_the_key(serving: Any, tmp_path: Path) -> None:
    async with serving(data_dir=tmp_path, master_key="secret-1") as http:
        for method, path in (("POST", "/v1/feedback"), ("GET", "/v1/feedback"), ("GET", "/v1/feedback/insights")):
            assert (await asked(http, method, path, {}))[0] == 401
        assert (await asked(http, "GET", "/v1/feedback", {"authorization": "Bearer secret-1"}))[0] == 200
