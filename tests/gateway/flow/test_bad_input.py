"""Bad input is a `ConfigurationError` that names the field, and nothing of the old configuration is changed."""

from __future__ import annotations

import math
from typing import Any

import pytest

from gatewright import GatewayConfig
from gatewright.errors import BadRequest, ConfigurationError, GatewayError, NotFound
from gatewright.layers.circuit_breaker.config import CircuitBreakerConfig
from gatewright.layers.rate_limiter import RateLimitConfig

OLD = RateLimitConfig(requests_per_minute=60, tokens_per_minute=600)

BAD_LIMITS = [
    (name, value)
    for name in ("requests_per_minute", "tokens_per_minute", "burst_size", "burst_tokens", "max_concurrent", "weight")
    for value in (0, -1, math.nan, math.inf, "many", True)
] + [
    ("burst_size", 0.5),
    *((name, 10**400) for name in ("burst_size", "burst_tokens", "max_concurrent", "max_queue_size")),
    ("queue_timeout", -1),
    ("queue_timeout", math.nan),
    ("queue_timeout", math.inf),
    ("max_queue_size", -1),
    ("weight", 1e-320),
    ("weight", 1e300),
    ("priority", 0.5),
    ("enable_queuing", "perhaps"),
    ("request_per_minute", 60),
]
BAD_BREAKERS = [
    ("failure_threshold", 0),
    ("failure_threshold", -5),
    ("success_threshold", 0),
    ("timeout", 0),
    ("timeout", True),
    ("timeout", -1),
    ("timeout", math.nan),
    ("failure_rate", 0),
    ("failure_rate", 1.5),
    ("window", math.nan),
    ("window", 1e-304),
    ("half_open_probes", 0),
    ("jitter", -0.1),
    ("threshold", 5),
]


@pytest.mark.parametrize(("name", "value"), BAD_LIMITS)
def test_a_limit_names_its_bad_field(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=rf"\b{name}\b"):
        RateLimitConfig(**{name: value})


@pytest.mark.parametrize(("name", "value"), BAD_LIMITS)
@pytest.mark.parametrize(
    "setting", ["rate_limit", "tenant_rate_limits.acme", "model_rate_limits.m", "key_rate_limits.k"]
)
def test_a_configuration_names_the_path_of_a_bad_limit(setting: str, name: str, value: Any) -> None:
    first, _, rest = setting.partition(".")
    limit: Any = {name: value}
    with pytest.raises(ConfigurationError, match=rf"\b{setting}\.{name}\b"):
        GatewayConfig(**{first: {rest: limit} if rest else limit})


@pytest.mark.parametrize(("name", "value"), BAD_BREAKERS)
def test_a_breaker_names_its_bad_field(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=rf"\b{name}\b"):
        CircuitBreakerConfig(**{name: value})
    with pytest.raises(ConfigurationError, match=rf"\bcircuit_breaker\.{name}\b"):
        GatewayConfig(circuit_breaker={name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "settings",
    [
        {"deduplication": {"window": -1}},
        {"deduplication": {"window": math.nan}},
        {"deduplication": {"max_temperature": -1}},
        {"batching": {"window": -0.1}},
        {"batching": {"window": math.nan}},
        {"health": {"window": 0}},
        {"health": {"degraded_below": 2}},
        {"health": {"minimum_calls": 0}},
    ],
)
def test_the_other_parts_name_theirs(settings: Any) -> None:
    ((part, inner),) = settings.items()
    (name,) = inner
    with pytest.raises(ConfigurationError, match=rf"\b{part}\.{name}\b"):
        GatewayConfig(**settings)


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"config": {"requests_per_minute": 5}}, "config"),
        ({"config": 5}, "config"),
        ({"config": CircuitBreakerConfig()}, "config"),
        ({"config": OLD, "tenant_id": ""}, "tenant_id"),
        ({"config": OLD, "tenant_id": 7}, "tenant_id"),
        ({"config": OLD, "tenant_id": ["a"]}, "tenant_id"),
        ({"config": OLD, "model": ""}, "model"),
        ({"config": OLD, "model": 7}, "model"),
        ({"config": OLD, "model": "no such model"}, "model"),
        ({"config": OLD, "tenant_id": "a", "model": "no such model"}, "model"),
        ({"config": OLD, "key_id": ""}, "key_id"),
        ({"config": OLD, "key_id": 7}, "key_id"),
        ({"config": OLD, "key_id": "k", "tenant_id": "a"}, "key_id"),
        ({"config": OLD, "key_id": "k", "model": "m"}, "key_id"),
        ({"config": None, "tenant_id": "nobody"}, "tenant_id"),
        ({"config": None, "tenant_id": "nobody", "model": "m"}, "tenant_id"),
        ({"config": None, "model": "m"}, "model"),
        ({"config": None, "key_id": "nobody"}, "key_id"),
    ],
)
async def test_a_refused_change_of_a_limit_changes_nothing(
    gateway_of: Any, upstream: Any, change: dict[str, Any], names: str
) -> None:
    async with gateway_of(upstream, rate_limit=OLD) as gateway:
        await gateway.generate_async("a")
        before = gateway.rate_limits()
        with pytest.raises(ConfigurationError, match=rf"\b{names}\b") as refused:
            gateway.configure_rate_limiting(**change)
        after = gateway.rate_limits()
    assert refused.value.param == names
    assert [(one.scope, one.request_burst, one.token_burst) for one in after] == [
        (one.scope, one.request_burst, one.token_burst) for one in before
    ]


async def test_what_pydantic_copied_without_a_look_is_looked_at(gateway_of: Any, upstream: Any) -> None:
    async with gateway_of(upstream, rate_limit=OLD) as gateway:
        await gateway.generate_async("a")
        with pytest.raises(ConfigurationError, match="requests_per_minute"):
            gateway.configure_rate_limiting(OLD.model_copy(update={"requests_per_minute": -5}))
        with pytest.raises(ConfigurationError, match="timeout"):
            gateway.configure_circuit_breaker(CircuitBreakerConfig.model_construct(timeout=math.nan))
        assert gateway.rate_limits()[0].request_burst == 60
        assert [one.state for one in gateway.circuit_breakers()] == ["closed"]


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"config": {"failure_threshold": 5}}, "config"),
        ({"config": None}, "config"),
        ({"config": RateLimitConfig()}, "config"),
        ({"config": CircuitBreakerConfig(), "provider": ""}, "provider"),
        ({"config": CircuitBreakerConfig(), "provider": 7}, "provider"),
        ({"config": CircuitBreakerConfig(), "provider": "openia"}, "provider"),
    ],
)
async def test_a_refused_change_of_a_breaker_switches_nothing_on(
    gateway_of: Any, upstream: Any, change: dict[str, Any], names: str
) -> None:
    async with gateway_of(upstream, circuit_breaker={"enabled": False}) as gateway:
        with pytest.raises(ConfigurationError, match=rf"\b{names}\b") as refused:
            gateway.configure_circuit_breaker(**change)
        assert refused.value.param == names
        await gateway.generate_async("a")
        assert gateway.circuit_breakers() == []


@pytest.mark.parametrize("setting", ["tenant_rate_limits", "model_rate_limits", "key_rate_limits"])
def test_a_configuration_with_a_limit_for_nobody(gateway_of: Any, upstream: Any, setting: str) -> None:
    with pytest.raises(ConfigurationError, match=setting):
        gateway_of(upstream, **{setting: {"": OLD}}).close()


def test_a_configuration_with_a_limit_for_a_model_that_there_is_not(gateway_of: Any, upstream: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"model_rate_limits\.mm"):
        gateway_of(upstream, model_rate_limits={"mm": OLD}).close()


async def test_an_aliass_limit_in_the_configuration_is_its_models(gateway_of: Any, upstream: Any) -> None:
    limits = {"model_rate_limits": {"other": OLD}, "aliases": {"other": "m"}}
    async with gateway_of(upstream, **limits) as gateway:
        await gateway.generate_async("a", model="other")
        assert [one.scope for one in gateway.rate_limits()] == ["model:m"]


@pytest.mark.parametrize("tenant", ["", 7, ["a"]])
async def test_a_call_of_a_tenant_that_cannot_be(gateway_of: Any, upstream: Any, tenant: Any) -> None:
    async with gateway_of(upstream, rate_limit=OLD) as gateway:
        with pytest.raises(BadRequest, match="tenant_id"):
            await gateway.generate_async("a", tenant_id=tenant)


async def test_a_call_of_the_tenant_called_star_is_no_wildcard(gateway_of: Any, upstream: Any) -> None:
    async with gateway_of(upstream, tenant_rate_limits={"a": OLD}) as gateway:
        await gateway.generate_async("a", tenant_id="*")
        assert gateway.rate_limits() == []


@pytest.mark.parametrize("name", ["", "no such"])
async def test_a_breaker_by_hand_of_nothing(gateway_of: Any, upstream: Any, name: str) -> None:
    async with gateway_of(upstream, circuit_breaker={}) as gateway:
        for act in (gateway.open_circuit_breaker, gateway.close_circuit_breaker, gateway.reset_circuit_breaker):
            with pytest.raises(NotFound, match="deployment"):
                act(name)
            with pytest.raises(NotFound, match="provider"):
                act(provider=name)
        assert (await gateway.generate_async("a")).text == "a"


async def test_what_is_closed_stays_readable(gateway_of: Any, upstream: Any) -> None:
    gateway = gateway_of(upstream, rate_limit=OLD, circuit_breaker={})
    await gateway.generate_async("a")
    await gateway.aclose()
    assert gateway.queue_status().length == 0
    assert len(gateway.rate_limits()) == 1
    assert len(gateway.circuit_breakers()) == 1
    with pytest.raises(GatewayError):
        await gateway.generate_async("b")
