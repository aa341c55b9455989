"""An upstream in a process of its own, to be killed: `python upstream.py PORT`; speaks enough of OpenAI's wire.

`GET /count` gives how many completions were asked for, `GET /break` has all of them answered with 500 from then on,
`GET /mend` ends that.
"""

import asyncio
import json
import sys

ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "pong"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}
DOWN = {"error": {"message": "down", "type": "server_error"}}


class Upstream:
    def __init__(self):
        self.count = 0
        self.broken = False

    def answer(self, path):
        if path == "/count":
            return 200, {"count": self.count}
        if path in ("/break", "/mend"):
            self.broken = path == "/break"
            return 200, {}
        self.count += 1
        return (500, DOWN) if self.broken else (200, ANSWER)

    async def serve(self, reader, writer):
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.decode().split("\r\n")
                length = next((int(one.split(":")[1]) for one in lines if one.lower().startswith("content-length")), 0)
                await reader.readexactly(length)
                status, body = self.answer(lines[0].split(" ")[1])
                data = json.dumps(body).encode()
                head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
                writer.write(head.encode() + data)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


async def main(port):
    server = await asyncio.start_server(Upstream().serve, "127.0.0.1", port)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
