"""A really running server on a thread of its own, and the official `openai` clients to it."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator

import openai
import pytest

from gatewright import GatewayConfig, LiteLLMGateway
from gatewright.api.serve import running

KEY = "the-server-key"
FAILURES = (
    "authentication",
    "bad_request",
    "connection_failed",
    "content_policy_violation",
    "context_window_exceeded",
    "invalid_provider_response",
    "not_found",
    "permission_denied",
    "provider_timeout",
    "provider_unavailable",
    "rate_limited",
)


def simulated(name: str, **settings: object) -> dict[str, object]:
    return {"model_name": name, "litellm_params": {"model": f"simulator/{name}", **settings}}


def config() -> GatewayConfig:
    failing = [
        simulated(f"fails-{kind}", failure_rate=1, errors={kind: 1}, retry_after=0.02, seed=1) for kind in FAILURES
    ]
    return GatewayConfig(
        model_list=[
            simulated("small", input_cost_per_token=0.001, output_cost_per_token=0.002),
            simulated("paced", tokens_per_second=2000, output_tokens=50),
            simulated("slow", latency=30),
            simulated("breaking", stream_failure_rate=1, output_tokens=20, seed=3),
            simulated("limited-once", fail_first=1, errors={"rate_limited": 1}, retry_after=0.05),
            simulated("down-once", fail_first=1),
            simulated("vectors", dimensions=8),
            *failing,
        ],
        aliases={"alias": "small"},
        default_model="small",
        master_key=KEY,
        max_retries=0,
        close_timeout=1,
    )


def serve_until(ended: threading.Event, started: threading.Event, urls: list[str]) -> None:
    async def main() -> None:
        async with running(LiteLLMGateway(config())) as url:
            urls.append(url)
            started.set()
            await asyncio.to_thread(ended.wait)

    asyncio.run(main())


@pytest.fixture(scope="session")
def url() -> Iterator[str]:
    ended, started, urls = threading.Event(), threading.Event(), list[str]()
    thread = threading.Thread(target=serve_until, args=(ended, started, urls))
    thread.start()
    assert started.wait(30)
    yield urls[0]
    ended.set()
    thread.join()


@pytest.fixture
def client(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0) as made:
        yield made


@pytest.fixture
async def async_client(url: str) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0) as made:
        yield made
