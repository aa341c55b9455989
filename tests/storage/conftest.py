"""What is said of Redis is said of Valkey: both are started."""

import pytest
from tests.servers import redis


@pytest.fixture(scope="session", params=redis.PROGRAMS)
def redis_program(request):
    return redis.program(request.param)
