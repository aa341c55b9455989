"""Records as a busy service makes them: some tenants, some models, many users and sessions, few failures."""

from __future__ import annotations

import random
from collections.abc import Iterator

from gatewright.types.operations import OPERATION_TYPES, STATUSES
from gatewright.types.records import AttemptRecord, OperationRecord

__all__ = ["sample"]

START = 1_790_000_000
MODELS = [
    ("gpt-4o", "openai"),
    ("gpt-4o-mini", "openai"),
    ("claude-sonnet-4-5", "anthropic"),
    ("mistral-large", "mistral"),
]


def sample(count: int, seconds: float, *, tenants: int = 20, seed: int = 1) -> Iterator[OperationRecord]:
    """Make `count` records of operations that began within so many seconds, in their order."""
    rng = random.Random(seed)
    for number in range(count):
        yield _record(rng, START + seconds * number / count, rng.randrange(tenants))


def _record(rng: random.Random, at: float, tenant: int) -> OperationRecord:
    model, provider = rng.choices(MODELS, (5, 3, 2, 1))[0]
    streamed, latency = rng.random() < 0.4, int(rng.lognormvariate(0, 0.8) * 900_000)
    record = OperationRecord(
        int(at).to_bytes(4, "big") + rng.randbytes(8),
        int(at * 1000),
        OPERATION_TYPES.index("streaming" if streamed else "chat"),
        STATUSES.index(rng.choices(("success", "error", "timeout", "rate_limited"), (95, 2, 1, 2))[0]),
        tenant=f"tenant-{tenant}",
        user=f"user-{rng.randrange(5000)}",
        session=rng.randbytes(10).hex() if rng.random() < 0.7 else None,
        key=f"key-{rng.randrange(40)}",
        model=model,
        provider=provider,
        requested_model=model,
        answered_model=f"{model}-2026-01-01",
        deployment=f"{model}#0",
        lane="direct",
        streamed=streamed,
        prompt_tokens=rng.randrange(50, 4000),
        completion_tokens=rng.randrange(10, 900),
        cached_tokens=rng.randrange(2000) if rng.random() < 0.2 else 0,
        cost=rng.randrange(10**8, 10**10),
        price_source="catalogue",
        latency=latency,
        first_token=latency // 3 if streamed else None,
        overhead=rng.randrange(80, 400),
    )
    if rng.random() < 0.03:
        failed = AttemptRecord(f"{model}#1", provider, 80, 1000, "ProviderUnavailable")
        record.retries, record.attempts = 1, (failed, AttemptRecord(f"{model}#0", provider, 1200, latency))
    return record
