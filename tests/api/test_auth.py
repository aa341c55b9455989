"""Who may ask."""

from typing import Any

import pytest

from gatewright import GatewayConfig
from gatewright.api.auth import Authentication, check_exposure, is_loopback, master_key
from gatewright.api.errors import KeyNotAccepted, OriginRefused
from gatewright.api.exchange import Exchange
from gatewright.errors import ConfigurationError, GatewayError


def exchange(server: tuple[str, int | None] | None = ("127.0.0.1", 80), **headers: str) -> Exchange:
    async def nothing(*_: Any) -> Any:
        raise AssertionError("not to be called")

    listed = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Exchange({"type": "http", "headers": listed, "server": server}, nothing, nothing)


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Bearer k-1"},
        {"authorization": "bearer  k-1 "},
        {"x_api_key": "k-1"},
        {"authorization": "Basic x", "x_api_key": "k-1"},
    ],
)
def test_the_key_opens(headers: dict[str, str]) -> None:
    Authentication("k-1").check(exchange(("10.0.0.1", 80), origin="http://elsewhere", **headers))


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer k-2"},
        {"authorization": "Bearer k-1x"},
        {"authorization": "k-1"},
        {"authorization": "Bearer "},
        {"x_api_key": "k"},
        {"x_api_key": "kü"},
        {"authorization": "Bearer k-2", "x_api_key": "k-1"},
    ],
)
def test_anything_else_does_not(headers: dict[str, str]) -> None:
    with pytest.raises(KeyNotAccepted) as caught:
        Authentication("k-1").check(exchange(**headers))
    assert caught.value.status == 401
    assert "k-" not in caught.value.message


@pytest.mark.parametrize("server", [("127.0.0.1", 80), ("::1", 80), ("localhost", 80), ("/run/socket", None), None])
@pytest.mark.parametrize("origin", [{}, {"origin": "http://localhost:3000"}, {"origin": "http://127.0.0.1"}])
def test_without_a_key_this_machine_may_ask(server: Any, origin: dict[str, str]) -> None:
    authentication = Authentication(None)
    authentication.check(exchange(server, **origin))
    with pytest.raises(OriginRefused):
        authentication.check(exchange(("10.0.0.1", 80), **origin))


@pytest.mark.parametrize(
    "origin", ["http://example.com", "null", "http://[", "http://127.0.0.1.example.com", "file://"]
)
def test_without_a_key_web_pages_from_elsewhere_may_not(origin: str) -> None:
    """A page that anyone opens can have their browser post to this machine."""
    with pytest.raises(GatewayError) as caught:
        Authentication(None).check(exchange(origin=origin))
    assert caught.value.status == 403


def test_open_is_open_where_it_is_meant() -> None:
    authentication = Authentication(None, allow_open=True)
    assert authentication.check(exchange(("10.0.0.1", 80), origin="http://example.com")) is None


def test_the_key_may_be_named_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_MASTER", "k-1")
    assert master_key(GatewayConfig(master_key="os.environ/MY_MASTER")) == "k-1"
    assert master_key(GatewayConfig()) is None


@pytest.mark.parametrize("key", ["os.environ/NOT_SET_ANYWHERE", "", " "])
def test_a_key_that_is_none_is_refused(key: str) -> None:
    with pytest.raises(ConfigurationError, match="master_key"):
        master_key(GatewayConfig(master_key=key))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.com", ""])
def test_without_a_key_nothing_is_served_to_others(host: str) -> None:
    with pytest.raises(ConfigurationError, match="allow-open"):
        check_exposure(GatewayConfig(), host, allow_open=False)
    check_exposure(GatewayConfig(), host, allow_open=True)
    check_exposure(GatewayConfig(master_key="k-1"), host, allow_open=False)


def test_this_machine() -> None:
    assert all(map(is_loopback, ["127.0.0.1", "127.8.9.1", "::1", "[::1]", "localhost", "a.localhost"]))
    assert not any(map(is_loopback, ["0.0.0.0", "10.0.0.1", "localhost.example.com", "", "::"]))
