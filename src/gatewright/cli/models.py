"""`gatewright models`: what can be asked, how much it takes and what it costs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from gatewright.cli.exits import Debug, reported
from gatewright.cli.gateways import ConfigPath, read_config
from gatewright.cli.output import complain, on_terminal, print_json, print_table

if TYPE_CHECKING:
    from gatewright.gateway import GatewayConfig
    from gatewright.types.usage import Price

__all__ = ["models", "per_million"]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One model; tokens, and US dollars for a million of them; None where it is not known."""

    model: str
    provider: str
    mode: str | None = None
    max_input_tokens: int | None = None
    max_output_tokens: int | None = None
    input_cost_per_million: float | None = None
    output_cost_per_million: float | None = None
    asks: str | None = None


@reported
def models(
    name: Annotated[str, typer.Argument(help="Only models whose name has this in it.")] = "",
    provider: Annotated[str | None, typer.Option("--provider", "-p", help="Only models of this provider.")] = None,
    mode: Annotated[str | None, typer.Option(help="Only models for this: chat, embedding, rerank …")] = None,
    configured: Annotated[
        bool, typer.Option("--configured", help="The names of the configuration's model list instead.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON a model.")] = False,
    config: ConfigPath = None,
    debug: Debug = False,
) -> None:
    """List models with their context windows and prices.

    Prices are US dollars for a million tokens, from the catalogue that comes with Gatewright.

    Examples:

        gatewright models gpt-4o --provider openai

        gatewright models --configured --config config.yaml
    """
    rows = _configured(read_config(config)) if configured or config is not None else _known()
    found = [row for row in rows if _fits(row, name, provider, mode)]
    if as_json:
        for row in found:
            print_json(row)
        return
    titles = ["model", "provider", "for", "context", "answer", "$/M in", "$/M out"]
    asked = any(row.asks for row in found)
    print_table(
        [*titles, "asks"] if asked else titles,
        [[*_cells(row), row.asks or ""] if asked else _cells(row) for row in found],
        numbers=(3, 4, 5, 6),
    )
    if not found:
        complain("warning", "no model is like that" + _providers_hint(provider))
    elif on_terminal() and len(found) > 100:
        complain("note", f"{len(found)} models; a part of a name, --provider or --mode makes it fewer")


def _fits(row: Row, name: str, provider: str | None, mode: str | None) -> bool:
    named = name.lower() in row.model.lower() or name.lower() in (row.asks or "").lower()
    return named and provider in (None, row.provider) and mode in (None, row.mode)


def _known() -> Iterator[Row]:
    from gatewright.llmops.pricing import catalogue
    from gatewright.providers.local.provider import MODELS

    for model, mode in MODELS.items():
        yield Row(model=f"local/{model}", provider="local", mode=mode)
    for entry in catalogue().models():
        row = _row(entry.model, entry.provider, entry.price, entry.mode)
        limits = {"max_input_tokens": entry.max_input_tokens, "max_output_tokens": entry.max_output_tokens}
        yield msgspec.structs.replace(row, **limits)


def _configured(config: GatewayConfig) -> Iterator[Row]:
    from gatewright.configuration.deployments import Deployments

    for deployment in Deployments(config).listed():
        mode = deployment.price.mode if deployment.price is not None else None
        row = _row(deployment.group, deployment.provider, deployment.price, mode)
        yield msgspec.structs.replace(row, asks=f"{deployment.provider}/{deployment.model}")
    for alias, target in config.aliases.items():
        yield Row(model=alias, provider="", asks=target)


def _row(model: str, provider: str, price: Price | None, mode: str | None) -> Row:
    if price is None:
        return Row(model=model, provider=provider, mode=mode)
    return Row(
        model=model,
        provider=provider,
        mode=mode,
        max_input_tokens=price.max_input_tokens,
        max_output_tokens=price.max_output_tokens,
        input_cost_per_million=round(price.input_cost_per_token * 1e6, 6),
        output_cost_per_million=round(price.output_cost_per_token * 1e6, 6),
    )


def _cells(row: Row) -> list[str]:
    return [
        row.model,
        row.provider,
        row.mode or "",
        _tokens(row.max_input_tokens),
        _tokens(row.max_output_tokens),
        per_million(row.input_cost_per_million),
        per_million(row.output_cost_per_million),
    ]


def _tokens(number: int | None) -> str:
    if number is None:
        return ""
    return f"{number:,}" if on_terminal() else str(number)


def per_million(dollars: float | None) -> str:
    """Write a price: at least two decimals, and as many as it takes."""
    if dollars is None:
        return ""
    text = f"{dollars:.6f}".rstrip("0")
    return text + "0" * max(0, 2 - len(text.partition(".")[2]))


def _providers_hint(provider: str | None) -> str:
    from gatewright.llmops.pricing import catalogue
    from gatewright.types.configuration import nearest

    near = nearest(provider, sorted(catalogue().providers())) if provider else None
    return f"; did you mean --provider {near}?" if near and near != provider else ""
