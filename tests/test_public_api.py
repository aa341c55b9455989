"""The names and signatures that the SDK documents, and what importing them costs."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import gatewright

NAMES = [
    "BatchingConfig",
    "CircuitBreakerConfig",
    "DeduplicationConfig",
    "EmbedResponse",
    "GatewayConfig",
    "GenerateResponse",
    "GenerateStream",
    "LiteLLMGateway",
    "RateLimitConfig",
    "batch_generate",
    "batch_generate_async",
    "configure_gateway",
    "create_gateway",
    "generate_embeddings",
    "generate_embeddings_async",
    "generate_text",
    "generate_text_async",
    "stream_text",
]
FUNCTIONS = [name for name in NAMES if name.startswith(("generate_", "batch_", "stream_"))]
HEAVY = {"litellm", "openai", "fastapi", "starlette", "sqlalchemy", "numpy", "pydantic", "aiohttp", "httpx", "rich"}


@pytest.mark.parametrize("name", NAMES)
def test_every_name_is_the_same_by_both_paths(name: str) -> None:
    from src.core import litellm_gateway

    assert getattr(gatewright, name) is getattr(litellm_gateway, name)
    assert name in gatewright.__all__
    assert name in dir(gatewright)
    assert name in litellm_gateway.__all__


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_have_a_module_of_their_own(name: str) -> None:
    from src.core.litellm_gateway import functions

    assert getattr(functions, name) is getattr(gatewright, name)


def test_limits_and_breakers_are_the_same_by_the_modules_that_the_sdk_documents() -> None:
    from src.core.litellm_gateway.rate_limiter import RateLimitConfig
    from src.core.utils.circuit_breaker import CircuitBreakerConfig

    assert gatewright.RateLimitConfig is RateLimitConfig
    assert gatewright.CircuitBreakerConfig is CircuitBreakerConfig


def test_error_and_usage_are_at_hand() -> None:
    from gatewright.errors import GatewayError
    from gatewright.types.usage import Usage

    assert gatewright.GatewayError is GatewayError
    assert gatewright.Usage is Usage


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'generate_txt'"):
        _ = gatewright.generate_txt


def _parameters(function: object) -> list[str]:
    return list(inspect.signature(function).parameters)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["generate", "generate_async", "generate_stream", "generate_stream_async"])
def test_generate_methods_have_the_documented_signature(name: str) -> None:
    method = getattr(gatewright.LiteLLMGateway, name)
    assert _parameters(method) == ["self", "prompt", "model", "messages", "tenant_id", "params"]


@pytest.mark.parametrize("name", ["embed", "embed_async"])
def test_embed_methods_have_the_documented_signature(name: str) -> None:
    assert _parameters(getattr(gatewright.LiteLLMGateway, name))[:3] == ["self", "texts", "model"]


def test_factories_and_functions_have_the_documented_signatures() -> None:
    made = _parameters(gatewright.create_gateway)
    assert made == ["providers", "default_model", "api_keys", "fallbacks", "timeout", "max_retries", "config"]
    assert _parameters(gatewright.configure_gateway)[:2] == ["model_list", "timeout"]
    for batch in (gatewright.batch_generate, gatewright.batch_generate_async):
        assert {"gateway", "prompts", "model", "max_concurrent", "on_error", "progress"} <= set(_parameters(batch))
    assert _parameters(gatewright.stream_text)[:3] == ["gateway", "prompt", "model"]


@pytest.mark.parametrize("name", ["close", "aclose", "__enter__", "__aenter__", "subscribe", "models"])
def test_the_gateway_has_its_life_cycle(name: str) -> None:
    assert callable(getattr(gatewright.LiteLLMGateway, name))


def _modules_after(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    return set(run.stdout.split())


def test_import_gatewright_imports_nothing_heavy() -> None:
    assert _modules_after("import gatewright").isdisjoint(HEAVY)


def test_using_the_gateway_imports_no_other_lane() -> None:
    code = "import gatewright; gatewright.create_gateway(['simulator'], 'simulator/m').generate('hello')"
    later = {"litellm", "openai", "fastapi", "starlette", "sqlalchemy", "numpy", "httpx", "rich", "moka_py"}
    assert _modules_after(code).isdisjoint(later)


def test_recording_into_a_store_that_is_there_imports_no_sqlalchemy(tmp_path: object) -> None:
    """Only the first process of a data directory does, when it makes the tables; and no answer waits for that."""
    code = f"""
import sys
import gatewright
gateway = gatewright.create_gateway(['simulator'], 'simulator/m', data_dir={str(tmp_path)!r}, close_timeout=60)
gateway.generate('hello')
assert not {{'sqlalchemy', 'alembic', 'sqlite3'}} & set(sys.modules)
gateway.close()
"""
    assert "alembic" in _modules_after(code)
    again = _modules_after(code)
    assert "sqlite3" in again
    assert again.isdisjoint({"sqlalchemy", "alembic", "psycopg", "numpy"})


def test_src_core_is_importable_from_anywhere(tmp_path: object) -> None:
    code = (
        "import gatewright; from src.core.litellm_gateway import create_gateway; "
        "assert create_gateway is gatewright.create_gateway"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=str(tmp_path), timeout=60)
    assert run.returncode == 0, run.stderr
