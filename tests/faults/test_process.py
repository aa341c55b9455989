"""Programs that use the gateway and end without closing it: nothing crashes, hangs or complains."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest


class _Upstream(BaseHTTPRequestHandler):
    """Echoes the last message; a stream never ends."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if body.get("stream"):
            self._stream()
            return
        message = {"role": "assistant", "content": body["messages"][-1]["content"]}
        answer = json.dumps({"model": "m", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer.encode())

    def _stream(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        event = b'data: {"choices":[{"index":0,"delta":{"content":"more "}}]}\n\n'
        self.close_connection = True
        try:
            while not threading.Event().wait(0.002):
                self.wfile.write(b"%x\r\n%b\r\n" % (len(event), event))
        except OSError:  # the client has gone
            pass

    def log_message(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Upstream)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()
    thread.join()


BEGIN = """
import asyncio, sys, threading
from gatewright import batch_generate, create_gateway
gateway = create_gateway(["openai"], "openai/m", {"openai": "sk-test-0123456789"}, base_urls={"openai": sys.argv[1]})
"""

PROGRAMS = {
    "unused": "print('a')",
    "blocking": "print(gateway.generate('a'))",
    "blocking in a function": "def main():\n    print(gateway.generate('a'))\nmain()",
    "the gateway is local": """
def main():
    own = create_gateway(["openai"], "openai/m", {"openai": "sk-test"}, base_urls={"openai": sys.argv[1]})
    print(own.generate('a'))
main()
""",
    "awaited": "print(asyncio.run(gateway.generate_async('a')))",
    "awaited twice, then blocking": """
asyncio.run(gateway.generate_async('b'))
asyncio.run(gateway.generate_async('b'))
print(gateway.generate('a'))
""",
    "half-read stream": """
stream = gateway.generate_stream('x')
next(stream)
print('a')
""",
    "half-read stream, awaited": """
async def main():
    global stream
    stream = gateway.generate_stream('x')
    await anext(stream)
asyncio.run(main())
print('a')
""",
    "half-read stream on another loop": """
gateway.generate('b')
async def main():
    global stream
    stream = gateway.generate_stream('x')
    await anext(stream)
asyncio.run(main())
print('a')
""",
    "a thread still reads a stream": """
def read():
    for text in gateway.generate_stream('x'):
        pass
threading.Thread(target=read, daemon=True).start()
next(gateway.generate_stream('x'))
print('a')
""",
    "a thread still calls": """
def call():
    for _ in range(20):
        gateway.generate('b')
    print('a')
threading.Thread(target=call).start()
""",
    "a thread still calls after a loop": """
async def main():
    await gateway.generate_async('b')
    threading.Thread(target=call).start()
def call():
    for _ in range(20):
        gateway.generate('b')
    print('a')
asyncio.run(main())
""",
    "tasks under way at the end of the loop": """
async def main():
    global stream, tasks
    tasks = [asyncio.create_task(gateway.generate_async('b')) for _ in range(3)]
    await asyncio.sleep(0)
asyncio.run(main())
print('a')
""",
    "a batch": "print(*batch_generate(gateway, ['a']))",
    "several loops in threads": """
threads = [threading.Thread(target=lambda: asyncio.run(gateway.generate_async('b'))) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print('a')
""",
    "a child by fork": """
import os
gateway.generate('b')
child = os.fork()
if child == 0:
    gateway.generate('b')
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
print(gateway.generate('a'))
""",
    "closed": "with gateway: print(gateway.generate('a'))",
}

# A fork of a process with threads is warned of from Python 3.12 on; that is its own affair.
_FORKED = ["-W", "ignore:This process:DeprecationWarning"]


# In development mode asyncio says how long a callback took: that is the machine's load, not the gateway's fault.
_SLOW = re.compile(r"^Executing <.*> took [\d.]+ seconds\n", re.MULTILINE)


def _run(program: str, url: str, *options: str, wrapper: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    command = [*wrapper, sys.executable, *options, "-c", BEGIN + program, url]
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "COV_"))}
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environ)
    run.stderr = _SLOW.sub("", run.stderr)
    return run


def _check(run: subprocess.CompletedProcess[str]) -> None:
    assert (run.returncode, run.stdout, run.stderr) == (0, "a\n", "")


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_ends_without_closing(name: str, url: str) -> None:
    _check(_run(PROGRAMS[name], url))


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_ends_without_closing_in_development_mode(name: str, url: str) -> None:
    _check(_run(PROGRAMS[name], url, "-X", "dev", "-W", "error", *_FORKED))


@pytest.mark.skipif(shutil.which("taskset") is None, reason="this system has no taskset to pin a process to one core")
@pytest.mark.parametrize("name", ["blocking", "awaited", "half-read stream", "a thread still reads a stream"])
def test_a_program_ends_without_closing_on_one_core(name: str, url: str) -> None:
    core = min(os.sched_getaffinity(0))
    _check(_run(PROGRAMS[name], url, wrapper=("taskset", "-c", str(core))))


@pytest.mark.parametrize("options", [(), ("-X", "dev", "-W", "error")])
def test_sys_exit_within_a_loop(url: str, options: tuple[str, ...]) -> None:
    program = """
async def main():
    global stream
    stream = gateway.generate_stream('x')
    await anext(stream)
    await gateway.generate_async('b')
    print('a', flush=True)
    sys.exit(3)
asyncio.run(main())
"""
    run = _run(program, url, *options)
    assert (run.returncode, run.stdout, run.stderr) == (3, "a\n", "")


@pytest.mark.parametrize("place", ["blocking", "awaited"])
def test_an_unhandled_error_gives_its_own_traceback_only(url: str, place: str) -> None:
    programs = {
        "blocking": "stream = gateway.generate_stream('x')\nnext(stream)\nraise ValueError('mine')",
        "awaited": """
async def main():
    stream = gateway.generate_stream('x')
    await anext(stream)
    raise ValueError('mine')
asyncio.run(main())
""",
    }
    run = _run(programs[place], url, "-X", "dev", "-W", "error")
    assert run.returncode == 1
    assert run.stderr.count("Traceback") == 1
    assert run.stderr.endswith("ValueError: mine\n")


def test_ctrl_c_in_a_blocking_call_ends_the_program(url: str) -> None:
    program = """
import os, signal
threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
for text in gateway.generate_stream('x'):
    pass
"""
    run = _run(program, url, "-X", "dev", "-W", "error")
    assert run.stderr.count("Traceback") == 1
    assert run.stderr.endswith("KeyboardInterrupt\n")
