"""A call in litellm's words: the keyword arguments of `acompletion`, `atext_completion` and `aembedding`."""

from __future__ import annotations

from typing import Any

from pydantic import SecretStr

from gatewright.errors import BadRequest, UnsupportedParameter
from gatewright.pipeline.call import Call
from gatewright.providers.litellm.library import reserved_names
from gatewright.types.deployment import Deployment
from gatewright.types.requests import EmbedRequest, GenerateRequest

__all__ = ["DEFAULT_TIMEOUT", "embedding_arguments", "fixed_arguments", "generation_arguments"]

DEFAULT_TIMEOUT = 600.0

# OpenAI's own parameters that litellm also has a meaning of its own for, or that are harmless controls of it.
_ALLOWED = frozenset({"metadata", "allowed_openai_params", "additional_drop_params"})
# What begins so names credentials, endpoints or test doubles: no caller's business.
_RESERVED_PREFIXES = ("aws_", "azure_", "gcs_", "langfuse_", "litellm_", "mock_", "s3_", "vertex_", "watsonx_", "_")
_KEEPS_METADATA = frozenset({"openai", "azure"})
_USAGE_ASKED = {"include_usage": True}
# Tools run by litellm's own MCP gateway: not wanted, and looking for them imports its whole proxy, which needs `mcp`.
_CHAT_ONLY = {"_skip_mcp_handler": True}


def _in_clear(value: Any) -> Any:
    """Give a setting as litellm wants it: its secrets stand in the configuration as `SecretStr`."""
    return value.get_secret_value() if isinstance(value, SecretStr) else value


def fixed_arguments(deployment: Deployment) -> dict[str, Any]:
    """Give the arguments that are the same for every call to `deployment`.

    The timeout is among them because litellm keeps one HTTP client for each different value.
    """
    arguments: dict[str, Any] = {name: _in_clear(value) for name, value in deployment.settings.items()}
    arguments["model"] = f"{deployment.provider}/{deployment.model}"
    arguments["timeout"] = deployment.timeout or DEFAULT_TIMEOUT
    arguments["max_retries"] = 0
    if deployment.secret is not None:
        arguments["api_key"] = deployment.secret
    if deployment.base_url is not None:
        arguments["api_base"] = deployment.base_url
    if deployment.headers:
        arguments["extra_headers"] = dict(deployment.headers)
    return arguments


def generation_arguments(fixed: dict[str, Any], deployment: Deployment, call: Call, *, drop: bool) -> dict[str, Any]:
    """Give the arguments for a `GenerateRequest`; `BadRequest` where a parameter would steer litellm itself."""
    request: GenerateRequest = call.generation
    arguments = _with_params(fixed, deployment, request.params, drop=drop)
    if request.style == "chat":
        arguments["messages"] = list(request.messages)
        arguments |= _CHAT_ONLY
    else:
        arguments["prompt"] = request.prompt
    if call.stream:
        arguments["stream"] = True
        arguments["stream_options"] = {**arguments.get("stream_options", {}), **_USAGE_ASKED}
    else:
        arguments.pop("stream_options", None)
    return arguments


def embedding_arguments(fixed: dict[str, Any], deployment: Deployment, call: Call, *, drop: bool) -> dict[str, Any]:
    """Give the arguments for an `EmbedRequest`."""
    request: EmbedRequest = call.embedding
    arguments = _with_params(fixed, deployment, request.params, drop=drop)
    arguments["input"] = list(request.inputs)
    return arguments


def _with_params(
    fixed: dict[str, Any], deployment: Deployment, params: dict[str, Any], *, drop: bool
) -> dict[str, Any]:
    arguments = {**fixed, **deployment.params, **_checked(params)}
    if drop:
        arguments["drop_params"] = True
    if deployment.headers and "extra_headers" in params:
        arguments["extra_headers"] = {**deployment.headers, **params["extra_headers"]}
    if "metadata" in arguments:
        _move_metadata(arguments, deployment, drop=drop)
    return arguments


def _checked(params: dict[str, Any]) -> dict[str, Any]:
    reserved = reserved_names()
    for name in params:
        if (name in reserved or name.startswith(_RESERVED_PREFIXES)) and name not in _ALLOWED:
            raise BadRequest(f"`{name}` is not a parameter of a call: set it on the deployment", param=name)
    return params


def _move_metadata(arguments: dict[str, Any], deployment: Deployment, *, drop: bool) -> None:
    """Send `metadata` to the provider: litellm would keep it for its own log."""
    metadata = arguments.pop("metadata")
    if deployment.provider in _KEEPS_METADATA:
        arguments["extra_body"] = {"metadata": metadata, **arguments.get("extra_body", {})}
    elif not drop:
        raise UnsupportedParameter(f"{deployment.provider} does not support `metadata`", param="metadata")
