"""What Redis is told of a limit, and what it tells: packed doubles, as the scripts beside this file describe them."""

from __future__ import annotations

import math
from importlib.resources import files
from struct import Struct

from gatewright.layers.rate_limiter.config import RateLimitConfig
from gatewright.layers.rate_limiter.limit import Limit
from gatewright.storage.redis import RedisStore, Script

__all__ = [
    "AMEND",
    "AMENDED",
    "AMENDMENT",
    "BACK_BELIEF_AND_WAITING",
    "CHARGE",
    "LEFT",
    "RENEW",
    "RESERVE",
    "VERDICT",
    "Terms",
    "belief",
    "mirror",
]

CHARGE = Struct("<ddd8s")
VERDICT = Struct("<dd")
BACK_BELIEF_AND_WAITING = Struct("<dddddd")
LEFT = Struct("<dddddd")
AMENDMENT = Struct("<dddddddddd")
AMENDED = Struct("<ddddd")

_RATES = Struct("<dddd")
_MAXIMUM = Struct("<d")
# Pauses that differ by less are the same: the clocks of two machines were read at different moments.
SAME_PAUSE = 0.005


def _script(name: str) -> Script:
    return Script(files(__package__ or "").joinpath(f"{name}.lua").read_text("utf-8"))


RESERVE, AMEND, RENEW = _script("reserve"), _script("amend"), _script("renew")


class Terms:
    """A limit's keys and its configuration, packed once."""

    __slots__ = ("config", "key", "permits_key", "rates", "rates_and_maximum")

    def __init__(self, limit: Limit, store: RedisStore) -> None:
        config = self.config = limit.config
        self.key = store.key(f"limit:{limit.scope}")
        self.permits_key = None if config.max_concurrent is None else store.key(f"permits:{limit.scope}")
        self.rates = _RATES.pack(*_rates(config))
        self.rates_and_maximum = self.rates + _MAXIMUM.pack(config.max_concurrent or 0)


def _rates(config: RateLimitConfig) -> tuple[float, float, float, float]:
    requests, tokens = config.requests_per_minute, config.tokens_per_minute
    return (
        -1.0 if requests is None else requests / 60.0,
        math.inf if requests is None else config.request_burst,
        -1.0 if tokens is None else tokens / 60.0,
        math.inf if tokens is None else config.token_burst,
    )


def belief(limit: Limit, now: float) -> tuple[float, float, float]:
    """Give what this process believes is left: requests, tokens, and the seconds of the pause."""
    # `Limit.flows_from` and `Bucket.level`, written out, as below: every question does this at several limits.
    flows = limit.paused_until
    if flows < now:
        flows = now
    requests = tokens = math.inf
    if (bucket := limit.requests) is not None:
        missing = bucket.full_at - flows
        requests = bucket.burst - missing * bucket.rate if missing > 0.0 else bucket.burst
    if (bucket := limit.tokens) is not None:
        missing = bucket.full_at - flows
        tokens = bucket.burst - missing * bucket.rate if missing > 0.0 else bucket.burst
    return requests, tokens, flows - now


def mirror(limit: Limit, now: float, requests: float, tokens: float, pause: float) -> None:
    """Believe what Redis says is left."""
    if pause > 0.0 and now + pause > limit.paused_until + SAME_PAUSE:
        limit.pause_until(now + pause, now)
    flows = limit.paused_until
    if flows < now:
        flows = now
    if (bucket := limit.requests) is not None:
        bucket.full_at = flows + (bucket.burst - requests) * bucket.each
    if (bucket := limit.tokens) is not None:
        bucket.full_at = flows + (bucket.burst - tokens) * bucket.each
