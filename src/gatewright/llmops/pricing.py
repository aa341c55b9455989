"""What models cost and how much they take: the catalogue that comes with the package.

The catalogue is made by `scripts/update_prices.py` from the price map of the litellm release in the lock file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files

import msgspec

from gatewright.types.usage import Price

__all__ = ["CatalogueEntry", "PriceCatalogue", "catalogue"]


class Record(msgspec.Struct, array_like=True, frozen=True, kw_only=True):
    """One model, as the file has it; its price is read when it is asked for."""

    provider: str
    mode: str
    max_input_tokens: int | None = None
    max_output_tokens: int | None = None
    price: msgspec.Raw = msgspec.Raw()


class Table(msgspec.Struct, frozen=True):
    """The file: where it comes from, and the models by litellm's names for them."""

    source: str
    models: dict[str, Record]


class CatalogueEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A model of the catalogue; `price` is None where it is not sold by the token."""

    model: str
    provider: str
    mode: str
    max_input_tokens: int | None
    max_output_tokens: int | None
    price: Price | None


class PriceCatalogue:
    """Knows what models cost, by provider and model."""

    def __init__(self, table: Table) -> None:
        self._models = table.models
        self._providers: frozenset[str] | None = None
        self.source = table.source

    @classmethod
    def load(cls) -> PriceCatalogue:
        """Read the file that comes with the package (a few milliseconds)."""
        content = files("gatewright.llmops").joinpath("prices.json").read_bytes()
        return cls(msgspec.json.decode(content, type=Table))

    def find(self, provider: str | None, model: str) -> Price | None:
        """Give the price of `model` at `provider`; None where it is not known or not sold by the token.

        Without a provider `model` is as litellm writes it, such as `gpt-4o`, `openai/gpt-4o`, `azure/gpt-4o`.
        """
        if provider is None and model not in self._models and "/" in model:
            provider, _, model = model.partition("/")
        for name in _names(provider, model):
            record = self._models.get(name)
            if record is not None and (provider is None or _sells(record, provider, name)):
                return _price(record)
        return None

    def owner(self, model: str) -> str | None:
        """Give the provider whose model goes by this name alone."""
        record = self._models.get(model)
        return None if record is None else record.provider.removeprefix("text-completion-")

    def providers(self) -> frozenset[str]:
        """Give the providers that it knows, by litellm's names."""
        if self._providers is None:
            self._providers = frozenset(record.provider for record in self._models.values())
        return self._providers

    def models(self, provider: str | None = None) -> Iterator[CatalogueEntry]:
        """Give every model, or those of one provider, by name."""
        for name in sorted(self._models):
            record = self._models[name]
            if provider is None or _sells(record, provider, name):
                yield CatalogueEntry(
                    model=name,
                    provider=record.provider,
                    mode=record.mode,
                    max_input_tokens=record.max_input_tokens,
                    max_output_tokens=record.max_output_tokens,
                    price=_price(record),
                )


@cache
def catalogue() -> PriceCatalogue:
    """Give the package's catalogue, read when first asked for; two first askers at once may both read it."""
    return PriceCatalogue.load()


_REGION = re.compile(r"^(?:us|eu|apac|jp|au|ca|global|us-gov)\.")
_ROUTE = re.compile(r"^(?:converse|converse_like|invoke|[a-z]{2}(?:-gov)?-[a-z]+-\d)/")


def _names(provider: str | None, model: str) -> Iterator[str]:
    """Give the names under which the map may have `model`, the most exact first."""
    bare = model.removeprefix(f"{provider}/") if provider else model
    if bare.startswith("ft:"):
        bare = ":".join(bare.split(":")[:2])  # ft:model:organisation:suffix:id
    if provider:
        yield f"{provider}/{bare}"
    yield bare
    if provider == "bedrock":
        plain = _ROUTE.sub("", bare)
        yield plain
        yield _REGION.sub("", plain)


# litellm splits some providers by the kind of model or of interface.
_PARTS = {
    "azure": ("azure_text",),
    "bedrock": ("bedrock_converse",),
    "cohere": ("cohere_chat",),
}


def _sells(record: Record, provider: str, name: str) -> bool:
    return (
        record.provider == provider
        or name.startswith(f"{provider}/")
        or record.provider.startswith(f"{provider}-")
        or record.provider == f"text-completion-{provider}"
        or record.provider in _PARTS.get(provider, ())
    )


def _price(record: Record) -> Price | None:
    if not bytes(record.price):
        return None
    return msgspec.structs.replace(
        _decoder.decode(record.price),
        mode=record.mode,
        max_input_tokens=record.max_input_tokens,
        max_output_tokens=record.max_output_tokens,
    )


_decoder = msgspec.json.Decoder(Price)
