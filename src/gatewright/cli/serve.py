"""`gatewright serve`: the gateway over HTTP."""

from __future__ import annotations

import logging
import sys
from enum import StrEnum
from typing import Annotated

import typer

from gatewright.cli.exits import Debug, reported
from gatewright.cli.gateways import ConfigPath, open_gateway
from gatewright.cli.output import console

__all__ = ["serve"]


class LogLevel(StrEnum):
    """How much is logged to stderr."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@reported
def serve(
    config: ConfigPath = None,
    host: Annotated[str, typer.Option(envvar="GATEWRIGHT_HOST", help="The address to serve at.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(envvar="GATEWRIGHT_PORT", min=0, max=65535, help="The port; 0 takes a free one.")
    ] = 4000,
    workers: Annotated[int, typer.Option(min=1, help="Processes that share the address.")] = 1,
    allow_open: Annotated[
        bool, typer.Option("--allow-open", help="Serve other machines although there is no master_key.")
    ] = False,
    log_level: Annotated[
        LogLevel, typer.Option(envvar="GATEWRIGHT_LOG_LEVEL", help="How much is logged to stderr.")
    ] = LogLevel.INFO,
    debug: Debug = False,
) -> None:
    """Serve OpenAI's routes: chat completions, completions, embeddings, models; and the health.

    Ctrl-C stops it: calls under way may end first, a second Ctrl-C cuts them off.

    Examples:

        gatewright serve --config config.yaml

        gatewright serve --host 0.0.0.0 --port 8080 --workers 4
    """
    from gatewright.api.serve import serve as serve_gateway

    gateway = open_gateway(config)
    _log(log_level)
    serve_gateway(gateway, host, port, workers=workers, allow_open=allow_open, announce=_announce)


def _announce(url: str) -> None:
    console(stderr=True).print(f"gatewright is at [bold]{url}[/], for OpenAI's clients {url}/v1 (Ctrl-C ends it)")


def _log(level: LogLevel) -> None:
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s", force=True)
    logging.getLogger("gatewright").handlers.clear()
    logging.getLogger("gatewright").propagate = True
    logging.getLogger("gatewright").setLevel(level.upper())
    # What uvicorn calls information is the same at every start.
    logging.getLogger("uvicorn").setLevel("WARNING" if level is LogLevel.INFO else level.upper())
