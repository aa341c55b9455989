"""Feedback as a gateway has it."""

from __future__ import annotations

import asyncio
import gc
import inspect
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gatewright import GatewayConfig, LiteLLMGateway, create_gateway
from gatewright.errors import BadRequest, ConfigurationError, GatewayClosed
from gatewright.feedback import ALL_TENANTS, Feedback, FeedbackStatus, FeedbackType


@pytest.fixture
def made(tmp_path: Path) -> Callable[..., LiteLLMGateway]:
    def make(**settings: Any) -> LiteLLMGateway:
        settings.setdefault("feedback", {"callbacks": {"first_wait": 0.02, "poll_interval": 0.05}})
        return create_gateway(["simulator"], "simulator/small", data_dir=tmp_path, close_timeout=2.0, **settings)

    return make


def until(met: Callable[[], bool], seconds: float = 15.0) -> None:
    end = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)


def test_the_specifications_example(made: Callable[..., LiteLLMGateway]) -> None:
    gateway = made()
    feedback_id = gateway.record_feedback(
        query="How do I reset my password?",
        response="You can reset your password...",
        feedback_type=FeedbackType.CORRECTION,
        content="Actually, the process is different...",
        tenant_id="tenant1",
    )
    insights = gateway.feedback_loop.get_learning_insights(tenant_id="tenant1")
    print(f"Average rating: {insights['average_rating']}")
    print(f"Common corrections: {insights['common_corrections']}")
    assert gateway.feedback_loop.get_feedback(feedback_id).tenant_id == "tenant1"
    assert [one["text"] for one in insights["common_corrections"]] == ["Actually, the process is different..."]
    gateway.close()


def test_recording_has_the_documented_signature() -> None:
    names = ["self", "query", "response", "feedback_type", "content", "tenant_id"]
    for method in (LiteLLMGateway.record_feedback, LiteLLMGateway.record_feedback_async):
        assert list(inspect.signature(method).parameters)[:6] == names


async def test_everything_works_on_the_home_loop(made: Callable[..., LiteLLMGateway]) -> None:
    async with made() as gateway:
        loop = asyncio.get_running_loop()
        heard: list[tuple[str, bool]] = []

        async def told(feedback: Feedback) -> None:
            heard.append((feedback.id, asyncio.get_running_loop() is loop))

        gateway.feedback_loop.register_callback(FeedbackType.CORRECTION, told)
        first = gateway.record_feedback("q", "r", "correction", "x", "acme")
        second = await gateway.record_feedback_async("q", "r", "correction", "y", "acme")
        while len(heard) < 2:
            await asyncio.sleep(0.005)
        assert sorted(heard) == sorted([(first, True), (second, True)])
        assert (await gateway.feedback_loop.process_feedback_async(first)).status is FeedbackStatus.PROCESSED
        assert (await gateway.get_health())["stores"]["feedback"]["status"] == "healthy"


def test_an_asynchronous_callback_needs_no_loop_of_the_program(made: Callable[..., LiteLLMGateway]) -> None:
    heard: list[str] = []

    async def told(feedback: Feedback) -> None:
        await asyncio.sleep(0)
        heard.append(feedback.id)

    with made() as gateway:
        gateway.feedback_loop.register_callback("rating", told)
        id_ = gateway.record_feedback("q", "r", "rating", rating="up")
        until(lambda: heard == [id_])


def test_corrections_are_grouped_by_the_gateways_own_embedding_model(made: Callable[..., LiteLLMGateway]) -> None:
    with made(default_embedding_model="simulator/embedder") as gateway:
        gateway.record_feedback("q", "r", "correction", "x", "acme")
        grouping = gateway.feedback_loop.get_learning_insights("acme")["grouping"]
        assert (grouping["by"], grouping["model"]) == ("meaning", "simulator/embedder")
    with made(default_embedding_model="simulator/embedder", feedback={"group_by_meaning": False}) as gateway:
        assert gateway.feedback_loop.get_learning_insights("acme")["grouping"]["by"] == "words"
    with made() as gateway:
        assert gateway.feedback_loop.get_learning_insights("acme")["grouping"]["by"] == "words"


async def test_on_the_home_loop_itself_no_model_can_be_waited_for(made: Callable[..., LiteLLMGateway]) -> None:
    async with made(default_embedding_model="simulator/embedder") as gateway:
        gateway.record_feedback("q", "r", "correction", "x", "acme")
        blocking = gateway.feedback_loop.get_learning_insights("acme")["grouping"]
        assert (blocking["by"], "await get_learning_insights_async" in blocking["reason"]) == ("words", True)
        awaited = await gateway.feedback_loop.get_learning_insights_async("acme")
        assert awaited["grouping"]["by"] == "meaning"


def test_two_gateways_share_what_was_said(made: Callable[..., LiteLLMGateway]) -> None:
    with made() as one, made() as other:
        id_ = one.record_feedback("q", "r", "useful")
        assert [found.id for found in other.feedback_loop.list_feedback(ALL_TENANTS)] == [id_]


@pytest.mark.parametrize("used", [False, True])
def test_a_closed_gateway_takes_none(made: Callable[..., LiteLLMGateway], used: bool) -> None:
    gateway = made()
    if used:
        gateway.record_feedback("q", "r", "useful")
    gateway.close()
    with pytest.raises(GatewayClosed):
        gateway.record_feedback("q", "r", "useful")


def test_closing_waits_for_a_callback_that_is_under_way(made: Callable[..., LiteLLMGateway]) -> None:
    began = threading.Event()
    ended: list[str] = []

    async def slow(feedback: Feedback) -> None:
        began.set()
        await asyncio.sleep(0.3)
        ended.append(feedback.id)

    gateway = made()
    gateway.feedback_loop.register_callback("useful", slow)
    id_ = gateway.record_feedback("q", "r", "useful")
    assert began.wait(10)
    gateway.close()
    assert ended == [id_]
    with made() as later:
        assert later.feedback_loop.get_feedback(id_).status is FeedbackStatus.PROCESSED


def test_it_keeps_no_gateway_alive(made: Callable[..., LiteLLMGateway]) -> None:
    gateway = made()
    gateway.feedback_loop.register_callback("useful", lambda _: None)
    gateway.record_feedback("q", "r", "useful")
    gone = weakref.ref(gateway)
    before = {thread.name for thread in threading.enumerate()}
    assert "gatewright-feedback-callback" in before
    del gateway
    gc.collect()
    assert gone() is None
    until(lambda: "gatewright-feedback-callback" not in {thread.name for thread in threading.enumerate()})


def test_settings_are_checked() -> None:
    with pytest.raises(ConfigurationError, match=r"feedback\.similarity"):
        GatewayConfig(feedback={"similarity": 2})  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="did you mean callbacks"):
        GatewayConfig(feedback={"callback": {}})  # type: ignore[arg-type]


def test_feedback_is_linked_to_the_answer_just_given(made: Callable[..., LiteLLMGateway]) -> None:
    """Also where the answer's record is still in the journal, and would be for long."""
    with made(records={"interval": 30}) as gateway:
        response = gateway.generate("Hello", tenant_id="acme", tags=["prompt_version:v7"])
        id_ = gateway.record_feedback("Hello", response.text, "rating", "5", "acme", operation_id=response.request_id)
        found = gateway.feedback_loop.get_feedback(id_)
        assert (found.operation, found.prompt_version, found.model) == ("linked", "v7", response.model)
        with pytest.raises(BadRequest, match="operation_id"):
            gateway.record_feedback("Hello", "x", "rating", "5", "globex", operation_id=response.request_id)


async def test_it_is_linked_on_the_home_loop_too(made: Callable[..., LiteLLMGateway]) -> None:
    async with made(records={"interval": 30}) as gateway:
        loop = gateway.feedback_loop
        for record in (gateway.record_feedback_async, None):
            response = await gateway.generate_async("Hello")
            said: tuple[Any, ...] = ("Hello", response.text, "useful", "", None, response.request_id)
            id_ = gateway.record_feedback(*said) if record is None else await record(*said)
            assert (await loop.get_feedback_async(id_)).operation == "linked"


def test_where_nothing_is_recorded_no_operation_is_refused(made: Callable[..., LiteLLMGateway]) -> None:
    with made(record_operations=False) as gateway:
        response = gateway.generate("Hello")
        id_ = gateway.record_feedback("Hello", response.text, "useful", operation_id=response.request_id)
        assert gateway.feedback_loop.get_feedback(id_).operation == "unknown"
