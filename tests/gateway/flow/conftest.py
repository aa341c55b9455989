"""An OpenAI on a real socket that limits, breaks, dies and comes back when a test says so; and what was heard."""

from __future__ import annotations

import json
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from gatewright import GatewayConfig, LiteLLMGateway
from gatewright.pipeline.events import Event


class Remote:
    """Answers in its own name; `script` has the statuses of the next answers, `headers` go with every answer.

    Embeddings of a text of more than `longest` characters are too long for it. With `holds` set an answer waits for
    `release`. `kill` closes its port and cuts all connections, `start` brings it back at the same port.
    """

    def __init__(self) -> None:
        self.port = 0
        self.script: deque[tuple[int, dict[str, str]]] = deque()
        self.headers: dict[str, str] = {}
        self.asked = 0
        self.under_way = 0
        self.most = 0
        self.longest = 1_000_000
        self.holds = False
        self.release = threading.Event()
        self._lock = threading.Lock()
        self._connections: set[socket.socket] = set()
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def start(self) -> None:
        remote = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                remote._connections.add(self.request)
                super().setup()

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                remote._answer(self, body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler, bind_and_activate=False)
        self._server.allow_reuse_address = True
        self._server.daemon_threads = False
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]
        self._server.server_bind()
        self._server.server_activate()
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=lambda: self._server.serve_forever(0.01))
        self._thread.start()

    def kill(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self.release.set()
        self._server.socket.close()
        for connection in list(self._connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        self._server.server_close()
        self._connections.clear()

    def _answer(self, handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
        with self._lock:
            self.asked += 1
            self.under_way += 1
            self.most = max(self.most, self.under_way)
            code = None
            status, headers = self.script.popleft() if self.script else (200, {})
        if self.holds:
            self.release.wait(20)
        with self._lock:
            self.under_way -= 1
        if any(len(text) > self.longest for text in body.get("input", ())):
            status, code = 400, "context_length_exceeded"
        error = {"message": "as scripted", "type": "scripted", "code": code}
        answer = _whole(body) if status == 200 else {"error": error}
        data = json.dumps(answer).encode()
        handler.send_response(status)
        for name, value in {"content-length": str(len(data)), **self.headers, **headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(data)


def _whole(body: dict[str, Any]) -> dict[str, Any]:
    if "input" in body:
        data = [{"index": place, "embedding": [3.0, 4.0]} for place in range(len(body["input"]))]
        return {"model": "e", "data": data, "usage": {"prompt_tokens": len(data), "total_tokens": len(data)}}
    message = {"role": "assistant", "content": body["messages"][-1]["content"]}
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    return {
        "id": "1",
        "model": "m",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": usage,
    }


class Heard:
    """What a gateway told of."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, event: Event) -> None:
        self.events.append(event)

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


@pytest.fixture
def remotes() -> Iterator[Callable[[], Remote]]:
    """Make upstreams, each at a port of its own."""
    made: list[Remote] = []

    def make() -> Remote:
        made.append(Remote())
        return made[-1]

    yield make
    for one in made:
        one.kill()


@pytest.fixture
def hear() -> Callable[[LiteLLMGateway], Heard]:
    """Listen to a gateway."""

    def listen(gateway: LiteLLMGateway) -> Heard:
        heard = Heard()
        gateway.subscribe(heard)
        return heard

    return listen


@pytest.fixture
def gateway_over() -> Callable[..., LiteLLMGateway]:
    """Make a gateway whose model `m` has a deployment at each of the remotes; `each` goes to all of them."""

    def make(*remotes: Remote, each: dict[str, Any] | None = None, **settings: Any) -> LiteLLMGateway:
        entries = [
            {
                "model_name": "m",
                "litellm_params": {"model": "openai/m", "api_base": one.url, "api_key": "sk-0123456789abcdef"}
                | (each or {}),
            }
            for one in remotes
        ]
        return LiteLLMGateway(
            GatewayConfig(
                model_list=entries,  # type: ignore[arg-type]
                **{"default_model": "m", "max_retries": 0, "close_timeout": 0.2, **settings},
            )
        )

    return make


@pytest.fixture
def limit_of() -> Callable[[LiteLLMGateway, str], Any]:
    """Find a limit by its scope."""

    def find(gateway: LiteLLMGateway, scope: str) -> Any:
        return next(one for one in gateway.rate_limits() if one.scope == scope)

    return find
