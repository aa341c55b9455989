"""`gatewright demo`: a gateway with a real local model and a provider that fails, and what becomes of requests."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gatewright.cli.exits import Debug, reported
from gatewright.cli.output import console, show_warnings

if TYPE_CHECKING:
    from gatewright.gateway import GatewayConfig

__all__ = ["demo", "demo_config"]


@reported
def demo(
    once: Annotated[bool, typer.Option("--once", help="End after the requests instead of staying up.")] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 takes a free one.")] = 0,
    debug: Debug = False,
) -> None:
    """Start a gateway with a real local model and a simulated provider that sometimes fails; send it real requests.

    Needs no key and no network: `pip install "gatewright[server,local]"` brings the models.

    Example:

        gatewright demo --once
    """
    show_warnings()
    _need_models()
    asyncio.run(_run(once, port))


def demo_config() -> GatewayConfig:
    """Give the demo's configuration: two local models, and `unsteady`, whose provider is simulated and fails."""
    from gatewright.gateway import configure_gateway

    free = {"input_cost_per_token": 0.0, "output_cost_per_token": 0.0}
    unsteady: dict[str, Any] = {
        "model": "simulator/unsteady",
        "latency": 0.05,
        "text": "I am a simulated provider, and this time I did not fail.",
        "fail_first": 3,
        "failure_rate": 0.4,
        "errors": {"provider_unavailable": 2, "rate_limited": 1, "connection_failed": 1},
        "retry_after": 0.1,
        "seed": 8,
    }
    price = {"input_cost_per_token": 0.15e-6, "output_cost_per_token": 0.6e-6}
    return configure_gateway(
        model_list=[
            {"model_name": "smollm2", "litellm_params": {"model": "local/smollm2-135m"}, "model_info": free},
            {"model_name": "minilm", "litellm_params": {"model": "local/minilm-l6-v2"}, "model_info": free},
            {"model_name": "unsteady", "litellm_params": unsteady, "model_info": price},
        ],
        fallbacks={"unsteady": ["smollm2"]},
        retries={"base": 0.1},
        max_retries=2,
    )


def _need_models() -> None:
    """Say at once what is not installed, rather than with the first answer."""
    from gatewright.errors import MissingExtra
    from gatewright.providers.local.weights import find_embedding_model, find_gguf

    if find_spec("xllamacpp") is None or find_spec("onnxruntime") is None:
        raise MissingExtra("the demo's local model", "server,local")
    find_gguf()
    find_embedding_model()


async def _run(once: bool, port: int) -> None:
    from gatewright.api.serve import running
    from gatewright.cli.demo_scenes import play
    from gatewright.gateway import LiteLLMGateway

    gateway = LiteLLMGateway(demo_config())
    screen = console()
    async with running(gateway, port=port) as url:
        screen.print(f"The gateway is at [bold]{url}[/], with these models: {', '.join(gateway.models())}")
        await play(gateway, url, screen)
        if not once:
            screen.print(f"\nIt stays up at [bold]{url}[/] until Ctrl-C. For OpenAI's clients:")
            screen.print(f"  OpenAI(base_url=[green]'{url}/v1'[/], api_key=[green]'any'[/])", markup=True)
            await _until_stopped()
            screen.print("\nIt is down again.")


async def _until_stopped() -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    # Where signals cannot be handled on the loop, Ctrl-C ends the program as it ends any other.
    with contextlib.suppress(NotImplementedError):
        for sig in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(sig, stopped.set)
    await stopped.wait()
