"""Redis and Valkey: a single server, sentinels or a cluster, over one connection that everybody shares."""

from gatewright.storage.redis.address import RedisAddress
from gatewright.storage.redis.connection import Unanswered
from gatewright.storage.redis.script import Script
from gatewright.storage.redis.store import RedisStore, StoreStatus

__all__ = ["RedisAddress", "RedisStore", "Script", "StoreStatus", "Unanswered"]
