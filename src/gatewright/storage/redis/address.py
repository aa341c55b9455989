"""Where a Redis or Valkey is, and how to log in there, by URL."""

from __future__ import annotations

import re
from typing import Literal
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import msgspec

from gatewright.errors import ConfigurationError

__all__ = ["Endpoint", "Kind", "RedisAddress"]

Kind = Literal["single", "sentinel", "cluster"]
Endpoint = tuple[str, int]
"""A host and its port."""

SCHEME = re.compile(r"(redis|rediss|valkey|valkeys|unix)(?:\+(sentinel|cluster))?")
HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^\s:\[\]]+)(?::(\d{1,5}))?")
OPTIONS = ("db", "ssl_ca_certs", "sentinel_username", "sentinel_password")
FORMS = (
    "redis://host:6379/0, rediss:// (TLS), unix:///path, redis+sentinel://host:26379,host:26379/service or "
    "redis+cluster://host:6379,host:6379 (also valkey, valkeys)"
)


class RedisAddress(msgspec.Struct, frozen=True, kw_only=True):
    """A parsed `redis_url`; its `repr` has no password.

    `hosts` are the servers, the sentinels, or some of the cluster's nodes; `path` a Unix socket, `service` what the
    sentinels call their master, `ca_file` the authority that signed the server's certificate.
    """

    kind: Kind = "single"
    hosts: tuple[Endpoint, ...] = ()
    path: str | None = None
    service: str | None = None
    username: str | None = None
    password: str | None = None
    sentinel_username: str | None = None
    sentinel_password: str | None = None
    db: int = 0
    tls: bool = False
    ca_file: str | None = None

    def __repr__(self) -> str:
        return f"<RedisAddress {self.kind} {self.where}>"

    @property
    def where(self) -> str:
        """Name the place, for people; without what is secret."""
        return self.path or ",".join(f"{host}:{port}" for host, port in self.hosts)

    @classmethod
    def parse(cls, url: str) -> RedisAddress:
        """Read a URL; `ConfigurationError` says what is wrong with it, without showing it: it may hold a password."""
        scheme = SCHEME.fullmatch(url.partition("://")[0].lower())
        if scheme is None or "://" not in url:
            raise _wrong(f"expected {FORMS}")
        family, kind = scheme[1], scheme[2] or "single"
        try:
            parts = urlsplit(url)
        except ValueError:
            parts = None
        if parts is None:  # not from the error itself: it may have the password
            raise _wrong(f"it is no URL; expected {FORMS}")
        options = _options(parts)
        credentials, _, hosts = parts.netloc.rpartition("@")
        username, _, password = credentials.partition(":")
        place = _unix(parts, hosts) if family == "unix" else _network(kind, parts, hosts)
        return msgspec.convert(
            {
                "kind": kind,
                "username": unquote(username) or None,
                "password": unquote(password) or None,
                "tls": family in ("rediss", "valkeys"),
                "db": _db(options, parts, kind if family != "unix" else "unix"),
                "ca_file": options.get("ssl_ca_certs"),
                "sentinel_username": options.get("sentinel_username"),
                "sentinel_password": options.get("sentinel_password"),
                **place,
            },
            cls,
        )


def _wrong(what: str) -> ConfigurationError:
    return ConfigurationError(f"redis_url: {what}", param="redis_url")


def _options(parts: SplitResult) -> dict[str, str]:
    options = dict(parse_qsl(parts.query))
    for name in options:
        if name not in OPTIONS:
            raise _wrong(f"there is no option {name!r}; known are {', '.join(OPTIONS)}")
    return options


def _unix(parts: SplitResult, hosts: str) -> dict[str, object]:
    if hosts or not parts.path:
        raise _wrong("a Unix socket is unix:///path/to/socket")
    return {"path": unquote(parts.path)}


def _network(kind: str, parts: SplitResult, hosts: str) -> dict[str, object]:
    default = 26379 if kind == "sentinel" else 6379
    endpoints = tuple(_endpoint(host, default) for host in hosts.split(","))
    if kind == "single" and len(endpoints) > 1:
        raise _wrong("several hosts need redis+sentinel:// or redis+cluster://")
    if kind != "sentinel":
        return {"hosts": endpoints}
    service = parts.path.strip("/").partition("/")[0]
    if not service:
        raise _wrong("sentinels need the name of the service: redis+sentinel://host:26379/service")
    return {"hosts": endpoints, "service": unquote(service)}


def _endpoint(text: str, default: int) -> Endpoint:
    found = HOST.fullmatch(text)
    port = int(found[2] or default) if found is not None else 0
    if found is None or not 0 < port < 65536:
        raise _wrong("expected host or host:port after the scheme (and user:password@, percent-encoded)")
    return found[1].strip("[]"), port


def _db(options: dict[str, str], parts: SplitResult, kind: str) -> int:
    in_path = {"single": parts.path.strip("/"), "sentinel": parts.path.strip("/").partition("/")[2]}.get(kind, "")
    text = options.get("db") or in_path or "0"
    if not text.isdecimal() or len(text) > 9:
        raise _wrong("the database is a number, as in redis://host:6379/0")
    if kind == "cluster" and int(text):
        raise _wrong("a cluster has database 0 only")
    return int(text)
