"""From the configuration to deployments: keys found, providers named, prices looked up."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterator, Mapping
from typing import Any, cast

import msgspec
from pydantic import SecretStr

from gatewright.configuration.config import GatewayConfig, LiteLLMParams, ModelEntry
from gatewright.configuration.litellm_ignored import PARAMS_IGNORED
from gatewright.configuration.litellm_keys import REQUEST_PARAMS, SETTING_PREFIXES
from gatewright.configuration.references import variable_of
from gatewright.errors import ConfigurationError
from gatewright.llmops.own_prices import price_from_settings
from gatewright.llmops.price_entries import is_price_name
from gatewright.llmops.pricing import catalogue
from gatewright.providers.catalogue import KEY_VARIABLES, key_variables, provider_name, wire_spec
from gatewright.types.configuration import nearest
from gatewright.types.deployment import Deployment

__all__ = ["LOCAL_PROVIDERS", "Deployments", "split_model"]

LOCAL_PROVIDERS = ("simulator", "local")
"""What needs neither key nor network."""
_KNOWN = frozenset(KEY_VARIABLES) | {*LOCAL_PROVIDERS, "openai_compatible", "ollama", "hosted_vllm", "lm_studio"}

# Whose a bare model name is, where the price catalogue does not know it.
_OWNERS = (
    (("gpt-", "o1", "o3", "o4", "chatgpt-", "text-embedding-", "davinci", "babbage"), "openai"),
    (("claude",), "anthropic"),
    (("gemini",), "gemini"),
    (("command", "embed-english", "embed-multilingual"), "cohere_chat"),
    (("mistral", "ministral", "codestral", "magistral", "pixtral", "open-mistral"), "mistral"),
    (("deepseek",), "deepseek"),
    (("grok",), "xai"),
    (("sonar",), "perplexity"),
)
# What LiteLLM's params say of a deployment beside the request's own fields: where it is, and as whom it is asked.
_SETTINGS = {
    "api_version",
    "organization",
    "tenant_id",
    "client_id",
    "client_secret",
    "region_name",
    "model_path",
    "embed_batch",
}
# The simulator's own settings that are called as parameters of a request are.
_SIMULATED = {("simulator", "seed"), ("simulator", "dimensions")}


def split_model(model: str, provider: str | None = None) -> tuple[str, str]:
    """Give provider and model of a name such as `openai/gpt-4o`, or of `gpt-4o` where it is clear whose it is."""
    if provider is not None:
        return provider_name(provider), model.removeprefix(f"{provider}/")
    first, slash, rest = model.partition("/")
    first = provider_name(first)
    if slash and rest and (first in _KNOWN or first in catalogue().providers()):
        return first, rest
    owner = catalogue().owner(model) or next((who for starts, who in _OWNERS if model.startswith(starts)), None)
    if owner is not None:
        return owner, model
    near = nearest(first, sorted(_KNOWN)) if slash else None
    raise ConfigurationError(
        f"model: whose model {model!r} is cannot be told: write it with its provider, such as openai/{model}"
        + (f"; did you mean {near}/{rest}?" if near else ""),
        param="model",
    )


class Deployments:
    """Makes the deployments of a configuration: those of the model list, and others as they are asked for."""

    def __init__(
        self, config: GatewayConfig, environ: Mapping[str, str] | None = None, own: frozenset[str] = frozenset()
    ) -> None:
        self._config = config
        self._own = own
        self._environ = os.environ if environ is None else environ
        self._providers = frozenset(provider_name(name) for name in config.providers)

    def listed(self) -> Iterator[Deployment]:
        """Give the deployments of the model list."""
        for place, entry in enumerate(self._config.model_list):
            if entry.litellm_params.model != "*":
                yield self.resolve(place)

    def resolve(self, place: int) -> Deployment:
        """Give the deployment of one entry of the model list; `ConfigurationError` says what is wrong with it."""
        try:
            return self._listed(place, self._config.model_list[place])
        except ConfigurationError as error:
            raise ConfigurationError(f"model_list[{place}].litellm_params.{error.message}") from error

    def on_demand(self, name: str) -> Iterator[Deployment]:
        """Give the deployments for a provider's own model name; none where the configuration does not allow it."""
        try:
            provider, model = self._split(name)
        except ConfigurationError:
            return
        open_to_all = [
            (place, entry)
            for place, entry in enumerate(self._config.model_list)
            if entry.litellm_params.model == "*" and fnmatch.fnmatchcase(name, entry.model_name)
        ]
        for place, entry in open_to_all:
            own = entry.model_copy(update={"litellm_params": entry.litellm_params.model_copy(update={"model": name})})
            yield msgspec.structs.replace(self._listed(place, own), id=f"{entry.model_name}#{place}:{name}", group=name)
        allowed = provider in self._providers if self._providers else not self._config.model_list
        if allowed and not open_to_all:
            yield self._make(name, f"{provider}/{model}", provider, model, LiteLLMParams(model=name), {})

    def _split(self, model: str, provider: str | None = None) -> tuple[str, str]:
        """Split a name, whose provider may be one of the user's own."""
        first, _, rest = model.partition("/")
        return (first, rest) if first in self._own and rest else split_model(model, provider)

    def _listed(self, place: int, entry: ModelEntry) -> Deployment:
        params = entry.litellm_params
        provider, model = self._split(params.model, params.custom_llm_provider)
        info = entry.model_info
        own = {name: getattr(entry, name) for name in ("rpm", "tpm", "weight", "order", "lane")}
        params = params.model_copy(update={name: value for name, value in own.items() if value is not None})
        id_ = str(info.get("id") or f"{entry.model_name}#{place}")
        return self._make(entry.model_name, id_, provider, model, params, info)

    def _make(
        self, group: str, id_: str, provider: str, model: str, params: LiteLLMParams, info: Mapping[str, Any]
    ) -> Deployment:
        extra = {name: self._resolved(value) for name, value in (params.__pydantic_extra__ or {}).items()}
        sent, settings = _sorted(extra, provider)
        return Deployment(
            id=id_,
            group=group,
            provider=provider,
            model=model,
            lane=params.lane or "auto",
            base_url=self._base_url(provider, params),
            api_key=self._key(provider, params),
            headers=params.extra_headers or {},
            timeout=params.timeout,
            rpm=params.rpm,
            tpm=params.tpm,
            max_parallel_requests=params.max_parallel_requests,
            weight=1.0 if params.weight is None else params.weight,
            order=params.order or 0,
            params=sent,
            settings={**self._config.simulator, **settings} if provider == "simulator" else settings,
            price=price_from_settings(
                {**extra, **info}, catalogue().find(provider, str(info.get("base_model") or model))
            ),
            http2=bool(params.http2),
        )

    def _key(self, provider: str, params: LiteLLMParams) -> SecretStr | None:
        """Give the deployment's own key, else its provider's of the configuration, else the environment's."""
        if params.api_key is not None:
            own = self._resolved(params.api_key)
            return own if own is None or isinstance(own, SecretStr) else SecretStr(own)
        for name, key in self._config.api_keys.items():
            if provider_name(name) == provider:
                return self._resolved(key)
        found = next((self._environ[name] for name in key_variables(provider) if self._environ.get(name)), None)
        return SecretStr(found) if found else None

    def _base_url(self, provider: str, params: LiteLLMParams) -> str | None:
        if params.api_base is not None:
            # Where it is missing nothing is sent to the provider's own address instead: the key is not meant for it.
            if (url := self._resolved(params.api_base)) is None:
                raise ConfigurationError(f"api_base: the variable {variable_of(params.api_base)} is not set")
            return url
        own = next((url for name, url in self._config.base_urls.items() if provider_name(name) == provider), None)
        if own is not None:
            return own
        spec = wire_spec(provider)
        variables = spec.base_url_variables if spec is not None else ()
        return next((self._environ[name] for name in variables if self._environ.get(name)), None)

    def _resolved(self, value: Any) -> Any:
        """Give what `os.environ/NAME` stands for, None where that variable is not set; anything else as it is."""
        if isinstance(value, Mapping):
            return {name: self._resolved(one) for name, one in cast("Mapping[str, Any]", value).items()}
        if isinstance(value, list):
            return [self._resolved(one) for one in cast("list[Any]", value)]
        variable = variable_of(value)
        if variable is None:
            return value
        own = self._config.environment.get(variable)
        found = self._environ.get(variable, own.get_secret_value() if own is not None else None)
        return SecretStr(found) if found is not None and isinstance(value, SecretStr) else found


def _sorted(extra: Mapping[str, Any], provider: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Tell what is sent with each request from what says where and as whom."""
    sent: dict[str, Any] = {}
    settings: dict[str, Any] = {}
    for name, value in extra.items():
        if value is None or name in PARAMS_IGNORED or is_price_name(name):
            continue
        asked = name in REQUEST_PARAMS and (provider, name) not in _SIMULATED
        if (provider in LOCAL_PROVIDERS and not asked) or name in _SETTINGS or name.startswith(SETTING_PREFIXES):
            settings[name] = value
        else:
            sent[name] = value
    return sent, settings
