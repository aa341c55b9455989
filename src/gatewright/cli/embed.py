"""`gatewright embed`: texts in, vectors out."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from gatewright.cli.exits import Debug, reported
from gatewright.cli.gateways import ConfigPath, ModelName, choose_model, open_gateway
from gatewright.cli.output import print_json, print_table, printable

__all__ = ["embed"]


@reported
def embed(
    texts: Annotated[
        list[str] | None, typer.Argument(help="The texts; without any, or for `-`, each line of stdin is one.")
    ] = None,
    model: ModelName = None,
    dimensions: Annotated[
        int | None, typer.Option(min=1, help="The vectors' length, where the model lets choose.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON a text, with its whole vector.")] = False,
    config: ConfigPath = None,
    debug: Debug = False,
) -> None:
    """Give each text a vector of length 1.

    Without --json the vectors' beginnings are shown, and how near each text is to the first.

    Examples:

        gatewright embed -m openai/text-embedding-3-small "a cat" "a kitten" "a car"

        gatewright embed -m local/minilm-l6-v2 --json < titles.txt > vectors.jsonl
    """
    given = _texts(texts or ["-"])
    params: dict[str, Any] = {} if dimensions is None else {"dimensions": dimensions}
    with open_gateway(config) as gateway:
        response = gateway.embed(given, model=choose_model(gateway, model, "embeddings"), **params)
    if as_json:
        for index, (text, vector) in enumerate(zip(given, response.embeddings, strict=True)):
            print_json({"index": index, "text": text, "model": response.model, "embedding": list(vector)})
        return
    first = response.embeddings[0]
    rows = [
        (_short(text), str(len(vector)), _beginning(vector), f"{_product(first, vector):.3f}")
        for text, vector in zip(given, response.embeddings, strict=True)
    ]
    print_table(("text", "dimensions", "begins", "like the first"), rows, numbers=(1, 3))


def _texts(words: list[str]) -> list[str]:
    from gatewright.errors import BadRequest

    if words == ["-"] and sys.stdin.isatty():
        raise BadRequest("give texts, or pipe them in, one a line", param="texts")
    texts: list[str] = []
    for word in words:
        texts += sys.stdin.buffer.read().decode("utf-8", "replace").splitlines() if word == "-" else [word]
    texts = [text for text in texts if text.strip()]
    if not texts:
        raise BadRequest("there is no text to embed", param="texts")
    return texts


def _short(text: str) -> str:
    text = printable(" ".join(text.split()))
    return text if len(text) <= 40 else text[:39] + "…"


def _product(one: Sequence[float], other: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


def _beginning(vector: Sequence[float]) -> str:
    return " ".join(f"{part:+.3f}" for part in vector[:3]) + (" …" if len(vector) > 3 else "")
