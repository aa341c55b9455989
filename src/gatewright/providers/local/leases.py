"""One server for each GGUF file and its settings in this process, shared by all who need it, ended by the last."""

from __future__ import annotations

import atexit
import os
import threading

from gatewright.providers.local.process import LlamaServer, ServerSettings

__all__ = ["ServerLeases", "leases"]


class ServerLeases:
    """Counts who holds which server; every method is safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[ServerSettings, tuple[LlamaServer, int]] = {}

    def acquire(self, settings: ServerSettings) -> LlamaServer:
        """Give the running server of these settings, or start one; does not wait for it to be ready."""
        with self._lock:
            server, holders = self._held.get(settings, (None, 0))
            if server is None or not server.alive:
                server, holders = LlamaServer(settings), 0
            self._held[settings] = (server, holders + 1)
            return server

    def release(self, server: LlamaServer) -> None:
        """Give back what `acquire` gave; ends the server, and waits for that, where nobody else holds it."""
        with self._lock:
            held, holders = self._held.get(server.settings, (None, 0))
            if held is not server:
                return  # it died and was replaced, or belongs to the process that this one was forked from
            if holders > 1:
                self._held[server.settings] = (server, holders - 1)
                return
            del self._held[server.settings]
        server.close()

    def close(self) -> None:
        """End all servers, whoever holds them."""
        with self._lock:
            servers = [server for server, _ in self._held.values()]
            self._held.clear()
        for server in servers:
            server.close()

    def forget(self) -> None:
        """In a fork's child: start afresh, and leave the parent's servers to the parent."""
        self._lock = threading.Lock()  # another thread of the parent may have held the old one
        servers = [server for server, _ in self._held.values()]
        self._held = {}
        for server in servers:
            server.forget()


leases = ServerLeases()
atexit.register(leases.close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=leases.forget)
