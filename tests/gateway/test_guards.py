"""Guards in a gateway: the specification's example, the cache, every way of asking."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from src.core.validation import ValidationLevel, ValidationManager
from tests.gateway.specification import example, run

from gatewright import GatewayConfig, LiteLLMGateway, create_gateway
from gatewright.errors import ConfigurationError, InputRejected, ValidationFailed
from gatewright.pipeline.events import GuardTripped
from gatewright.testing import ScriptedProvider

MAIL = "bob@corp.com"
KEY = "AKIAY3LPQ7RT5UVW2XZ4"


def gateway_of(*script: Any, **settings: Any) -> tuple[LiteLLMGateway, ScriptedProvider]:
    provider = ScriptedProvider(script)
    config = GatewayConfig(providers=["scripted"], default_model="scripted/m", **settings)
    return LiteLLMGateway(config=config, providers={"scripted": lambda *_: provider}), provider


async def test_the_specification() -> None:
    names: dict[str, Any] = {"GatewayConfig": GatewayConfig, "LiteLLMGateway": LiteLLMGateway}
    await run(example("Validation/Guardrails Framework"), names)
    async with names["gateway"] as gateway:
        assert isinstance(gateway.validation_manager, ValidationManager)
        assert names["guardrail"].level is ValidationLevel.STRICT
        assert names["guardrail"].validate("Incident_id 5").is_valid
        assert names["guardrail"].validate("x").errors == ["validator.1: Missing incident_id in response"]


async def test_validation_is_off_unless_it_is_asked_for() -> None:
    gateway, _ = gateway_of(f"{MAIL} {KEY}")
    async with gateway:
        assert (await gateway.generate_async("x")).text == f"{MAIL} {KEY}"
        with pytest.raises(ConfigurationError, match="enable_validation"):
            _ = gateway.validation_manager


async def test_whole_answers_streams_and_events() -> None:
    gateway, _ = gateway_of(f"write {MAIL}", ["write ", "bob@", "corp.com"], f"it is {KEY}", enable_validation=True)
    seen: list[Any] = []
    async with gateway:
        gateway.subscribe(lambda event: seen.append(event) if isinstance(event, GuardTripped) else None)
        answer = await gateway.generate_async("x")
        assert (answer.text, answer.warnings) == (
            "write <EMAIL_1>",
            ["pii.email: an e-mail address in choices[0].text"],
        )
        assert answer.raw_response is None
        stream = gateway.generate_stream("x")
        assert "".join([text async for text in stream]) == "write <EMAIL_1>"
        assert stream.response.warnings == answer.warnings
        with pytest.raises(ValidationFailed) as caught:
            await gateway.generate_async("y")
    assert caught.value.text == "it is <SECRET_1>"
    assert [(event.rule, event.action) for event in seen] == [
        ("pii.email", "redact"),
        ("pii.email", "redact"),
        ("secrets.aws-access-token", "block"),
    ]


def test_blocking_callers_get_the_same() -> None:
    gateway, _ = gateway_of(["a ", KEY, " b"], enable_validation=True)
    with gateway, pytest.raises(ValidationFailed):
        list(gateway.generate_stream("x"))


async def test_the_way_in() -> None:
    way_in = {"name": "in", "on": ["input"], "use": ["secrets", "pii"]}
    gateway, provider = gateway_of("fine", validation={"guardrails": [way_in]})
    async with gateway:
        answer = await gateway.generate_async(f"I am {MAIL}")
        assert provider.calls[0].generation.messages[0]["content"] == "I am <EMAIL_1>"
        assert answer.warnings == ["pii.email: an e-mail address in messages[0].content"]
        with pytest.raises(InputRejected):
            await gateway.generate_async(f"my key is {KEY}")
        with pytest.raises(InputRejected):
            await gateway.embed_async([f"my key is {KEY}"])


async def test_an_answer_is_kept_by_the_guards_that_it_passed() -> None:
    gateway, provider = gateway_of("see bluebird", "see bluebird", enable_validation=True, enable_caching=True)
    async with gateway:
        assert (await gateway.generate_async("x")).text == "see bluebird"
        assert (await gateway.generate_async("x")).cached
        gateway.validation_manager.get_guardrail().add_blocked_pattern("bluebird", severity="low")
        answer = await gateway.generate_async("x")
        assert (answer.text, answer.cached) == ("see <REDACTED_1>", False)
        again = await gateway.generate_async("x")
        assert (again.text, again.cached, again.warnings) == (answer.text, True, answer.warnings)
    assert len(provider.calls) == 2


async def test_guardrails_by_tenant() -> None:
    desk = {"name": "desk", "tenants": ["acme"], "blocked_patterns": ["blue"]}
    gateway, _ = gateway_of("blue", "blue", validation={"guardrails": [desk]})
    async with gateway:
        assert (await gateway.generate_async("x", tenant_id="other")).text == "blue"
        with pytest.raises(ValidationFailed):
            await gateway.generate_async("x", tenant_id="acme")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"validation_level": "harsh"}, "validation_level: expected"),
        ({"validation": {"guardrails": [{"name": "g", "use": ["pie"]}]}}, "validation.guardrails[0].use[0]: there are"),
        ({"validation": {"guardrails": [{"name": "g", "blocked_patterns": ["("]}]}}, "blocked_patterns[0].pattern"),
        ({"validation": {"gardrails": []}}, "validation.gardrails: there is no such setting"),
    ],
)
def test_what_is_wrong_is_named_when_the_gateway_is_made(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        create_gateway(providers=["simulator"], **settings)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("level: harsh", "5: validation.guardrails[0].level: expected"),
        ("use: [pie]", "5: validation.guardrails[0].use[0]: there are no rules 'pie'"),
        ("blocked_patterns: ['(']", "5: validation.guardrails[0].blocked_patterns[0].pattern: pattern '('"),
    ],
)
def test_in_a_file_it_is_named_by_its_line(tmp_path: Path, line: str, told: str) -> None:
    path = tmp_path / "gatewright.yaml"
    path.write_text(f"providers: [simulator]\nvalidation:\n  guardrails:\n    - name: g\n      {line}\n")
    with pytest.raises(ConfigurationError) as caught:
        LiteLLMGateway(config=GatewayConfig.from_yaml(path))
    assert f"{path}:{told}" in str(caught.value)
