"""From a request to the bytes and headers of the OpenAI wire."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import quote

import msgspec

from gatewright.errors import AuthenticationFailed, BadRequest, ConfigurationError, UnsupportedParameter
from gatewright.providers.catalogue import WireSpec
from gatewright.providers.http.base import Headers
from gatewright.providers.openai_wire.address import Address, fits_a_header
from gatewright.types.configuration import is_secret, mapping
from gatewright.types.deployment import Deployment
from gatewright.types.requests import EmbedRequest, GenerateRequest

__all__ = ["Payloads"]

# OpenAI's reasoning models refuse `max_tokens`; what counts against their limit is the completion with its reasoning.
_REASONING_MODELS = ("o1", "o3", "o4", "gpt-5")
_DEFAULT_API_VERSION = "2024-10-21"
_encode = msgspec.json.Encoder().encode


class Payloads:
    """Makes the requests of one deployment; whatever does not change from call to call is made once, here."""

    __slots__ = (
        "_deployment",
        "_drop",
        "_model",
        "_params",
        "_renamed",
        "_root",
        "_spec",
        "_special",
        "_unsupported",
        "_version",
        "headers",
        "secrets",
    )

    def __init__(self, deployment: Deployment, spec: WireSpec, *, drop_unsupported: bool) -> None:
        self._deployment = deployment
        self._spec = spec
        self._drop = drop_unsupported
        self._model = deployment.model
        self._params = deployment.params
        self._renamed = dict(spec.renamed)
        if spec.name in ("openai", "azure") and deployment.model.startswith(_REASONING_MODELS):
            self._renamed["max_tokens"] = "max_completion_tokens"
        self._unsupported = spec.unsupported
        # The fields that are not sent as they are; most requests have none.
        self._special = frozenset((*spec.unsupported, *self._renamed, "extra_headers", "extra_body"))
        self._version = str(deployment.settings.get("api_version") or _DEFAULT_API_VERSION)
        self._root = _root(deployment, spec)
        self.headers: Headers = tuple(_headers(deployment, spec).items())
        self.secrets = _secrets(deployment)

    def url(self, path: str) -> str:
        """Give the address of `path`, such as `/chat/completions`."""
        if self._spec.name == "azure" and not self._root.path.endswith("/v1"):
            at = f"/openai/deployments/{quote(self._deployment.model, safe='')}{path}"
            return self._root.at(at, {"api-version": self._version})
        return self._root.at(path)

    def generation(self, request: GenerateRequest, *, stream: bool, drop: bool | None) -> tuple[Headers, bytes]:
        """Give the headers and the body of a request for text."""
        # The deployment's own fields, then the caller's.
        body: dict[str, Any] = {**self._params, **request.params}
        headers = self.headers if self._special.isdisjoint(body) else self._adapt(body, drop)
        body["model"] = self._model
        if request.style == "chat":
            body["messages"] = request.messages
        else:
            body["prompt"] = request.prompt
        if stream:
            body["stream"] = True
            if self._spec.stream_usage:
                body["stream_options"] = {"include_usage": True, **_mapping(body, "stream_options")}
        else:
            body.pop("stream", None)
        return headers, _json(body)

    def embedding(self, request: EmbedRequest, *, drop: bool | None) -> tuple[Headers, bytes]:
        """Give the headers and the body of a request for vectors; as base64 where the provider has it."""
        body: dict[str, Any] = {**self._params, **request.params}
        headers = self.headers if self._special.isdisjoint(body) else self._adapt(body, drop)
        body["model"] = self._model
        body["input"] = request.inputs
        if self._spec.base64:
            body.setdefault("encoding_format", "base64")
        return headers, _json(body)

    def _adapt(self, fields: dict[str, Any], drop: bool | None) -> Headers:
        """Make of the special fields what the provider takes, and give the headers."""
        headers = self.headers
        if not self._unsupported.isdisjoint(fields):
            self._leave_out(fields, self._drop if drop is None else drop)
        for old, new in self._renamed.items():
            if old in fields:
                fields.setdefault(new, fields.pop(old))
        if "extra_headers" in fields:
            headers = (*headers, *_checked(_mapping(fields, "extra_headers")).items())
            del fields["extra_headers"]
        if "extra_body" in fields:
            more = _mapping(fields, "extra_body")
            del fields["extra_body"]
            fields |= more
        return headers

    def _leave_out(self, fields: dict[str, Any], drop: bool) -> None:
        for name in sorted(self._unsupported.intersection(fields)):
            if not drop:
                raise UnsupportedParameter(
                    f"{self._spec.name} does not know the parameter {name!r}: leave it out, or set drop_params",
                    param=name,
                )
            del fields[name]


def _mapping(fields: dict[str, Any], name: str) -> Mapping[str, Any]:
    """Give the field `name`, none as an empty one; `BadRequest` where it is something else."""
    value = fields.get(name)
    given = mapping({} if value is None else value)
    if given is None:
        raise BadRequest(f"{name}: expected names and values, got {type(value).__name__}", param=name)
    return given


def _checked(headers: Mapping[Any, Any]) -> Mapping[str, str]:
    for name, value in headers.items():
        if not (isinstance(name, str) and isinstance(value, str) and fits_a_header(name) and fits_a_header(value)):
            raise BadRequest(f"extra_headers: {name!r}: expected a line of text", param="extra_headers")
    return cast("Mapping[str, str]", headers)


def _json(body: dict[str, Any]) -> bytes:
    try:
        return _encode(body)
    except (TypeError, ValueError, RecursionError, msgspec.MsgspecError) as error:
        raise BadRequest(f"the request cannot be written as JSON: {error}") from error


def _root(deployment: Deployment, spec: WireSpec) -> Address:
    root = deployment.base_url or spec.base_url
    if root is None:
        raise ConfigurationError(
            f"base_url: the deployment {deployment.id} has none, and {spec.name} has none of its own: give an api_base",
            param="base_url",
        )
    return Address.of(root, deployment.id, has_key=deployment.api_key is not None)


def _headers(deployment: Deployment, spec: WireSpec) -> dict[str, str]:
    headers = {"Content-Type": "application/json", "Accept-Encoding": "gzip, deflate", "User-Agent": "gatewright"}
    # A key that was read from a file often has the end of its line.
    secret = (deployment.secret or "").strip()
    if secret:
        headers |= {"api-key": secret} if spec.auth == "api-key" else {"Authorization": f"Bearer {secret}"}
    elif spec.key_needed and not deployment.headers:
        wanted = f"set {spec.keys[0]}, " if spec.keys else ""
        raise AuthenticationFailed(f"there is no key for {spec.name}: {wanted}pass api_keys or give an api_key")
    headers = {**headers, **deployment.headers}
    for name, value in headers.items():
        if not (fits_a_header(name) and fits_a_header(value)):
            raise ConfigurationError(
                f"the deployment {deployment.id}: its key or a header ({name}) has a character that no header can have"
            )
    return headers


def _secrets(deployment: Deployment) -> tuple[str, ...]:
    """Give what no error may show: the key, and the headers whose names say that they are secret."""
    named = [value for name, value in deployment.headers.items() if is_secret(name)]
    # Of `Bearer …` the second word is the secret.
    parts = [part for value in named for part in value.split()[1:]]
    return tuple(one for one in (*named, *parts, deployment.secret, (deployment.secret or "").strip()) if one)
