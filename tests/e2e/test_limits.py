"""Limits as the official client meets them: what it is refused with, when it may come back, how it waits."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai
import pytest

from gatewright import GatewayConfig, LiteLLMGateway
from gatewright.api.served import served

MODELS = [{"model_name": "m", "litellm_params": {"model": "simulator/m"}}]
HELLO: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 5}


def gateway(**settings: Any) -> LiteLLMGateway:
    # The same is asked again and again: each is to be a call of its own.
    settings = {"deduplication": {"enabled": False}, "close_timeout": 0.2, **settings}
    return LiteLLMGateway(GatewayConfig(model_list=MODELS, **settings))  # type: ignore[arg-type]


def client_of(url: str, tenant: str = "acme", retries: int = 0) -> openai.OpenAI:
    return openai.OpenAI(
        base_url=f"{url}/v1", api_key="none", max_retries=retries, default_headers={"x-gatewright-tenant": tenant}
    )


def refused(client: openai.OpenAI, stream: bool = False) -> openai.RateLimitError:
    with pytest.raises(openai.RateLimitError) as error:
        client.chat.completions.create(**HELLO, stream=stream)
    return error.value


AT_ONCE = {"requests_per_minute": 60, "burst_size": 1, "enable_queuing": False}


@pytest.mark.parametrize("stream", [False, True])
def test_a_refusal_is_openais_and_says_when_to_come_back(stream: bool) -> None:
    with served(gateway(tenant_rate_limits={"acme": AT_ONCE})) as url, client_of(url) as client:
        client.chat.completions.create(**HELLO)
        error = refused(client, stream)
        assert (error.status_code, error.code, error.type) == (429, "rate_limit_exceeded", "rate_limit_error")
        assert "tenant:acme" in error.message
        assert error.response.headers["x-gatewright-error"] == "rate_limited"
        wait = int(error.response.headers["retry-after-ms"]) / 1000
        assert error.response.headers["retry-after"] == "1"
        assert 0 < wait <= 1
        # Another tenant has a limit of its own, and this one is welcome at the time it was told.
        with client_of(url, "other") as other:
            other.chat.completions.create(**HELLO)
        time.sleep(wait)
        client.chat.completions.create(**HELLO)
        refused(client)


def test_the_clients_own_retry_comes_back_in_time() -> None:
    with served(gateway(tenant_rate_limits={"acme": AT_ONCE})) as url, client_of(url, retries=1) as client:
        for _ in range(3):
            client.chat.completions.create(**HELLO)


def test_who_may_wait_waits() -> None:
    limit = {"requests_per_minute": 1200, "burst_size": 1}
    with served(gateway(rate_limit=limit)) as url, client_of(url) as client, ThreadPoolExecutor(10) as threads:
        began = time.monotonic()
        answers = list(threads.map(lambda _: client.chat.completions.create(**HELLO), range(10)))
        assert all(answer.choices for answer in answers)
        # The first at once, the others 50 ms after each other.
        assert time.monotonic() - began >= 9 * 0.05 - 0.01


def test_a_full_queue_and_a_wait_that_is_too_long_are_refused() -> None:
    limit = {"requests_per_minute": 6, "burst_size": 1, "queue_timeout": 0.2, "max_queue_size": 1}
    with served(gateway(rate_limit=limit)) as url, client_of(url) as client:
        client.chat.completions.create(**HELLO)
        began = time.monotonic()
        error = refused(client)
        assert time.monotonic() - began < 5
        assert 5 < int(error.response.headers["retry-after"]) <= 10


def test_tokens_are_limited_too() -> None:
    limit = {"tokens_per_minute": 6000, "burst_tokens": 60, "enable_queuing": False}
    with served(gateway(rate_limit=limit)) as url, client_of(url) as client:
        used = client.chat.completions.create(**HELLO).usage
        assert used is not None
        large = {**HELLO, "max_tokens": 50}
        with pytest.raises(openai.RateLimitError) as error:
            for _ in range(5):
                client.chat.completions.create(**large)
        time.sleep(int(error.value.response.headers["retry-after-ms"]) / 1000)
        client.chat.completions.create(**large)
