"""Both clients: certificate authorities, proxies of the environment, and HTTP/2."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from gatewright.errors import BadRequest, ConfigurationError, ConnectionFailed, InvalidProviderResponse, ProviderTimeout
from gatewright.providers.http.aiohttp_client import AiohttpClient
from gatewright.providers.http.base import HttpClient, Timeouts
from gatewright.providers.http.environment import proxy_for
from gatewright.providers.http.httpx_client import HttpxClient
from providers.certificates import Authority
from providers.http.h2_upstream import Http2Upstream
from providers.http.proxies import Proxy
from providers.openai_wire.lane import Lane, call
from providers.upstream import CLOSE, HANG, Upstream, chunk, completion, head, reply, sse

Make = Callable[..., HttpClient]
NAMES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*NAMES, "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture(params=[AiohttpClient, HttpxClient])
async def make(request: pytest.FixtureRequest) -> AsyncIterator[Make]:
    clients: list[HttpClient] = []

    def made(**settings: Any) -> HttpClient:
        clients.append(request.param(**settings))
        return clients[-1]

    yield made
    for client in clients:
        await client.aclose()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


async def text(client: HttpClient, url: str, *, stream: bool = False, **more: Any) -> str:
    lane = Lane(Upstream(), client)
    answer = await lane.generate(base_url=url, stream=stream, **more)
    return answer.choices[0].text


# --- certificates ---


async def test_a_ca_file_is_trusted(make: Make, authority: Authority):
    async with Upstream(tls=authority.server("IP:127.0.0.1")) as upstream:
        assert await text(make(ca_file=str(authority.ca)), upstream.url) == "hello"


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
async def test_a_ca_of_the_environment_is_trusted(
    make: Make, authority: Authority, monkeypatch: pytest.MonkeyPatch, variable: str
):
    """Also where the variable was set long after aiohttp was imported, and made its own context."""
    monkeypatch.setenv(variable, str(authority.ca))
    async with Upstream(tls=authority.server("IP:127.0.0.1")) as upstream:
        assert await text(make(), upstream.url) == "hello"


async def test_an_unknown_authority_is_refused_and_not_tried_again(make: Make, authority: Authority):
    async with Upstream(tls=authority.server("IP:127.0.0.1")) as upstream:
        with pytest.raises(ConnectionFailed, match=r"not trusted|TLS") as caught:
            await text(make(), upstream.url)
    assert not caught.value.retryable


async def test_a_certificate_for_another_name_is_refused(make: Make, authority: Authority):
    async with Upstream(tls=authority.server("DNS:elsewhere.test")) as upstream:
        with pytest.raises(ConnectionFailed, match=r"not trusted|TLS") as caught:
            await text(make(ca_file=str(authority.ca)), upstream.url)
    assert not caught.value.retryable


async def test_tls_to_a_server_without_it(make: Make):
    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Speak plainly\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        with pytest.raises(ConnectionFailed):
            await text(make(), f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}")


@pytest.mark.parametrize("what", ["missing", "empty", "folder"])
async def test_a_ca_file_that_cannot_be_read_says_so(make: Make, tmp_path: Path, what: str):
    path = tmp_path / "ca.pem"
    if what == "empty":
        path.write_text("")
    elif what == "folder":
        path.mkdir()
    with pytest.raises(ConfigurationError, match="ca_file"):
        await text(make(ca_file=str(path)), "https://127.0.0.1:1")


# --- proxies ---


async def test_a_proxy_forwards_plain_requests(make: Make, monkeypatch: pytest.MonkeyPatch):
    async with Upstream() as upstream, Proxy(upstream.port) as proxy:
        monkeypatch.setenv("http_proxy", f"http://me:pass@{proxy.address}")
        assert await text(make(), "http://provider.test/v1") == "hello"
        assert proxy.lines == ["POST http://provider.test/v1/chat/completions HTTP/1.1"]
        assert "proxy-authorization: basic bwu6cgfzcw==" in proxy.heads[0]


async def test_a_proxy_tunnels_tls(make: Make, authority: Authority, monkeypatch: pytest.MonkeyPatch):
    async with (
        Upstream(tls=authority.server("DNS:provider.test")) as upstream,
        Proxy(upstream.port) as proxy,
    ):
        monkeypatch.setenv("HTTPS_PROXY", f"http://{proxy.address}")
        assert await text(make(ca_file=str(authority.ca)), "https://provider.test/v1") == "hello"
        assert proxy.lines == ["CONNECT provider.test:443 HTTP/1.1"]
        assert "sk-test" not in proxy.heads[0]


async def test_this_machine_is_never_asked_by_way_of_a_proxy(make: Make, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    async with Upstream() as upstream:
        assert await text(make(), upstream.url) == "hello"
        assert await text(make(), upstream.url.replace("127.0.0.1", "localhost")) == "hello"


@pytest.mark.parametrize(("status", "retryable"), [(407, False), (502, True)])
async def test_a_proxy_that_refuses(monkeypatch: pytest.MonkeyPatch, status: int, retryable: bool):
    client = AiohttpClient()
    async with Proxy(1, refusal=head(status, content_length="0")) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:hidden@{proxy.address}")
        with pytest.raises(ConnectionFailed, match=str(status)) as caught:
            await text(client, "https://provider.test/v1")
    await client.aclose()
    assert caught.value.retryable is retryable
    assert "hidden" not in repr(vars(caught.value)) + repr(caught.value.__cause__) + repr(caught.value.__context__)


async def test_a_proxy_that_is_not_there(make: Make, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://me:hidden@127.0.0.1:1")
    with pytest.raises(ConnectionFailed) as caught:
        await text(make(), "https://provider.test/v1")
    assert caught.value.retryable
    assert "hidden" not in repr(vars(caught.value)) + repr(caught.value.__cause__) + repr(caught.value.__context__)


async def test_a_proxy_that_says_nothing_is_given_up_with_the_time_to_connect(monkeypatch: pytest.MonkeyPatch):
    client = AiohttpClient(connect_timeout=0.1)
    async with Upstream([HANG]) as silent:
        monkeypatch.setenv("HTTPS_PROXY", silent.url)
        with pytest.raises(ProviderTimeout, match="connecting"):
            await text(client, "https://provider.test/v1")
    await client.aclose()


async def test_a_proxy_of_another_kind_is_refused_by_name(make: Make, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ALL_PROXY", "gopher://127.0.0.1:1")
    with pytest.raises(ConfigurationError, match=r"proxy|proxies"):
        await text(make(), "https://provider.test/v1")


@pytest.mark.parametrize(
    ("url", "no_proxy", "used"),
    [
        ("http://a.test/v1", "", True),
        ("http://a.test/v1", "a.test", False),
        ("http://a.test:8080/v1", "a.test", False),
        ("http://a.test:8080/v1", "a.test:8080", False),
        ("http://a.test:8081/v1", "a.test:8080", True),
        ("http://x.a.test/v1", ".a.test", False),
        ("http://me:pw@a.test/v1", "a.test", False),
        ("http://a.test/v1", "*", False),
        ("http://localhost:1/v1", "", False),
        ("http://127.8.8.8/v1", "", False),
        ("http://[::1]:8080/v1", "", False),
        ("http://[2001:db8::1]:8080/v1", "", True),
        ("http://[2001:db8::1]:8080/v1", "2001:db8::1", False),
    ],
)
def test_who_is_asked_by_way_of_the_proxy(monkeypatch: pytest.MonkeyPatch, url: str, no_proxy: str, used: bool):
    monkeypatch.setenv("HTTP_PROXY", "proxy.test:3128")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    assert proxy_for(url) == ("http://proxy.test:3128" if used else None)


def test_the_environment_is_looked_at_by_each_client_anew(monkeypatch: pytest.MonkeyPatch):
    assert proxy_for("http://a.test") is None
    monkeypatch.setenv("ALL_PROXY", "http://proxy.test")
    assert proxy_for("http://a.test") == "http://proxy.test"


# --- HTTP/2, and what httpx has to do as the default client does ---


@pytest.fixture
async def second(authority: Authority) -> AsyncIterator[Http2Upstream]:
    async with Http2Upstream(authority.server("IP:127.0.0.1", protocols=("h2",))) as upstream:
        yield upstream


@pytest.fixture
async def httpx(authority: Authority) -> AsyncIterator[HttpxClient]:
    client = HttpxClient(ca_file=str(authority.ca))
    yield client
    await client.aclose()


async def test_many_calls_share_one_connection_of_http2(second: Http2Upstream, httpx: HttpxClient):
    assert await text(httpx, second.url) == "hello"
    found = await asyncio.gather(*[text(httpx, second.url, stream=n % 2 == 0) for n in range(10)])
    assert found == ["hello"] * 10
    assert second.connections == 1
    assert len(second.bodies) == 11


async def test_a_stream_of_http2_that_is_closed_early_is_reset(second: Http2Upstream, httpx: HttpxClient):
    second.silent = True
    stream = await Lane(Upstream(), httpx).provider(base_url=second.url)(call(stream=True))
    assert (await stream.batch())[0].text == "hel"
    await stream.aclose()
    await asyncio.wait_for(second.reset.wait(), 2)
    second.silent = False
    assert await text(httpx, second.url) == "hello"
    assert second.connections == 1


async def test_a_call_of_http2_that_is_cancelled_is_reset(second: Http2Upstream, httpx: HttpxClient):
    second.silent = True
    task = asyncio.create_task(text(httpx, second.url, stream=True))
    while not second.bodies:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(second.reset.wait(), 2)


async def test_without_http2_the_other_side_is_asked_by_http1_and_connections_are_used_again(httpx: HttpxClient):
    async with Upstream(reply(completion()), sse(chunk("x", finish="stop"), "[DONE]")) as upstream:
        for stream in (False, True, True):
            await text(httpx, upstream.url, stream=stream)
        assert upstream.connections == 1


@pytest.mark.parametrize(
    ("script", "timeouts"),
    [
        ([HANG], Timeouts(first_byte=0.1)),
        ([HANG], Timeouts(total=0.1)),
        ([head(content_length="9"), HANG], Timeouts(chunk=0.1)),
        ([head(content_length="9"), *[part for _ in range(50) for part in (b" ", 0.05)]], Timeouts(total=0.3)),
    ],
)
async def test_httpx_has_the_same_limits(httpx: HttpxClient, script: Any, timeouts: Timeouts):
    async with Upstream(script) as upstream:
        with pytest.raises(ProviderTimeout):
            await text(httpx, upstream.url, timeouts=timeouts)
        await asyncio.wait_for(upstream.gone.wait(), 2)


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        ([CLOSE], ConnectionFailed),
        ([b"garbage\r\n\r\n"], ConnectionFailed),
        ([head(content_length="100") + b"{", CLOSE], InvalidProviderResponse),
        ([head(content_length="5", content_encoding="gzip") + b"hello"], InvalidProviderResponse),
    ],
)
async def test_httpx_has_the_same_errors(httpx: HttpxClient, script: Any, kind: type[Exception]):
    async with Upstream(script) as upstream:
        with pytest.raises(kind) as caught:
            await text(httpx, upstream.url)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


async def test_a_client_that_nobody_closed_complains_of_nothing():
    async with Upstream() as upstream:
        client = AiohttpClient()
        assert await text(client, upstream.url) == "hello"
        client.abandon()
        del client
        gc.collect()
        await asyncio.sleep(0.01)


# --- requests that are not taken whole ---


async def test_a_large_request_that_is_answered_before_all_of_it_was_sent():
    """Whoever answers so early may not read the rest: the next request takes another connection."""
    connections: list[asyncio.StreamWriter] = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(reply({"error": {"message": "too large"}}, 413)[0])  # pyright: ignore[reportArgumentType]

    client = AiohttpClient()
    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        long = [{"role": "user", "content": "x" * 30_000_000}]
        for _ in range(2):
            with pytest.raises(BadRequest, match="too large"):
                await Lane(Upstream(), client).generate(base_url=url, messages=long)
        assert len(connections) == 2
        await client.aclose()
        for writer in connections:
            writer.close()


async def test_a_large_request_that_nobody_reads_is_let_go_of_at_once():
    gone = asyncio.Event()

    async def ignore(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(0.3)
        with contextlib.suppress(OSError):
            while await reader.read(1_000_000):
                pass
        gone.set()
        writer.close()

    client = AiohttpClient()
    async with await asyncio.start_server(ignore, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        long = [{"role": "user", "content": "x" * 30_000_000}]
        with pytest.raises(ProviderTimeout):
            await Lane(Upstream(), client).generate(base_url=url, messages=long, timeout=0.1)
        await asyncio.wait_for(gone.wait(), 5)
    await client.aclose()


@pytest.mark.parametrize("header", ["authorization", "Authorization"])
async def test_an_address_with_a_user_and_a_header_that_says_who_asks(header: str):
    client = AiohttpClient()
    with pytest.raises(ConnectionFailed):
        await client.post("http://me:secret@127.0.0.1:1/v1", ((header, "Bearer x"),), b"{}", Timeouts())
    await client.aclose()


async def test_an_address_with_a_user_says_so_in_a_header(make: Make):
    async with Upstream() as upstream:
        url = upstream.url.replace("//", "//me:pass@")
        assert await text(make(), url, api_key=None, provider="own") == "hello"
        assert upstream.asked[0].headers["authorization"] == "Basic bWU6cGFzcw=="


async def test_a_provisional_answer_is_passed_over():
    client = AiohttpClient()
    async with Upstream([head(103, link="</a>"), *reply(completion("hi"))]) as upstream:
        assert await text(client, upstream.url) == "hi"
        assert await text(client, upstream.url) == "hi"
        assert upstream.connections == 1
    await client.aclose()
