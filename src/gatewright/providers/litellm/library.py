"""litellm itself: imported on first need, by this module only, and kept to translating requests and answers."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import uuid
import warnings
from datetime import datetime
from functools import cache
from typing import Any

from gatewright.errors import MissingExtra
from gatewright.types.deployment import Deployment

__all__ = [
    "ends_with_done",
    "know_local_model",
    "library",
    "load",
    "open_clients",
    "openai_client",
    "reserved_names",
    "stop_logging_worker",
    "unlogged",
    "unsupported_of",
]

# Read once, at litellm's import: what would make it fetch from the network, or read a .env file into the environment.
_IMPORT_ENVIRONMENT = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
    "LITELLM_LOCAL_BLOG_POSTS": "True",
    "LITELLM_MODE": "PRODUCTION",
}

# Whatever litellm does besides translating is the gateway's own work, or must not happen at all.
_SETTINGS: dict[str, Any] = {
    "suppress_debug_info": True,
    "telemetry": False,
    "disable_hf_tokenizer_download": True,
    "num_retries": None,
    "num_retries_per_request": None,
    "model_fallbacks": None,
    "cache": None,
    "drop_params": False,
    "callbacks": [],
    "input_callback": [],
    "success_callback": [],
    "failure_callback": [],
}

# litellm's own names of things that its list of them leaves out.
_MORE_RESERVED = frozenset(
    {
        "api_type",
        "base_url",
        "deployment_id",
        "enable_json_schema_validation",
        "extra_query",
        "input",
        "messages",
        "model",
        "organization",
        "prompt",
        "shared_session",
        "stream",
        "timeout",
    }
)

_OPENAI_FORMAT = frozenset({"openai", "azure", "openrouter"})

_importing = threading.Lock()
_loaded: Any = None
_reserved: frozenset[str] = frozenset()


async def library() -> Any:
    """Give litellm; its import takes seconds, so the first call has it done in a thread."""
    return _loaded if _loaded is not None else await asyncio.to_thread(load)


def load() -> Any:
    """Give litellm, importing and quieting it if nobody has; `MissingExtra` where it is not installed."""
    global _loaded, _reserved
    with _importing:
        if _loaded is None:
            module = _imported()
            for name, value in _SETTINGS.items():
                setattr(module, name, value)
            _quiet()
            _reserved = frozenset(module.all_litellm_params) | _MORE_RESERVED
            _loaded = module
    return _loaded


def reserved_names() -> frozenset[str]:
    """Give the names of arguments that steer litellm itself; known once it is loaded."""
    return _reserved


def unlogged(call_type: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Give the arguments of a call of which litellm keeps no log of its own: nobody reads it, and it costs a tenth.

    Each call's log is written once, by the first that claims it: here it is claimed before the call, and not written.
    """
    arguments["litellm_call_id"] = str(uuid.uuid4())
    log, given = _loaded.utils.function_setup(call_type, _rules(), datetime.now(), **arguments)
    log.claim_async_success_log()
    given["litellm_logging_obj"] = log
    return given


@cache
def _rules() -> Any:
    return _loaded.utils.Rules()


def ends_with_done(provider: str) -> bool:
    """Say whether `provider` speaks OpenAI's format, whose streams end with a word of their own."""
    return provider in _OPENAI_FORMAT or provider in _loaded.openai_compatible_providers


def know_local_model(provider: str, model: str) -> None:
    """Tell litellm of a model of Ollama's: of one that it does not know it asks the server, blocking the loop."""
    if provider in ("ollama", "ollama_chat"):
        facts = {"litellm_provider": provider, "mode": "chat", "supports_function_calling": True}
        free = {"input_cost_per_token": 0.0, "output_cost_per_token": 0.0}
        _loaded.model_cost.setdefault(f"{provider}/{model}", facts | free)


def unsupported_of(deployment: Deployment, arguments: dict[str, Any]) -> str | None:
    """Name the first of OpenAI's parameters in `arguments` that the deployment's provider does not support."""
    known = _loaded.get_supported_openai_params(deployment.model, deployment.provider) or ()
    standard = _loaded.constants.DEFAULT_CHAT_COMPLETION_PARAM_VALUES
    asked = (name for name in arguments if name in standard and name not in _reserved)
    return next((name for name in asked if name not in known and name != "extra_headers"), None)


def openai_client(deployment: Deployment, timeout: float) -> Any:
    """Make a client for legacy completions: litellm would make one for every call and close none of them."""
    import openai

    return openai.AsyncOpenAI(
        api_key=deployment.secret or "", base_url=deployment.base_url, timeout=timeout, max_retries=0
    )


def open_clients(loop: asyncio.AbstractEventLoop) -> list[Any]:
    """Take the HTTP clients that litellm keeps for `loop` out of its cache, for the caller to close."""
    if _loaded is None:
        return []
    cache = _loaded.in_memory_llm_clients_cache
    mine = [key for key in cache.cache_dict if str(key).endswith(f"-{id(loop)}")]
    clients = [cache.cache_dict.pop(key) for key in mine]
    for key in mine:
        cache.ttl_dict.pop(key, None)
    return clients


async def stop_logging_worker() -> None:
    """End the task that litellm keeps on the running loop for its callbacks, of which there are none."""
    if _loaded is None:
        return
    from litellm.litellm_core_utils import logging_worker

    worker: Any = logging_worker.GLOBAL_LOGGING_WORKER
    if worker._bound_loop in (None, asyncio.get_running_loop()):
        await worker.flush()
        await worker.stop()


def _quiet() -> None:
    """Keep litellm's logs and pydantic's warnings of litellm's models off the program's stderr."""
    if not os.environ.get("LITELLM_LOG"):
        for name in ("LiteLLM", "LiteLLM Proxy", "LiteLLM Router"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", message="Pydantic serializer warnings", category=UserWarning)


def _imported() -> Any:
    before = {name: os.environ.get(name) for name in _IMPORT_ENVIRONMENT}
    os.environ.update(_IMPORT_ENVIRONMENT)
    try:
        import litellm
    except ImportError as error:
        raise MissingExtra("the litellm lane", "litellm") from error
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
    return litellm
