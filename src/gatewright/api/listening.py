"""The socket that a server listens on: bound first, so that its address can be told before anything is served."""

from __future__ import annotations

import socket

from gatewright.errors import ConfigurationError

__all__ = ["listen", "url_of"]

MAX_PORT = 65_535


def listen(host: str, port: int) -> socket.socket:
    """Bind `host` and `port` (0 takes a free one); `ConfigurationError` says why that cannot be."""
    if not 0 <= port <= MAX_PORT:
        raise ConfigurationError(f"port: expected 0 to {MAX_PORT}, got {port}", param="port")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        raise ConfigurationError(f"host: {host}:{port} is no address to serve at: {error}", param="host") from error
    try:
        # A server that was just stopped leaves connections behind that would keep its port for a minute.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        bound.close()
        raise ConfigurationError(f"port: cannot serve at {host}:{port}: {error}", param="port") from error
    bound.set_inheritable(True)
    return bound


def url_of(bound: socket.socket) -> str:
    """Give the URL of a bound socket, as one on this machine would reach it."""
    address: tuple[str, int] = bound.getsockname()[:2]
    host, port = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address[0], address[0]), address[1]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
