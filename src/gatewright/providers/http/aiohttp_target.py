"""Where requests go and how they begin: what is the same in all of them is made once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from functools import cached_property

import aiohttp
from aiohttp.client_reqrep import ConnectionKey
from multidict import CIMultiDict
from yarl import URL

from gatewright.providers.http.environment import proxy_for

__all__ = ["Target"]

_LENGTH = "Content-Length"


class Target:
    """A URL with the headers that go there: `request` is what aiohttp connects for, `head` how each request begins.

    `head` ends where the length of the body is to be written. ValueError where the two cannot be sent.
    """

    __slots__ = ("head", "request")

    def __init__(self, url: str, headers: Iterable[tuple[str, str]], loop: asyncio.AbstractEventLoop) -> None:
        proxy = proxy_for(url)
        by = None if proxy is None else URL(proxy)
        sent = CIMultiDict[str]()
        for name, value in headers:
            sent[name] = value  # a deployment's own stands over ours, however it is spelt
        where = URL(url)
        if where.raw_user is not None and "Authorization" in sent:
            raise ValueError("both the address and a header say who asks")
        # By way of a proxy a plain request names the whole address, and its own head tells the proxy who asks.
        forwarded = by is not None and where.scheme == "http"
        if forwarded and by is not None and by.user is not None:
            sent["Proxy-Authorization"] = aiohttp.encode_basic_auth(by.user, by.password or "")
        # aiohttp's own request knows how to connect, and which headers go beside ours.
        self.request = _Connectable("POST", where, headers=sent, proxy=by, loop=loop)
        path = str(where.with_user(None)) if forwarded else where.raw_path_qs
        self.head = _head(path, self.request.headers)


class _Connectable(aiohttp.ClientRequest):
    """What a connection is asked for with, again and again; what the pool knows it by is worked out once."""

    @cached_property
    def connection_key(self) -> ConnectionKey:  # pyright: ignore[reportIncompatibleMethodOverride]
        return super().connection_key


def _head(path: str, headers: CIMultiDict[str]) -> bytes:
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items() if name != _LENGTH)]
    if any(mark in line for line in lines for mark in "\r\n\0"):
        raise ValueError("a header has the end of a line in it")
    return "\r\n".join([*lines, f"{_LENGTH}: "]).encode()
