"""Every call has a record, in the journal before its caller has the answer, and then in the store."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gatewright import GatewayConfig, LiteLLMGateway
from gatewright.errors import (
    ConfigurationError,
    DeadlineExceeded,
    GatewayError,
    ProviderUnavailable,
    RateLimited,
    RecordsUnavailable,
    StreamInterrupted,
    ValidationFailed,
)
from gatewright.pipeline.call import Call
from gatewright.pipeline.reply import Reply
from gatewright.storage.journal import JournalReader
from gatewright.types.folding import AnswerFold, chunks_of
from gatewright.types.operations import OPERATION_TYPES, STATUSES
from gatewright.types.records import OperationRecord, decode_record
from gatewright.types.requests import EmbedRequest
from gatewright.types.results import Answer, Choice, Chunk, Embeddings
from gatewright.types.usage import Usage

USAGE = Usage(prompt_tokens=10, completion_tokens=5, total_tokens=15, cached_tokens=4, reasoning_tokens=2)


class Scripted:
    """A provider that does what the prompt says: answer, fail in a way, hang, or break a stream off."""

    def __init__(self, name: str = "own") -> None:
        self.name = name
        self.asked = 0
        self.failures: list[GatewayError] = []
        self.usage = USAGE

    async def __call__(self, call: Call, /) -> Reply[Any, Any]:
        self.asked += 1
        if self.failures:
            raise self.failures.pop(0)
        if isinstance(call.request, EmbedRequest):
            vectors = [[1.0, 0.0] for _ in call.request.inputs]
            usage = Usage(prompt_tokens=len(vectors), total_tokens=len(vectors))
            return Reply[Any, Any].whole(
                Embeddings(
                    vectors=vectors, model="v-1", provider=self.name, deployment_id="m#0", usage=usage, cost_usd=0.25
                )
            )
        said = call.generation.messages[-1]["content"]
        if said == "hang":
            await asyncio.sleep(60)
        if call.stream:
            fold = AnswerFold(provider=self.name, model="m-1", deployment_id="m#0")
            return await Reply.begin(self._stream(said), fold)
        return Reply.whole(
            Answer(
                choices=[Choice(text=f"answer to {said}")],
                model="m-1",
                provider=self.name,
                deployment_id="m#0",
                usage=self.usage,
                cost_usd=0.000123456789,
            ),
            chunks_of,
        )

    async def _stream(self, said: str) -> AsyncGenerator[list[Chunk], None]:
        for place in range(3):
            yield [Chunk(text=f"{place} ")]
            await asyncio.sleep(0.01)
            if said == "break":
                raise ProviderUnavailable("gone")
        yield [Chunk(finish_reason="stop", usage=USAGE)]

    async def aclose(self) -> None: ...


@pytest.fixture
def provider() -> Scripted:
    return Scripted()


Make = Callable[..., LiteLLMGateway]


@pytest.fixture
def make(provider: Scripted, tmp_path: Path) -> Make:
    def make(**settings: Any) -> LiteLLMGateway:
        usual: dict[str, Any] = {
            "model_list": [{"model_name": "m", "litellm_params": {"model": "own/m-own"}}],
            "default_model": "m",
            "default_embedding_model": "m",
            "max_retries": 0,
            "data_dir": tmp_path,
        }
        return LiteLLMGateway(
            GatewayConfig(**{**usual, **settings}),
            providers={"own": lambda _: provider, "other": lambda _: Scripted("other")},
        )

    return make


def in_journal(directory: Path) -> list[OperationRecord]:
    """Give the records that a killed process would leave, in the order in which they were written."""
    reader = JournalReader(directory / "journal" / "sqlite")
    records = [decode_record(entry) for entry in reader.read(1000)]
    reader.close()
    return [record for record in records if isinstance(record, OperationRecord)]


def stored(directory: Path, sql: str = "SELECT * FROM operations ORDER BY started_at, id") -> list[dict[str, Any]]:
    with contextlib.closing(sqlite3.connect(directory / "records.sqlite")) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(sql)]


def status(record: OperationRecord) -> str:
    return STATUSES[record.status]


def kind(record: OperationRecord) -> str:
    return OPERATION_TYPES[record.type]


async def test_an_answer_is_in_the_journal_when_its_caller_has_it(make: Make, tmp_path: Path) -> None:
    async with make() as gateway:
        answer = await gateway.generate_async(
            "hello", tenant_id="acme", user="ann", session="s1", agent_id="support", key_id="k1", tags=["a", "b"]
        )
        (record,) = in_journal(tmp_path)
    assert answer.request_id == "req_" + record.id.hex()
    assert (record.tenant, record.user, record.session, record.key) == ("acme", "ann", "s1", "k1")
    assert (record.agent, record.tags) == ("support", ("a", "b"))
    assert (kind(record), status(record), record.streamed, record.error) == ("chat", "success", False, None)
    assert (record.requested_model, record.model, record.answered_model) == ("m", "m-own", "m-1")
    assert (record.provider, record.deployment, record.lane) == ("own", "m#0", "own")
    assert (record.prompt_tokens, record.completion_tokens) == (10, 5)
    assert (record.cached_tokens, record.reasoning_tokens, record.estimated) == (4, 2, False)
    assert record.cost == 123_456_789
    assert 0 < record.overhead <= record.latency < 10_000_000
    assert (record.first_token, record.queued, record.retries, record.fallbacks) == (None, 0, 0, 0)
    assert (record.request, record.answer, record.attempts) == (None, None, ())


async def test_a_stream_is_in_the_journal_when_its_end_is_read(make: Make, tmp_path: Path) -> None:
    async with make() as gateway:
        stream = gateway.generate_stream("hello", tenant_id="acme")
        await anext(stream)
        assert in_journal(tmp_path) == []
        async for _ in stream:
            pass
        (record,) = in_journal(tmp_path)
    assert (kind(record), status(record), record.streamed) == ("streaming", "success", True)
    assert record.first_token is not None
    assert 0 < record.first_token < record.latency - 20_000
    assert record.completion_tokens == 5
    assert record.overhead < record.latency


def test_blocking_callers_have_records_too(make: Make, tmp_path: Path) -> None:
    with make() as gateway:
        gateway.generate("hello")
        assert len(in_journal(tmp_path)) == 1
        assert list(gateway.generate_stream("hello"))
        assert len(in_journal(tmp_path)) == 2
        gateway.embed(["a", "b", "c"])
        record = in_journal(tmp_path)[-1]
        assert (kind(record), record.prompt_tokens, record.cost) == ("embedding", 3, 250_000_000_000)
    assert len(stored(tmp_path)) == 3


async def test_every_kind_of_call_is_told_apart(make: Make, tmp_path: Path) -> None:
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
    async with make(record_content=True) as gateway:
        await gateway.generate_async("hello", tools=tools)
        await gateway.embed_async("hello")
        kinds = [kind(record) for record in in_journal(tmp_path)]
    assert kinds == ["function_calling", "embedding"]


@pytest.mark.parametrize("level", ["moderate", "lenient"])
async def test_what_is_kept_of_a_text_is_redacted_by_the_guards(make: Make, tmp_path: Path, level: str) -> None:
    async with make(record_content=True, enable_validation=True, validation_level=level) as gateway:
        with contextlib.suppress(ValidationFailed):  # the provider says it again
            await gateway.generate_async("mail jane.doe@firm.com, with key AKIAIOSFODNN7EXAMPLQ")
        (record,) = in_journal(tmp_path)
    assert record.request is not None
    assert "jane" not in record.request
    assert "AKIA" not in record.request
    assert "<EMAIL_1>" in record.request


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (ProviderUnavailable("down"), "error"),
        (RateLimited("slower"), "rate_limited"),
        (DeadlineExceeded("late"), "timeout"),
    ],
)
async def test_a_call_that_fails_has_a_record(
    make: Make, provider: Scripted, tmp_path: Path, failure: GatewayError, expected: str
) -> None:
    provider.failures = [failure]
    async with make() as gateway:
        with pytest.raises(type(failure)):
            await gateway.generate_async("hello", tenant_id="acme")
        (record,) = in_journal(tmp_path)
    assert (status(record), record.error) == (expected, type(failure).__name__)
    assert (record.tenant, record.model, record.provider, record.deployment) == ("acme", "m-own", "own", "m#0")
    assert record.cost == 0


async def test_a_model_that_there_is_not_has_a_record(make: Make, tmp_path: Path) -> None:
    async with make() as gateway:
        with pytest.raises(GatewayError):
            await gateway.generate_async("hello", model="nowhere/none")
        (record,) = in_journal(tmp_path)
    assert (record.model, record.provider, status(record)) == ("nowhere/none", None, "error")


async def test_a_call_that_is_cancelled_or_too_late_has_a_record(make: Make, tmp_path: Path) -> None:
    async with make() as gateway:
        task = asyncio.create_task(gateway.generate_async("hang"))
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.wait([task])
        with pytest.raises(DeadlineExceeded):
            await gateway.generate_async("hang", timeout=0.05)
        first, second = in_journal(tmp_path)
    assert (status(first), status(second)) == ("cancelled", "timeout")


async def test_a_stream_that_is_left_or_breaks_has_a_record(make: Make, tmp_path: Path) -> None:
    async with make() as gateway:
        async with gateway.generate_stream("hello") as stream:
            await anext(stream)
        with pytest.raises(StreamInterrupted):
            async for _ in gateway.generate_stream("break"):
                pass
        left, broken = in_journal(tmp_path)
    assert (status(left), left.streamed) == ("cancelled", True)
    assert (status(broken), broken.error) == ("error", "StreamInterrupted")


async def test_retries_and_fallbacks_are_counted_and_each_attempt_kept(
    make: Make, provider: Scripted, tmp_path: Path
) -> None:
    provider.failures = [ProviderUnavailable("down"), ProviderUnavailable("down")]
    models = [
        {"model_name": "m", "litellm_params": {"model": "own/m-own"}},
        {"model_name": "spare", "litellm_params": {"model": "other/m-other"}},
    ]
    retries = {"base": 0.02, "cap": 0.02}
    async with make(model_list=models, max_retries=1, retries=retries, fallbacks={"m": ["spare"]}) as gateway:
        await gateway.generate_async("hello")
        (record,) = in_journal(tmp_path)
    assert (status(record), record.retries, record.fallbacks) == ("success", 1, 1)
    assert (record.model, record.provider) == ("m-other", "other")
    tried = [(one.deployment, one.provider, one.error) for one in record.attempts]
    assert tried == [
        ("m#0", "own", "ProviderUnavailable"),
        ("m#0", "own", "ProviderUnavailable"),
        ("spare#1", "other", None),
    ]
    begun = [one.began for one in record.attempts]
    assert begun == sorted(begun)
    assert len(stored(tmp_path, "SELECT * FROM attempts")) == 3


async def test_time_in_a_queue_is_no_overhead(make: Make, tmp_path: Path) -> None:
    limit = {"requests_per_minute": 600, "burst_size": 1}
    async with make(rate_limit=limit) as gateway:
        await asyncio.gather(*(gateway.generate_async(f"{number}") for number in range(3)))
        records = in_journal(tmp_path)
    waited = [record for record in records if record.queued]
    assert len(waited) == 2
    for record in waited:
        assert record.queued > 50_000
        assert record.overhead < record.latency - record.queued + 1000


async def test_who_shares_an_answer_pays_nothing_and_saves_it(make: Make, provider: Scripted, tmp_path: Path) -> None:
    async with make(deduplication={"enabled": True}) as gateway:
        await asyncio.gather(*(gateway.generate_async("same", tenant_id="acme") for _ in range(3)))
        records = in_journal(tmp_path)
    assert provider.asked == 1
    assert sorted(record.cost or 0 for record in records) == [0, 0, 123_456_789]
    assert sorted((record.cache or "", record.saved) for record in records) == [
        ("", 0),
        ("shared", 123_456_789),
        ("shared", 123_456_789),
    ]
    assert {record.model for record in records} == {"m-own"}


async def test_a_cached_answer_costs_nothing_and_saves_it(make: Make, provider: Scripted, tmp_path: Path) -> None:
    async with make(enable_caching=True, deduplication={"enabled": False}) as gateway:
        for _ in range(2):
            await gateway.generate_async("same", tenant_id="acme")
        first, second = in_journal(tmp_path)
    assert provider.asked == 1
    assert (first.cache, first.cost) == (None, 123_456_789)
    assert (second.cache, second.cost, second.saved) == ("memory", 0, 123_456_789)
    assert (second.model, second.provider, status(second)) == ("m-own", "own", "success")


async def test_an_answer_that_is_fetched_anew_is_an_operation_of_its_own(
    make: Make, provider: Scripted, tmp_path: Path
) -> None:
    cache = {"default_ttl": 0.05, "stale_while_revalidate": 60}
    async with make(enable_caching=True, cache=cache, deduplication={"enabled": False}) as gateway:
        await gateway.generate_async("same", tenant_id="acme")
        await asyncio.sleep(0.1)
        await gateway.generate_async("same", tenant_id="acme")
        async with asyncio.timeout(10):
            while len(in_journal(tmp_path)) < 3:
                await asyncio.sleep(0.01)
        reader = JournalReader(tmp_path / "journal" / "sqlite")
        entries = reader.read(1000)
        reader.close()
        records = in_journal(tmp_path)
    (stale,) = [record for record in records if record.cache is not None]
    (fresh,) = [record for record in records[1:] if record.cache is None]
    assert (provider.asked, len(entries)) == (2, 3)  # its attempt is no late one of another call
    assert (stale.cache, stale.cost) == ("memory (stale)", 0)
    assert (fresh.cache, fresh.cost, fresh.model, fresh.deployment) == (None, 123_456_789, "m-own", "m#0")
    assert fresh.overhead < fresh.latency


async def test_a_batched_embedding_is_each_callers_own_share(make: Make, provider: Scripted, tmp_path: Path) -> None:
    async with make(batching={"enabled": True}) as gateway:
        await asyncio.gather(*(gateway.embed_async([f"text {number}"], tenant_id="acme") for number in range(4)))
        records = in_journal(tmp_path)
    assert provider.asked == 1
    assert len(records) == 4
    assert [record.prompt_tokens for record in records] == [1, 1, 1, 1]
    assert sum(record.cost or 0 for record in records) == 250_000_000_000


async def test_content_is_recorded_only_where_that_is_asked_for(make: Make, tmp_path: Path) -> None:
    async with make(record_content=True) as gateway:
        await gateway.generate_async("my key is sk-abcdefghijklmnop1234567890")
        (record,) = in_journal(tmp_path)
    assert record.request == '{"messages":[{"role":"user","content":"my key is ***"}]}'
    assert record.answer == '[{"index":0,"text":"answer to my key is ***"}]'
    (content,) = stored(tmp_path, "SELECT * FROM contents")
    assert (content["operation"], content["answer"]) == (record.id, record.answer)


async def test_half_a_character_and_a_huge_number_lose_no_record(make: Make, tmp_path: Path) -> None:
    async with make(record_content=True) as gateway:
        await gateway.generate_async("\ud800", user="\ud800", tags=["\ud800"])
        (record,) = in_journal(tmp_path)
    assert (record.user, record.tags) == ("?", ("?",))
    assert len(stored(tmp_path)) == 1


@pytest.mark.parametrize(
    ("settings", "stated", "source"),
    [
        ({}, 0.5, "provider"),
        ({"input_cost_per_token": 0.5}, 0.5, "configuration"),
        ({"input_cost_per_token": 0.5}, None, "configuration"),
    ],
)
async def test_where_a_price_is_from_is_told(
    make: Make,
    provider: Scripted,
    tmp_path: Path,
    settings: dict[str, Any],
    stated: float | None,
    source: str,
) -> None:
    models = [{"model_name": "m", "litellm_params": {"model": "own/m-own", **settings}}]
    provider.usage = msgspec.structs.replace(USAGE, stated_cost_usd=stated)
    async with make(model_list=models) as gateway:
        await gateway.generate_async("hello")
        (record,) = in_journal(tmp_path)
    assert record.price_source == source


async def test_the_catalogues_price_is_told_as_such(upstream: Any, tmp_path: Path) -> None:
    params = {"model": "openai/gpt-4o-mini", "api_base": upstream.url, "api_key": "sk-test-0123456789abcdef"}
    config = GatewayConfig(model_list=[{"model_name": "m", "litellm_params": params}], data_dir=tmp_path)  # type: ignore[list-item]
    async with LiteLLMGateway(config) as gateway:
        answer = await gateway.generate_async("hello", model="m")
        (record,) = in_journal(tmp_path)
    assert record.price_source == "catalogue"
    assert record.lane == "direct"
    assert record.cost == round((answer.cost_usd or 0) * 10**12) > 0


def test_off_is_off(make: Make, tmp_path: Path) -> None:
    with make(record_operations=False) as gateway:
        gateway.generate("hello")
    assert list(tmp_path.iterdir()) == []


def test_making_and_closing_a_gateway_opens_nothing(make: Make, tmp_path: Path) -> None:
    make().close()
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_cannot_be_made_is_told_before_a_provider_is_asked(
    make: Make, provider: Scripted, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with make(data_dir=tmp_path / "file" / "data") as gateway, pytest.raises(ConfigurationError, match="data_dir"):
        gateway.generate("hello")
    assert provider.asked == 0


def test_what_is_no_database_url_is_told_when_the_gateway_is_made(make: Make) -> None:
    with pytest.raises(ConfigurationError, match="database_url: expected postgresql://") as caught:
        make(database_url="mysql://user:secret@host/db")
    assert "secret" not in str(caught.value)


def test_gateways_of_one_directory_share_its_records(make: Make, tmp_path: Path) -> None:
    first, second = make(), make()
    assert first._assembly.recording.records is second._assembly.recording.records
    first.generate("a")
    first.close()
    second.generate("b")
    second.close()
    assert len(stored(tmp_path)) == 2


async def test_a_journal_that_is_full_refuses_calls_until_it_is_drained(
    make: Make, provider: Scripted, tmp_path: Path
) -> None:
    (tmp_path / "records.sqlite").mkdir()  # a store that does not answer
    records = {"journal_segment_bytes": 4096, "journal_max_bytes": 16384, "interval": 0.02}
    async with make(records=records, close_timeout=0.5) as gateway:
        answered = 0
        with pytest.raises(RecordsUnavailable, match="journal_max_bytes") as caught:
            while answered < 1000:
                await gateway.generate_async(f"{answered}")
                answered += 1
                await asyncio.sleep(0.001)
        assert caught.value.status == 503
        assert provider.asked == answered
        health = (await gateway.get_health())["stores"]["records"]
        assert health["status"] == "unhealthy"
        assert len(in_journal(tmp_path)) == answered
        (tmp_path / "records.sqlite").rmdir()
        async with asyncio.timeout(20):
            while True:
                try:
                    await gateway.generate_async("again")
                    break
                except RecordsUnavailable:
                    await asyncio.sleep(0.05)
    assert len(stored(tmp_path)) == answered + 1


async def test_a_journal_that_is_full_may_drop_the_oldest_and_say_so(make: Make, tmp_path: Path) -> None:
    (tmp_path / "records.sqlite").mkdir()
    records = {"journal_segment_bytes": 4096, "journal_max_bytes": 16384, "interval": 0.02, "when_full": "drop_oldest"}
    async with make(records=records, close_timeout=0.5) as gateway:
        ids = []
        for number in range(400):
            ids.append((await gateway.generate_async(f"{number}")).request_id)
            await asyncio.sleep(0.001)
        async with asyncio.timeout(10):
            while not (await gateway.get_health())["stores"]["records"]["dropped"]:
                await asyncio.sleep(0.05)
        (tmp_path / "records.sqlite").rmdir()
        records_ = gateway._assembly.recording.records
        assert records_ is not None
        async with asyncio.timeout(20):
            while not await asyncio.to_thread(records_.flush, 5):
                await asyncio.sleep(0.05)
        dropped = (await gateway.get_health())["stores"]["records"]["dropped"]
    left = ["req_" + row["id"].hex() for row in stored(tmp_path)]
    assert dropped > 50
    assert len(left) == 400 - dropped
    assert set(left) == set(ids[dropped:])
