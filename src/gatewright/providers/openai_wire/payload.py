"""From a request to the bytes and headers of the OpenAI wire."""

from __future__ import annotations

from typing import Any

import msgspec

from gatewright.errors import AuthenticationFailed, BadRequest, UnsupportedParameter
from gatewright.providers.catalogue import WireSpec
from gatewright.types.deployment import Deployment
from gatewright.types.requests import EmbedRequest, GenerateRequest

__all__ = ["Payloads"]

# OpenAI's reasoning models refuse `max_tokens`; what counts against their limit is the completion with its reasoning.
_REASONING_MODELS = ("o1", "o3", "o4", "gpt-5")
_DEFAULT_API_VERSION = "2024-10-21"
_encode = msgspec.json.Encoder().encode


class Payloads:
    """Makes the requests of one deployment; whatever does not change from call to call is made once, here."""

    __slots__ = ("_deployment", "_drop", "_renamed", "_spec", "_unsupported", "_version", "headers", "root")

    def __init__(self, deployment: Deployment, spec: WireSpec, *, drop_unsupported: bool) -> None:
        self._deployment = deployment
        self._spec = spec
        self._drop = drop_unsupported
        self._renamed = dict(spec.renamed)
        if spec.name in ("openai", "azure") and deployment.model.startswith(_REASONING_MODELS):
            self._renamed["max_tokens"] = "max_completion_tokens"
        self._unsupported = spec.unsupported
        self._version = str(deployment.settings.get("api_version") or _DEFAULT_API_VERSION)
        self.root = _root(deployment, spec)
        self.headers = _headers(deployment, spec)

    def url(self, path: str) -> str:
        """Give the address of `path`, such as `/chat/completions`."""
        if self._spec.name == "azure" and not self.root.rstrip("/").endswith("/v1"):
            return f"{self.root}/openai/deployments/{self._deployment.model}{path}?api-version={self._version}"
        return self.root + path

    def generation(self, request: GenerateRequest, *, stream: bool, drop: bool | None) -> tuple[dict[str, Any], bytes]:
        """Give the headers and the body of a request for text."""
        body, headers = self._fields(request.params, drop)
        body["model"] = self._deployment.model
        if request.style == "chat":
            body["messages"] = request.messages
        else:
            body["prompt"] = request.prompt
        if stream:
            body["stream"] = True
            if self._spec.stream_usage:
                body["stream_options"] = {"include_usage": True, **(body.get("stream_options") or {})}
        return headers, _json(body)

    def embedding(self, request: EmbedRequest, *, drop: bool | None) -> tuple[dict[str, Any], bytes]:
        """Give the headers and the body of a request for vectors; as base64 where the provider has it."""
        body, headers = self._fields(request.params, drop)
        body["model"] = self._deployment.model
        body["input"] = request.inputs
        if self._spec.base64:
            body.setdefault("encoding_format", "base64")
        return headers, _json(body)

    def _fields(self, asked: dict[str, Any], drop: bool | None) -> tuple[dict[str, Any], dict[str, str]]:
        """Give the body's fields and the headers: the deployment's own, then the caller's."""
        fields: dict[str, Any] = {**self._deployment.params, **asked}
        headers = self.headers
        if not self._unsupported.isdisjoint(fields):
            self._leave_out(fields, self._drop if drop is None else drop)
        if self._renamed:
            for old, new in self._renamed.items():
                if old in fields:
                    fields.setdefault(new, fields.pop(old))
        if "extra_headers" in fields:
            more: dict[str, str] = fields.pop("extra_headers") or {}
            headers = {**headers, **more}
        if "extra_body" in fields:
            fields |= fields.pop("extra_body") or {}
        return fields, headers

    def _leave_out(self, fields: dict[str, Any], drop: bool) -> None:
        for name in sorted(self._unsupported.intersection(fields)):
            if not drop:
                raise UnsupportedParameter(
                    f"{self._spec.name} does not know the parameter {name!r}: leave it out, or set drop_params",
                    param=name,
                )
            del fields[name]


def _json(body: dict[str, Any]) -> bytes:
    try:
        return _encode(body)
    except (TypeError, ValueError, msgspec.MsgspecError) as error:
        raise BadRequest(f"the request cannot be written as JSON: {error}") from error


def _root(deployment: Deployment, spec: WireSpec) -> str:
    root = deployment.base_url or spec.base_url
    if root is None:
        raise BadRequest(f"the deployment {deployment.id} has no base_url, and {spec.name} has none of its own")
    return root.rstrip("/")


def _headers(deployment: Deployment, spec: WireSpec) -> dict[str, str]:
    headers = {"Content-Type": "application/json", "Accept-Encoding": "gzip, deflate", "User-Agent": "gatewright"}
    secret = deployment.secret
    if secret:
        headers |= {"api-key": secret} if spec.auth == "api-key" else {"Authorization": f"Bearer {secret}"}
    elif spec.key_needed and not deployment.headers:
        wanted = f"set {spec.keys[0]}, " if spec.keys else ""
        raise AuthenticationFailed(f"there is no key for {spec.name}: {wanted}pass api_keys or give an api_key")
    return {**headers, **deployment.headers}
