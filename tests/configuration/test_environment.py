from __future__ import annotations

import logging
from pathlib import Path

import pytest

from gatewright import GatewayConfig
from gatewright.errors import ConfigurationError


def test_settings() -> None:
    config = GatewayConfig.from_env(
        {
            "GATEWRIGHT_TIMEOUT": "30",
            "GATEWRIGHT_PROVIDERS": "openai, anthropic",
            "GATEWRIGHT_DROP_PARAMS": "true",
            "GATEWRIGHT_DEFAULT_MODEL": "openai/gpt-4o",
            "GATEWRIGHT_HTTP__CONNECT_TIMEOUT": "1.5",
            "GATEWRIGHT_HTTP__CHUNK_TIMEOUT": "none",
            "GATEWRIGHT_API_KEYS__OPENAI": "12345",
            "GATEWRIGHT_FALLBACKS": "{a: [b, c]}",
            "GATEWRIGHT_MASTER_KEY": "sk-mine",
        }
    )
    assert (config.timeout, config.drop_params, config.default_model) == (30.0, True, "openai/gpt-4o")
    assert config.providers == ["openai", "anthropic"]
    assert (config.http.connect_timeout, config.http.chunk_timeout) == (1.5, None)
    assert config.api_keys["openai"].get_secret_value() == "12345"
    assert config.fallbacks == {"a": ["b", "c"]}
    assert config.master_key is not None


def test_a_part_that_may_be_missing_is_a_map_or_has_variables_of_its_own() -> None:
    config = GatewayConfig.from_env({"GATEWRIGHT_RATE_LIMIT": "{requests_per_minute: 5, burst_size: 2}"})
    again = GatewayConfig.from_env(
        {"GATEWRIGHT_RATE_LIMIT__REQUESTS_PER_MINUTE": "5", "GATEWRIGHT_RATE_LIMIT__BURST_SIZE": "2"}
    )
    assert config.rate_limit is not None
    assert config.rate_limit.requests_per_minute == 5
    assert config.rate_limit == again.rate_limit


@pytest.mark.parametrize(
    "text",
    [
        '[{"model_name": "a", "litellm_params": {"model": "openai/x"}}]',
        "- model_name: a\n  litellm_params:\n    model: openai/x\n",
    ],
)
def test_a_model_list_is_json_or_yaml(text: str) -> None:
    config = GatewayConfig.from_env({"GATEWRIGHT_MODEL_LIST": text})
    assert config.model_list[0].litellm_params.model == "openai/x"
    assert config.providers == []


def test_the_providers_are_those_with_a_key_and_those_that_need_none() -> None:
    providers = GatewayConfig.from_env({"GROQ_API_KEY": "x", "HF_TOKEN": "y"}).providers
    assert {"groq", "huggingface", "local", "simulator", "ollama"} <= set(providers)
    assert "openai" not in providers


def test_without_any_key_every_provider_can_be_asked() -> None:
    assert GatewayConfig.from_env({}) == GatewayConfig()


def test_it_is_over_the_file_that_it_names(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("timeout: 5\nmax_retries: 4\nhttp: {connect_timeout: 2, chunk_timeout: 3}")
    environ = {"GATEWRIGHT_CONFIG": str(path), "GATEWRIGHT_TIMEOUT": "9", "GATEWRIGHT_HTTP__CHUNK_TIMEOUT": "8"}
    config = GatewayConfig.from_env(environ)
    assert (config.timeout, config.max_retries) == (9.0, 4)
    assert (config.http.connect_timeout, config.http.chunk_timeout) == (2.0, 8.0)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("GATEWRIGHT_TIMEOT", "; did you mean GATEWRIGHT_TIMEOUT?"),
        ("GATEWRIGHT_HTTP__CONNECT_TIMEOT", "; did you mean GATEWRIGHT_HTTP__CONNECT_TIMEOUT?"),
        ("GATEWRIGHT_XYZZY", ""),
    ],
)
def test_a_variable_that_is_no_setting_is_warned_of(caplog: pytest.LogCaptureFixture, name: str, meant: str) -> None:
    with caplog.at_level(logging.WARNING, "gatewright.config"):
        assert GatewayConfig.from_env({name: "3"}) == GatewayConfig()
    assert caplog.messages == [f"{name} is not a setting{meant}"]


@pytest.mark.parametrize("name", ["GATEWRIGHT_HOST", "GATEWRIGHT_PORT", "GATEWRIGHT_LOG_LEVEL", "GATEWRIGHT_DEBUG"])
def test_the_commands_own_variables_are_not(caplog: pytest.LogCaptureFixture, name: str) -> None:
    GatewayConfig.from_env({name: "3"})
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("GATEWRIGHT_TIMEOUT", "soon", "expected a valid number, unable to parse string as a number, got 'soon'"),
        ("GATEWRIGHT_MAX_RETRIES", "-1", "expected greater than or equal to 0, got '-1'"),
        ("GATEWRIGHT_HTTP__CONNECT_TIMEOUT", "x", "expected a valid number"),
        ("GATEWRIGHT_RATE_LIMIT", "5", "expected a valid dictionary"),
        ("GATEWRIGHT_HTTP", "5", "expected a valid dictionary"),
        ("GATEWRIGHT_ROUTING_STRATEGY", "best", "expected 'weighted-shuffle'"),
        ("GATEWRIGHT_MASTER_KEY", "os.environ/NOT_SET", "expected the variable NOT_SET to be set"),
    ],
)
def test_a_wrong_value_names_its_variable(name: str, text: str, says: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        GatewayConfig.from_env({name: text})
    assert str(raised.value).startswith(f"environment: {name}: {says}")


def test_what_is_wrong_in_the_file_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("router_settings: {num_retries: many}")
    with pytest.raises(ConfigurationError) as raised:
        GatewayConfig.from_env({"GATEWRIGHT_CONFIG": str(path)})
    assert str(raised.value).startswith(f"{path}: router_settings.num_retries: expected a valid integer")


def test_what_is_no_yaml_is_told_without_its_text() -> None:
    with pytest.raises(ConfigurationError) as raised:
        GatewayConfig.from_env({"GATEWRIGHT_API_KEYS": "{openai: zq9-secret"})
    assert str(raised.value).startswith("environment: GATEWRIGHT_API_KEYS is not YAML: ")
    assert "zq9" not in str(raised.value)
