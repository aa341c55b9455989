"""The commands, put together."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from gatewright.cli.chat import chat
from gatewright.cli.check_config import check_config
from gatewright.cli.costs import costs
from gatewright.cli.demo import demo
from gatewright.cli.embed import embed
from gatewright.cli.exits import EPILOG, Debug
from gatewright.cli.export import export
from gatewright.cli.feedback import feedback
from gatewright.cli.generate import generate
from gatewright.cli.guard import guard
from gatewright.cli.models import models
from gatewright.cli.serve import serve
from gatewright.cli.stats import stats

__all__ = ["app"]

HELP = (
    "One gateway to every large language model: in a program, in the shell, or over HTTP.\n\n"
    "The configuration comes from --config FILE or $GATEWRIGHT_CONFIG, under GATEWRIGHT_… variables; "
    "keys come from each provider's own variables, such as OPENAI_API_KEY."
)

app = typer.Typer(
    name="gatewright",
    epilog=EPILOG,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        from gatewright import __version__

        sys.stdout.write(f"gatewright {__version__}\n")
        raise typer.Exit


@app.callback(help=HELP)
def gatewright(
    version: Annotated[
        bool, typer.Option("--version", "-V", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
    debug: Debug = False,
) -> None:
    """One gateway to every large language model: in a program, in the shell, or over HTTP."""


for command, summary in (
    (serve, "Serve the gateway over HTTP, for OpenAI's clients."),
    (demo, "Start a gateway with a real local model and show what it does."),
    (chat, "Chat with a model in the terminal."),
    (generate, "Answer a prompt: stdin or arguments in, text out."),
    (embed, "Give texts their vectors."),
    (models, "List models with context windows and prices."),
    (stats, "Show how it went: operations, errors, latencies, tokens, costs."),
    (costs, "Show what it costs, by model, tenant or provider, and what is to be expected."),
    (export, "Write what was recorded to a Parquet, CSV or JSON lines file."),
    (check_config, "Say what a configuration file means, and what is wrong with it."),
):
    app.command(command.__name__.replace("_", "-"), short_help=summary, epilog=EPILOG)(command)

app.add_typer(guard, name="guard", help="Rule packs: list, show, check, and test them on cases.", epilog=EPILOG)
app.add_typer(feedback, name="feedback", help="Feedback: list, count, learn from, and export it.", epilog=EPILOG)
