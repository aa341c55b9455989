"""An OpenAI of one's own: the examples' keys and models exist there."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
import pytest


class _OpenAI(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        asked = msgspec.json.decode(self.rfile.read(int(self.headers["content-length"])))
        if self.path.endswith("/embeddings"):
            self._send(_vectors(asked), "application/json")
        elif asked.get("stream"):
            self._send(_events(asked), "text/event-stream")
        else:
            self._send(_whole(asked), "application/json")

    def _send(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


USAGE = {"prompt_tokens": 4, "completion_tokens": 3, "total_tokens": 7}


def _whole(asked: dict[str, Any]) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": "A real answer."}, "finish_reason": "stop"}
    return msgspec.json.encode({"id": "1", "model": asked["model"], "choices": [choice], "usage": USAGE})


def _events(asked: dict[str, Any]) -> bytes:
    deltas = [{"content": "Once "}, {"content": "upon "}, {"content": "a time."}]
    events = [{"choices": [{"index": 0, "delta": delta}], "model": asked["model"]} for delta in deltas]
    events.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": USAGE})
    return b"".join(b"data: " + msgspec.json.encode(event) + b"\n\n" for event in events) + b"data: [DONE]\n\n"


def _vectors(asked: dict[str, Any]) -> bytes:
    data = [{"index": place, "embedding": [3.0, 4.0]} for place in range(len(asked["input"]))]
    return msgspec.json.encode({"data": data, "model": asked["model"], "usage": {"prompt_tokens": 2}})


@pytest.fixture(scope="session")
def openai_upstream() -> Iterator[dict[str, str]]:
    """Give the environment of a program that finds it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _OpenAI)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield {
        **os.environ,
        "OPENAI_API_KEY": "sk-test-0123456789",
        "OPENAI_BASE_URL": f"http://127.0.0.1:{server.server_address[1]}/v1",
    }
    server.shutdown()
    thread.join()
    server.server_close()
