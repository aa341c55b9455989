"""The real servers of the tests: Redis and PostgreSQL, each started when a test asks for it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from tests.servers import postgres, redis
from tests.servers.programs import missing
from tests.servers.redis import RedisServer

# A test asserts no time, an example of a property's neither.
settings.register_profile("gatewright", deadline=None)
settings.load_profile("gatewright")


@pytest.fixture(scope="session", autouse=True)
def data_directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give the directory for the data of every gateway that a test makes without one of its own."""
    directory = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GATEWRIGHT_DATA_DIR", str(directory))
        yield directory


@pytest.fixture(scope="session")
def redis_program() -> str:
    """The server that `start_redis` starts; tests of what must do with Valkey too override it by `redis.PROGRAMS`."""
    return redis.program("redis-server")


@pytest.fixture
def start_redis(redis_program: str, tmp_path: Path) -> Iterator[Callable[..., RedisServer]]:
    """Give what starts a server with these options, or a sentinel with a file; all are stopped at the end."""
    servers: list[RedisServer] = []

    def start(*options: str, config: Path | None = None) -> RedisServer:
        directory = tmp_path / f"redis-{len(servers)}"
        directory.mkdir()
        server = RedisServer(redis_program, directory, *options, config=config)
        servers.append(server)
        server.start()
        return server

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def redis_server(start_redis: Callable[..., RedisServer]) -> RedisServer:
    return start_redis()


@pytest.fixture(scope="session")
def postgres_template() -> Iterator[postgres.Template]:
    template = postgres.Template(postgres.programs() or missing("postgres", "apt-get install postgresql"))
    yield template
    template.remove()


@pytest.fixture
def postgres_server(postgres_template: postgres.Template) -> Iterator[postgres.PostgresServer]:
    """A server of the test's own, to pause and kill."""
    server = postgres.PostgresServer(postgres_template)
    server.start()
    yield server
    server.remove()


@pytest.fixture(scope="session")
def shared_postgres_server(postgres_template: postgres.Template) -> Iterator[postgres.PostgresServer]:
    """One server for all tests that leave it running."""
    server = postgres.PostgresServer(postgres_template)
    server.start()
    yield server
    server.remove()


@pytest.fixture
def postgres_url(shared_postgres_server: postgres.PostgresServer) -> str:
    """An empty database of the test's own, on a server that other tests use too."""
    return shared_postgres_server.new_database(f"test-{uuid.uuid4().hex}")
