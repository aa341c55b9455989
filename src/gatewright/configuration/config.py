"""The configuration of a gateway, from wherever it comes."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self, cast

from pydantic import (
    ConfigDict,
    Field,
    SecretStr,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
    model_validator,
)

from gatewright.feedback.config import FeedbackConfig
from gatewright.health.config import ActiveCheckConfig, HealthConfig
from gatewright.layers.batching.config import BatchingConfig
from gatewright.layers.cache import CacheConfig, CacheMechanism
from gatewright.layers.cache.config import MAX_TTL
from gatewright.layers.circuit_breaker.config import CircuitBreakerConfig
from gatewright.layers.deduplication.config import DeduplicationConfig
from gatewright.layers.rate_limiter.config import MOST, RateLimitConfig
from gatewright.layers.routing.retries import RetryConfig
from gatewright.layers.routing.strategies import StrategyName
from gatewright.layers.validation.config import ValidationConfig
from gatewright.layers.validation.levels import ValidationLevel
from gatewright.llmops.config import RecordsConfig
from gatewright.types.configuration import Config, is_secret, mapping
from gatewright.types.deployment import Lane

__all__ = ["GatewayConfig", "HttpConfig", "LiteLLMParams", "ModelEntry", "configure_gateway", "merged_maps"]


class HttpConfig(Config):
    """Seconds for each phase of a request to a provider, and how to reach it; None is "no limit of its own".

    Proxies come from the environment (HTTPS_PROXY, NO_PROXY …), certificate authorities from `ca_file` or
    SSL_CERT_FILE. `max_connections` of 0 is no limit.
    """

    connect_timeout: float | None = Field(default=10.0, gt=0)
    first_byte_timeout: float | None = Field(default=None, gt=0)
    chunk_timeout: float | None = Field(default=300.0, gt=0)
    ca_file: str | None = None
    max_connections: int = Field(default=0, ge=0)


class LiteLLMParams(Config):
    """Where a model is and how it is asked, in LiteLLM's words; what is not named here goes to the provider."""

    model_config = ConfigDict(extra="allow")

    model: str = Field(min_length=1)
    api_key: SecretStr | None = None
    api_base: str | None = None
    custom_llm_provider: str | None = None
    timeout: float | None = Field(default=None, gt=0)
    rpm: int | None = Field(default=None, gt=0, le=MOST)
    tpm: int | None = Field(default=None, gt=0, le=MOST)
    weight: float | None = Field(default=None, ge=0)
    order: int | None = None
    max_parallel_requests: int | None = Field(default=None, gt=0, le=MOST)
    extra_headers: dict[str, str] | None = None
    lane: Lane | None = None
    http2: bool | None = None

    @model_validator(mode="before")
    @classmethod
    def _base_url(cls, values: Any) -> Any:
        """Take `base_url` for `api_base`: LiteLLM has both."""
        given = mapping(values)
        if given is not None and "base_url" in given and "api_base" not in given:
            return {("api_base" if key == "base_url" else key): value for key, value in given.items()}
        return values

    @field_validator("api_base")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("http://", "https://", "os.environ/")):
            raise ValueError("a URL that begins with http:// or https://")
        return value

    @model_validator(mode="after")
    def _hide(self) -> Self:
        """Keep every extra whose name says secret as a `SecretStr`."""
        for name, value in (self.__pydantic_extra__ or {}).items():
            if isinstance(value, str) and is_secret(name):
                self.__pydantic_extra__[name] = SecretStr(value)  # type: ignore[index]
        return self


class ModelEntry(Config):
    """One entry of the model list: the name that callers ask for, and one deployment that answers."""

    model_name: str = Field(min_length=1)
    litellm_params: LiteLLMParams
    model_info: dict[str, Any] = {}
    rpm: int | None = Field(default=None, gt=0, le=MOST)
    tpm: int | None = Field(default=None, gt=0, le=MOST)
    weight: float | None = Field(default=None, ge=0)
    order: int | None = None
    lane: Lane | None = None


def _own_cache(value: Any, read: ValidatorFunctionWrapHandler) -> Any:
    """Take a cache as it is; anything else says where to keep one, in the words of here or in LiteLLM's."""
    if isinstance(value, CacheMechanism):
        return value
    given = mapping(value)
    if given is not None and "type" in given:
        from gatewright.configuration.litellm_cache import cache_settings

        value = cache_settings(given)
    return read(value)


if TYPE_CHECKING:
    CacheSetting = CacheMechanism | CacheConfig | None
else:  # a union would tell of a wrong setting once for each of its kinds
    CacheSetting = Annotated[CacheConfig | None, WrapValidator(_own_cache)]

FallbackMap = dict[str, list[str]]


class GatewayConfig(Config):
    """Everything that a gateway can be told; each setting has a default that works.

    `providers` are asked by their own model names (`openai/gpt-4o`, or `gpt-4o` where it is clear whose it is);
    `model_list` gives names of your own. `timeout` is the deadline of a whole call in seconds, None for none.
    `environment` are variables that the configuration sets for itself, `master_key` is what the server's callers
    have to show. `fallbacks` maps a model to the models asked instead; a plain list holds for every model.
    `data_dir` is where records are kept, `database_url` the PostgreSQL that has them instead. Answers are cached where
    `enable_caching` says so or a `cache` is given (one of your own, or where to keep it), for `cache_ttl` seconds or
    the cache's own `default_ttl`. Guardrails hold where `enable_validation` says so or `validation` is given; those
    that have no level of their own are as strict as `validation_level`.
    """

    model_list: list[ModelEntry] = []
    providers: list[str] = []
    default_model: str | None = None
    default_embedding_model: str | None = None
    api_keys: dict[str, SecretStr] = {}
    base_urls: dict[str, str] = {}
    aliases: dict[str, str] = {}
    fallbacks: FallbackMap = {}
    default_fallbacks: list[str] = []
    context_window_fallbacks: FallbackMap = {}
    content_policy_fallbacks: FallbackMap = {}
    routing_strategy: StrategyName = "weighted-shuffle"
    timeout: float | None = Field(default=600.0, gt=0)
    max_retries: int = Field(default=2, ge=0, le=100)
    retries: RetryConfig = RetryConfig()
    drop_params: bool = False
    continue_streams: bool = False
    embed_concurrency: int = Field(default=8, ge=1)
    rate_limit: RateLimitConfig | None = None
    tenant_rate_limits: dict[str, RateLimitConfig] = {}
    model_rate_limits: dict[str, RateLimitConfig] = {}
    key_rate_limits: dict[str, RateLimitConfig] = {}
    circuit_breaker: CircuitBreakerConfig = CircuitBreakerConfig()
    deduplication: DeduplicationConfig = DeduplicationConfig()
    batching: BatchingConfig = BatchingConfig()
    enable_caching: bool | None = None
    cache_ttl: float | None = Field(default=None, gt=0, le=MAX_TTL)
    cache: CacheSetting = None
    enable_validation: bool | None = None
    validation_level: ValidationLevel = ValidationLevel.MODERATE
    validation: ValidationConfig | None = None
    feedback: FeedbackConfig = FeedbackConfig()
    health: HealthConfig = HealthConfig()
    health_checks: ActiveCheckConfig = ActiveCheckConfig()
    redis_url: SecretStr | None = None
    redis_namespace: str = Field(default="gatewright", min_length=1)
    data_dir: Path | None = None
    database_url: SecretStr | None = None
    record_operations: bool = True
    record_content: bool = False
    records: RecordsConfig = RecordsConfig()
    http: HttpConfig = HttpConfig()
    simulator: dict[str, Any] = {}
    environment: dict[str, SecretStr] = {}
    master_key: SecretStr | None = None
    close_timeout: float = Field(default=5.0, ge=0)

    @model_validator(mode="before")
    @classmethod
    def _prepared(cls, values: Any) -> Any:
        """Resolve `os.environ/NAME`; take a plain list of fallbacks for the default ones, a list of maps for one."""
        from gatewright.configuration.references import resolved_settings

        given = mapping(values)
        return values if given is None else _with_fallbacks(resolved_settings(given, os.environ))

    @model_validator(mode="after")
    def _can_share(self) -> Self:
        if self.deduplication.enabled and self.deduplication.shared and self.redis_url is None:
            raise ValueError("a redis_url where deduplication.shared is on: identical calls meet in Redis")
        return self

    @field_validator("tenant_rate_limits", "key_rate_limits")
    @classmethod
    def _have_names(cls, limits: dict[str, RateLimitConfig]) -> dict[str, RateLimitConfig]:
        if "" in limits:
            raise ValueError("names, and one is empty")
        return limits

    @field_validator("api_keys", mode="before")
    @classmethod
    def _known_keys(cls, values: Any) -> Any:
        """Leave out keys that are None: `api_keys={"openai": os.environ.get(…)}` is common."""
        given = mapping(values)
        return values if given is None else {name: key for name, key in given.items() if key}

    @field_validator("validation_level", mode="before")
    @classmethod
    def _level(cls, value: Any) -> Any:
        """Take `STRICT` for `strict`."""
        return value.lower() if isinstance(value, str) else value

    @classmethod
    def from_yaml(cls, path: str | Path) -> Self:
        """Read a YAML file: settings by their names here, or a LiteLLM proxy's `config.yaml` as it is."""
        from gatewright.configuration.guard_settings import with_guards
        from gatewright.configuration.yaml_file import read_yaml

        file = read_yaml(Path(path))
        read = partial(cls.read, file.values, str(path), file.origins)
        return with_guards(Path(path), read) if "validation" in file.values else read()

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read `GATEWRIGHT_…` variables, and the providers' own keys (`OPENAI_API_KEY` …)."""
        from gatewright.configuration.environment import read_environment

        return read_environment(cls, environ)


_FALLBACK_MAPS = ("fallbacks", "context_window_fallbacks", "content_policy_fallbacks")


def _with_fallbacks(settings: dict[str, Any]) -> dict[str, Any]:
    settings |= {name: merged_maps(settings[name]) for name in _FALLBACK_MAPS if settings.get(name) is not None}
    fallbacks: Any = settings.get("fallbacks")
    defaults: Any = None
    if isinstance(fallbacks, list | tuple):
        defaults, settings["fallbacks"] = cast("list[Any]", fallbacks), {}
    elif (own := mapping(fallbacks)) is not None and "*" in own:
        defaults, settings["fallbacks"] = own["*"], {name: value for name, value in own.items() if name != "*"}
    if isinstance(defaults, list | tuple):
        also = settings.get("default_fallbacks")
        also = cast("list[Any]", also) if isinstance(also, list) else ()
        settings["default_fallbacks"] = [*cast("list[Any]", defaults), *also]
    return {name: value for name, value in settings.items() if value is not None or name not in _FALLBACK_MAPS}


def merged_maps(value: Any) -> Any:
    """Make one map of LiteLLM's list of maps; anything else is left to its setting to judge."""
    if not isinstance(value, list | tuple):
        return value
    parts = [mapping(one) for one in cast("list[Any]", value)]
    if not parts:
        return {}
    if None in parts:
        return cast(Any, value)
    return {name: models for part in parts if part for name, models in part.items()}


def configure_gateway(
    model_list: Sequence[Mapping[str, Any]] = (), *, timeout: float | None = 600.0, **settings: Any
) -> GatewayConfig:
    """Make a configuration; see `GatewayConfig` for the settings. A wrong one is a `ConfigurationError`."""
    given: dict[str, Any] = {"model_list": list(model_list), "timeout": timeout, **settings}
    return GatewayConfig(**given)
