"""The child process: llama.cpp's server on a free port of this machine, until its parent is gone.

Its settings come as one line of JSON on standard input, so that the key is in no list of processes; its answer
is one line on standard output, `READY` and its address. It ends when standard input does, or when its parent's id
changes: the first covers every ordinary end, the second a parent that was killed while a fork of it holds the pipe.
"""

from __future__ import annotations

import os
import selectors
import sys
import threading
import urllib.request
from importlib import import_module
from typing import Any

import msgspec

from gatewright.providers.local.launch import READY, Launch

__all__ = ["main"]

PARENT_CHECK_SECONDS = 0.5


def main() -> None:
    """Serve until the parent is gone."""
    launch = msgspec.json.decode(sys.stdin.buffer.readline(), type=Launch)
    watch = threading.Thread(target=_end_with, args=(launch.parent,), name="parent-watch", daemon=True)
    watch.start()
    try:
        server = _serve(launch)
    except RuntimeError as error:  # llama.cpp has said why by now: no traceback is to push that out
        sys.exit(str(error))
    address = str(server.listening_address)
    _check(address)
    sys.stdout.buffer.write(READY + address.encode() + b"\n")
    sys.stdout.buffer.flush()
    watch.join()


def _serve(launch: Launch) -> Any:
    """Load the model and start to listen; the server runs in threads of its own."""
    xllamacpp: Any = import_module("xllamacpp")
    params = xllamacpp.CommonParams()
    params.model.path = launch.model
    params.model_alias = {launch.name}  # else its answers name the file, with its whole path
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [launch.api_key]
    params.n_ctx = launch.context * launch.slots
    params.n_parallel = launch.slots
    params.cpuparams.n_threads = launch.threads
    params.cpuparams_batch.n_threads = launch.threads
    params.fit_params = False  # a guess at the memory of graphics cards
    params.cache_ram_mib = 64
    params.offline = True
    params.ui = False
    params.verbosity = 1  # errors only
    return xllamacpp.Server(params)


def _check(address: str) -> None:
    """Raise unless the server says that it is well; no proxy of the environment stands between."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{address}/health", timeout=10):
        pass


def _end_with(parent: int) -> None:
    """End this process, at once, when the parent closes its end of the pipe or is no longer the parent."""
    with selectors.DefaultSelector() as selector:
        selector.register(0, selectors.EVENT_READ)
        while os.getppid() == parent:
            if selector.select(PARENT_CHECK_SECONDS) and not os.read(0, 4096):
                break
    os._exit(0)


if __name__ == "__main__":
    main()
