"""Who may ask: whoever shows the key, or without a key whoever is on this machine."""

from __future__ import annotations

import functools
import hmac
import ipaddress
import os
from typing import Self
from urllib.parse import urlsplit

from gatewright.api.errors import KeyNotAccepted, OriginRefused
from gatewright.api.exchange import Exchange
from gatewright.configuration.config import GatewayConfig
from gatewright.errors import ConfigurationError

__all__ = ["Authentication", "check_exposure", "is_loopback", "master_key"]

_REFERENCE = "os.environ/"
_OPEN_TO_MACHINE = "this server has no master_key and is open to its own machine only"


class Authentication:
    """Checks requests against the configuration's `master_key`.

    The key comes as `Authorization: Bearer …` or `x-api-key: …`. Without a key in the configuration the server is
    open to its own machine: a request that came in by another address, or that a web page from elsewhere made a
    browser send, is refused, unless `allow_open` says that it is meant.
    """

    def __init__(self, key: str | None, *, allow_open: bool = False) -> None:
        self._key = key.encode() if key is not None else None
        self._allow_open = allow_open

    @classmethod
    def of(cls, config: GatewayConfig, *, allow_open: bool = False) -> Self:
        """Make one of a configuration."""
        return cls(master_key(config), allow_open=allow_open)

    def check(self, exchange: Exchange) -> None:
        """Raise `KeyNotAccepted` or `OriginRefused` where the caller may not ask."""
        if self._key is not None:
            self._check_key(exchange, self._key)
        elif not self._allow_open:
            _check_local(exchange)

    def _check_key(self, exchange: Exchange, key: bytes) -> None:
        shown = _bearer(exchange.header(b"authorization")) or exchange.header(b"x-api-key")
        if not shown:
            raise KeyNotAccepted("there is no key: send this server's as `Authorization: Bearer <key>`")
        if not hmac.compare_digest(shown, key):
            raise KeyNotAccepted("the key is not this server's")


def master_key(config: GatewayConfig) -> str | None:
    """Give the key that callers have to show, `os.environ/NAME` resolved; None where the server is open."""
    if config.master_key is None:
        return None
    key = config.master_key.get_secret_value()
    if key.startswith(_REFERENCE):
        name = key.removeprefix(_REFERENCE)
        key = os.environ.get(name, "")
        if not key:
            raise ConfigurationError(f"master_key: the environment variable {name} is not set", param="master_key")
    if not key.strip():
        raise ConfigurationError("master_key: expected a key, got an empty text", param="master_key")
    return key


def check_exposure(config: GatewayConfig, host: str, *, allow_open: bool) -> None:
    """Refuse to serve without a key on an address that others can reach."""
    if allow_open or is_loopback(host) or master_key(config) is not None:
        return
    raise ConfigurationError(
        f"host: {host} can be reached from other machines and there is no master_key: set one (GATEWRIGHT_MASTER_KEY, "
        "or master_key in the file), or say --allow-open if everyone who can reach it may use it",
        param="host",
    )


@functools.lru_cache(maxsize=256)
def is_loopback(host: str) -> bool:
    """Say whether an address or a host name is this machine's own."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _bearer(value: bytes | None) -> bytes | None:
    if value is None:
        return None
    scheme, _, key = value.partition(b" ")
    return key.strip() if scheme.lower() == b"bearer" else None


def _check_local(exchange: Exchange) -> None:
    server = exchange.scope.get("server")
    # A server on a Unix socket has a path and no port.
    if server is not None and server[1] is not None and not is_loopback(server[0]):
        raise OriginRefused(f"{_OPEN_TO_MACHINE}: set one, or start it with --allow-open")
    origin = exchange.header(b"origin")
    if origin is not None and not _is_local_origin(origin.decode("latin-1")):
        raise OriginRefused(f"{_OPEN_TO_MACHINE}, not to web pages from elsewhere")


def _is_local_origin(origin: str) -> bool:
    try:
        host = urlsplit(origin).hostname
    except ValueError:
        return False
    return host is not None and is_loopback(host)
