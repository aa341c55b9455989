"""The real MiniLM, in this process."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright.errors import ConfigurationError, GatewayClosed
from gatewright.providers.local.embedder import BATCH_TOKENS, MAX_TOKENS, Embedder, batches
from gatewright.providers.local.weights import EmbeddingFiles, find_embedding_model


@pytest.fixture
def embedder() -> Iterator[Embedder]:
    made = Embedder(find_embedding_model(), threads=1)
    yield made
    made.close()


def dot(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


async def test_texts_of_like_meaning_are_closer(embedder: Embedder) -> None:
    texts = ["A kitten rested on the rug.", "The cat sat on the mat.", "The central bank raised interest rates."]
    (kitten, cat, bank), _ = await embedder.embed(texts)
    assert dot(kitten, cat) > 0.5 > 0.2 > dot(kitten, bank)


async def test_vectors_have_384_numbers_and_unit_length(embedder: Embedder) -> None:
    vectors, _ = await embedder.embed(["one", "two words", "", "long " * 400])
    assert [len(vector) for vector in vectors] == [384] * 4 and await embedder.dimensions() == 384
    assert all(abs(dot(vector, vector) - 1) < 1e-6 for vector in vectors)


async def test_a_long_list_keeps_its_order_whatever_the_lengths(embedder: Embedder) -> None:
    texts = [f"number {place} " + "and more " * (place * 7 % 23) for place in range(150)]
    together, _ = await embedder.embed(texts)
    for place in (0, 1, 63, 64, 65, 149):
        (alone,), _ = await embedder.embed([texts[place]])
        assert dot(alone, together[place]) > 0.9999


async def test_tokens_are_counted_and_cut(embedder: Embedder) -> None:
    assert (await embedder.embed(["hello"]))[1] == 3  # [CLS] hello [SEP]
    assert (await embedder.embed(["hello", "hello world"]))[1] == 3 + 4
    assert (await embedder.embed(["hello " * 1000]))[1] == MAX_TOKENS
    assert await embedder.embed([]) == ([], 0)


async def test_the_loop_runs_on_while_texts_are_embedded(embedder: Embedder) -> None:
    work = asyncio.ensure_future(embedder.embed(["some text to embed"] * 200))
    turns = 0
    while not work.done():
        await asyncio.sleep(0.001)
        turns += 1
    assert turns > 1 and len(work.result()[0]) == 200


async def test_it_can_be_used_after_close_and_ends_what_was_under_way(embedder: Embedder) -> None:
    before, _ = await embedder.embed(["the same"])
    under_way = asyncio.ensure_future(embedder.embed(["text"] * 500))
    await asyncio.sleep(0)
    embedder.close()
    with pytest.raises(GatewayClosed):
        await under_way
    assert (await embedder.embed(["the same"]))[0] == before


def test_one_embedder_serves_one_loop_after_another(embedder: Embedder) -> None:
    first, second = (asyncio.run(embedder.embed(["again"])) for _ in range(2))
    assert first == second


async def test_a_file_that_is_no_model_is_a_configuration_error(tmp_path: Path) -> None:
    broken = tmp_path / "model.onnx"
    broken.write_bytes(b"no model")
    embedder = Embedder(EmbeddingFiles(broken, find_embedding_model().tokenizer), threads=1)
    with pytest.raises(ConfigurationError, match="could not be loaded"):
        await embedder.embed(["text"])
    embedder.close()


def test_a_forks_child_loads_its_own() -> None:
    code = """
import asyncio, os, sys, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # from 3.12 on, for forking with threads: what is tested here
from gatewright.providers.local.embedder import Embedder
from gatewright.providers.local.weights import find_embedding_model
embedder = Embedder(find_embedding_model(), threads=2)
before = asyncio.run(embedder.embed(["text"]))
child = os.fork()
same = asyncio.run(embedder.embed(["text"])) == before
embedder.close()
if child == 0:
    sys.exit(0 if same else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) or not same)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@given(st.lists(st.integers(min_value=1, max_value=MAX_TOKENS), max_size=80))
def test_batches_hold_every_place_once_and_keep_to_the_limit(lengths: list[int]) -> None:
    made = batches([[0] * length for length in lengths])
    assert sorted(place for batch in made for place in batch) == list(range(len(lengths)))
    assert all(len(batch) * max(lengths[place] for place in batch) <= BATCH_TOKENS for batch in made)
