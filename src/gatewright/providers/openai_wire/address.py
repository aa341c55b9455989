"""Where a deployment is: its base URL, taken apart once and checked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple, Self
from urllib.parse import SplitResult, urlencode, urlsplit

from gatewright.errors import ConfigurationError

__all__ = ["Address", "fits_a_header"]

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def fits_a_header(text: str) -> bool:
    """Say whether `text` can stand in an HTTP header: it is one line."""
    return _CONTROL.search(text) is None


class Address(NamedTuple):
    """A base URL: `path` has no slash at its end, and a query of its own goes with every request."""

    origin: str
    path: str
    query: str

    @classmethod
    def of(cls, url: str, deployment_id: str, *, has_key: bool) -> Self:
        """Take `url` apart; `ConfigurationError` where it is none of http, or would be told two credentials."""
        where = f"base_url of the deployment {deployment_id}"
        parts = _split(url)
        if parts is None:
            raise ConfigurationError(f"{where}: expected an http:// or https:// address", param="base_url")
        if has_key and "@" in parts.netloc:
            raise ConfigurationError(f"{where}: it has a user of its own: give that or a key", param="base_url")
        return cls(f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/"), parts.query)

    def at(self, path: str, query: Mapping[str, str] | None = None) -> str:
        """Give the address of `path` below this, with `query` where this does not say otherwise."""
        said = {pair.split("=")[0] for pair in self.query.split("&")}
        more = urlencode({name: value for name, value in (query or {}).items() if name not in said})
        asked = "&".join(part for part in (self.query, more) if part)
        return f"{self.origin}{self.path}{path}" + (f"?{asked}" if asked else "")


def _split(url: str) -> SplitResult | None:
    """Take an HTTP address apart; None where it is none."""
    try:
        parts = urlsplit(url.strip())
        ok = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return None
    return parts if ok else None
