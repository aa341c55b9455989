import asyncio
import subprocess

import pytest

from gatewright.errors import ConfigurationError
from gatewright.storage.errors import StoreUnavailable
from gatewright.storage.redis import RedisStore, Script

ECHO = Script("return ARGV[1]")
WRONG = Script("return redis.call('GET')")


async def run(store, script=ECHO, *args, seconds=0.5):
    answered = asyncio.get_running_loop().create_future()
    store.run(script, [store.key("k")], args, answered.set_result)
    return await asyncio.wait_for(answered, seconds)


@pytest.fixture
async def store(redis_server):
    store = RedisStore(redis_server.url, scripts=[ECHO])
    yield store
    await store.aclose()


async def eventually(condition, seconds=5.0):
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


async def test_it_connects_at_the_first_question(store):
    assert store.status().state == "unused"
    assert await run(store, ECHO, b"\x00\r\n") == b"\x00\r\n"
    assert store.status().state == "healthy"


async def test_answers_are_not_mixed_up(redis_server):
    store = RedisStore(redis_server.url, scripts=[ECHO], patience=5.0)
    await store.open()
    words = [b"%d" % n for n in range(500)]
    assert await asyncio.gather(*(run(store, ECHO, word, seconds=5.0) for word in words)) == words
    await store.aclose()


async def test_a_script_that_the_server_forgot_is_sent_in_full(store, redis_server):
    await run(store, ECHO, b"a")
    redis_server.ask("SCRIPT", "FLUSH")
    assert await run(store, ECHO, b"b") == b"b"
    assert store.status().outages == 0


async def test_an_error_of_the_server_is_an_outage_and_names_its_code(store):
    await run(store, ECHO, b"a")
    failure = await run(store, WRONG)
    assert isinstance(failure, StoreUnavailable)
    assert failure.upstream_code == "ERR"
    assert store.is_degraded
    await eventually(lambda: not store.is_degraded)
    assert await run(store, ECHO, b"b") == b"b"


async def test_what_is_slow_is_told_in_time_and_a_paused_server_comes_back(store, redis_server):
    await run(store, ECHO, b"a")
    redis_server.pause()
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert isinstance(await run(store, ECHO, b"b"), StoreUnavailable)
    assert loop.time() - began < 0.3
    assert store.status().state == "degraded"
    assert "90 ms" in str(store.status().last_error)
    began = loop.time()
    assert isinstance(await run(store, ECHO, b"c"), StoreUnavailable)
    assert loop.time() - began < 0.05
    redis_server.go_on()
    await eventually(lambda: not store.is_degraded)
    assert await run(store, ECHO, b"d") == b"d"
    assert store.status().outages == 1


async def test_a_server_that_was_killed_comes_back(store, redis_server):
    await run(store, ECHO, b"a")
    redis_server.kill()
    await eventually(lambda: store.is_degraded)
    with pytest.raises(StoreUnavailable):
        await store.check()
    redis_server.start()
    await eventually(lambda: not store.is_degraded)
    await store.check()


async def test_a_server_that_is_not_there_is_no_error_of_opening(redis_server):
    redis_server.stop()
    store = RedisStore(redis_server.url)
    await store.open()
    assert store.status().state == "degraded"
    assert isinstance(await run(store), StoreUnavailable)
    await store.aclose()


async def test_what_does_not_speak_redis_is_told(unused_tcp_port):
    async def nonsense(reader, writer):
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(nonsense, "127.0.0.1", unused_tcp_port)
    store = RedisStore(f"redis://127.0.0.1:{unused_tcp_port}")
    await store.open()
    assert "protocol" in str(store.status().last_error)
    await store.aclose()
    server.close()
    await server.wait_closed()


async def test_a_password_is_sent_and_never_shown(start_redis):
    server = start_redis("--requirepass", "hunter2-hunter2")
    right = RedisStore(server.url.replace("redis://", "redis://:hunter2-hunter2@"))
    wrong = RedisStore(server.url.replace("redis://", "redis://:wrong-hunter@"))
    assert await run(right, ECHO, b"x") == b"x"
    await wrong.open()
    assert "WRONGPASS" in str(wrong.status().last_error)
    assert "hunter" not in f"{right!r}{wrong!r}{wrong.status()}"
    await right.aclose()
    await wrong.aclose()


async def test_a_unix_socket_and_a_database_of_its_own(start_redis, tmp_path):
    start_redis("--unixsocket", str(tmp_path / "s"))
    store = RedisStore(f"unix://{tmp_path / 's'}?db=3")
    assert await run(store, ECHO, b"x") == b"x"
    assert await run(store, Script("return redis.call('CLIENT', 'INFO')")) is not None
    await store.aclose()


@pytest.fixture
def own_certificate(tmp_path):
    key, certificate = str(tmp_path / "key.pem"), str(tmp_path / "certificate.pem")
    make = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=redis -addext subjectAltName=IP:127.0.0.1"
    subprocess.run([*make.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return key, certificate


# The Valkey that can be had by pip was built without TLS.
@pytest.mark.parametrize("redis_program", ["redis-server"], indirect=True)
async def test_tls_is_verified(start_redis, own_certificate, unused_tcp_port):
    key, certificate = own_certificate
    files = ("--tls-cert-file", certificate, "--tls-key-file", key, "--tls-ca-cert-file", certificate)
    start_redis("--tls-port", str(unused_tcp_port), "--tls-auth-clients", "no", *files)
    right = RedisStore(f"rediss://127.0.0.1:{unused_tcp_port}?ssl_ca_certs={certificate}")
    wrong = RedisStore(f"rediss://127.0.0.1:{unused_tcp_port}")
    await right.open()
    await wrong.open()
    assert await run(right, ECHO, b"x") == b"x"
    assert "SSLCertVerificationError" in str(wrong.status().last_error)
    await right.aclose()
    await wrong.aclose()


def test_it_moves_to_another_loop(redis_server):
    store = RedisStore(redis_server.url)
    assert asyncio.run(run(store, ECHO, b"a")) == b"a"
    assert asyncio.run(run(store, ECHO, b"b")) == b"b"
    store.abandon()
    assert store.status().state == "unused"


async def test_closing_ends_what_is_under_way(store):
    answered = asyncio.get_running_loop().create_future()
    store.run(ECHO, [], [b"x"], answered.set_result)
    await store.aclose()
    assert isinstance(await answered, StoreUnavailable)
    assert await run(store, ECHO, b"again") == b"again"


@pytest.mark.parametrize("url", ["rediss://localhost:1?ssl_ca_certs=/not/there.pem", "redis://a..b:1"])
async def test_what_cannot_even_be_tried_is_tried_again_and_told_why(url, caplog):
    store = RedisStore(url, scripts=[ECHO])
    await store.open()
    await eventually(lambda: store.is_degraded)
    with pytest.raises(StoreUnavailable) as told:
        await store.check()
    assert told.value.reason is not None
    assert ("ssl_ca_certs" in told.value.reason) == url.startswith("rediss")
    assert [record.getMessage() for record in caplog.records if record.name == "gatewright.redis"] == [
        f"Redis at {store.address.where} is not used for now: {told.value.reason}"
    ]
    assert store._task is not None
    assert not store._task.done()
    await store.aclose()


async def test_a_nesting_without_end_is_no_reply(caplog):
    async def deep(reader, writer):
        await reader.read(10)
        writer.write(b"*1\r\n" * 100_000)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(deep, "127.0.0.1", 0)
    store = RedisStore(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}", scripts=[ECHO])
    await store.open()
    await eventually(lambda: store.is_degraded)
    assert "protocol" in str(store.status().last_error)
    assert not [record for record in caplog.records if record.name == "asyncio"]
    await store.aclose()
    server.close()


def test_a_namespace_that_leaves_no_hash_tag_is_refused():
    with pytest.raises(ConfigurationError, match="redis_namespace"):
        RedisStore("redis://localhost", namespace="}x")


async def test_a_server_that_can_be_opened_and_refuses_is_one_outage_told_once(store, redis_server, caplog):
    write = Script("return redis.call('SET', KEYS[1], 'v')")
    opened = []
    store.use(on_return=lambda: opened.append(store))
    assert await run(store, write) == b"OK"
    redis_server.ask("CONFIG", "SET", "maxmemory", "1")
    until = asyncio.get_running_loop().time() + 3.0
    while asyncio.get_running_loop().time() < until:
        assert isinstance(await run(store, write), StoreUnavailable)
        await asyncio.sleep(0.005)
    assert 2 <= len(opened) <= 12
    assert store.status().outages == 1
    assert len([record for record in caplog.records if record.name == "gatewright.redis"]) == 1
    redis_server.ask("CONFIG", "SET", "maxmemory", "0")
    await eventually(lambda: not store.is_degraded)
    assert await run(store, write) == b"OK"
