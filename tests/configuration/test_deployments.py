from __future__ import annotations

from typing import Any

import pytest

from gatewright import GatewayConfig
from gatewright.configuration.deployments import Deployments, split_model
from gatewright.errors import ConfigurationError
from gatewright.types.deployment import Deployment


def deployed(environ: dict[str, str] | None = None, **params: Any) -> Deployment:
    config = GatewayConfig(model_list=[{"model_name": "a", "litellm_params": params}])
    (deployment,) = Deployments(config, environ or {}).listed()
    return deployment


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("openai/gpt-4o", ("openai", "gpt-4o")),
        ("gpt-4o", ("openai", "gpt-4o")),
        ("together/meta-llama/Llama-3", ("together_ai", "meta-llama/Llama-3")),
        ("bedrock/anthropic.claude-v2", ("bedrock", "anthropic.claude-v2")),
    ],
)
def test_whose_a_model_is(name: str, split: tuple[str, str]) -> None:
    assert split_model(name) == split


def test_whose_a_model_is_may_not_be_clear() -> None:
    with pytest.raises(ConfigurationError, match="did you mean openai/x"):
        split_model("opnai/x")


def test_what_is_sent_and_what_says_where() -> None:
    deployment = deployed(
        model="azure/x",
        api_base="https://x.example.com",
        api_version="2024-10-21",
        azure_ad_token="t",
        temperature=0.1,
        tags=["free"],
        max_retries=4,
        input_cost_per_token=0.5,
    )
    assert deployment.params == {"temperature": 0.1}
    assert set(deployment.settings) == {"api_version", "azure_ad_token"}
    assert deployment.price is not None
    assert deployment.price.input_cost_per_token == 0.5


def test_a_local_model_can_be_given_parameters_too() -> None:
    deployment = deployed(model="local/smollm2-135m", threads=2, max_tokens=5, seed=3)
    assert (deployment.settings, deployment.params) == ({"threads": 2}, {"max_tokens": 5, "seed": 3})


def test_the_simulators_seed_is_its_own() -> None:
    deployment = deployed(model="simulator/x", seed=3, dimensions=8, latency=1, max_tokens=5)
    assert deployment.settings == {"seed": 3, "dimensions": 8, "latency": 1}
    assert deployment.params == {"max_tokens": 5}


def test_references_are_resolved_however_deep() -> None:
    deployment = deployed(
        {"A": "one", "B": "two"}, model="openai/x", extra_body={"a": ["os.environ/A"], "b": {"c": "os.environ/B"}}
    )
    assert deployment.params == {"extra_body": {"a": ["one"], "b": {"c": "two"}}}


def test_a_key_that_is_missing_is_not_taken_from_elsewhere() -> None:
    assert deployed({"OPENAI_API_KEY": "k"}, model="openai/x", api_key="os.environ/MINE").api_key is None


def test_an_address_that_is_missing_is_an_error() -> None:
    with pytest.raises(
        ConfigurationError, match=r"model_list\[0\]\.litellm_params\.api_base: the variable MINE is not"
    ):
        deployed({"OPENAI_API_KEY": "k"}, model="openai/x", api_base="os.environ/MINE")


class TestAStarForEveryModel:
    STAR = GatewayConfig(
        model_list=[
            {"model_name": "*", "litellm_params": {"model": "*", "temperature": 0.2}},
            {"model_name": "mine", "litellm_params": {"model": "openai/x"}},
        ]
    )

    def test_is_asked_by_the_providers_own_names(self) -> None:
        (deployment,) = Deployments(self.STAR, {}).on_demand("groq/llama")
        assert (deployment.group, deployment.provider, deployment.model) == ("groq/llama", "groq", "llama")
        assert deployment.params == {"temperature": 0.2}

    def test_is_not_listed(self) -> None:
        assert [deployment.group for deployment in Deployments(self.STAR, {}).listed()] == ["mine"]

    def test_has_its_pattern(self) -> None:
        config = GatewayConfig(model_list=[{"model_name": "groq/*", "litellm_params": {"model": "*"}}])
        assert len(list(Deployments(config, {}).on_demand("groq/llama"))) == 1
        assert list(Deployments(config, {}).on_demand("openai/x")) == []
