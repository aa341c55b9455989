"""Texts to vectors: a sentence-transformers model on onnxruntime, in threads of its own."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import Any, TypeVar

from gatewright.errors import ConfigurationError, GatewayClosed, MissingExtra
from gatewright.providers.local.weights import EmbeddingFiles

__all__ = ["MAX_TOKENS", "Embedder"]

MAX_TOKENS = 256
"""What all-MiniLM-L6-v2 was made for; the rest of a longer text is not read, as in sentence-transformers."""

BATCH_TOKENS = 512
"""Tokens of one run of the model, padding included: larger batches were slower on a CPU."""

TOKENIZE_AT_ONCE = 64

T = TypeVar("T")


class Embedder:
    """Mean-pooled vectors of unit length; the model is loaded at the first call and again after `close`.

    Work goes through `threads` threads, one small piece each at a time, so that a long list stops neither the loop
    nor other callers for long.
    """

    def __init__(self, files: EmbeddingFiles, *, threads: int) -> None:
        self._files = files
        self._threads = threads
        self._workers: _Workers | None = None

    async def embed(self, texts: Sequence[str]) -> tuple[list[list[float]], int]:
        """Give a vector for each text, in their order, and how many tokens were read."""
        workers = self._current()
        tokens: list[list[int]] = []
        for start in range(0, len(texts), TOKENIZE_AT_ONCE):
            tokens += await workers.run(_Model.tokenize, texts[start : start + TOKENIZE_AT_ONCE])
        vectors: list[list[float]] = [[] for _ in texts]
        todo = batches(tokens)
        for start in range(0, len(todo), self._threads):
            wave = todo[start : start + self._threads]
            runs = [workers.run(_Model.vectors, [tokens[place] for place in batch]) for batch in wave]
            for batch, made in zip(wave, await asyncio.gather(*runs), strict=True):
                for place, vector in zip(batch, made, strict=True):
                    vectors[place] = vector
        return vectors, sum(map(len, tokens))

    async def dimensions(self) -> int:
        """Give the vectors' length, by making one."""
        (vector,), _ = await self.embed([""])
        return len(vector)

    def close(self) -> None:
        """Let go of the model and the threads; what is running ends first."""
        workers, self._workers = self._workers, None
        if workers is not None and workers.pid == os.getpid():
            workers.close()

    def _current(self) -> _Workers:
        # Threads do not outlive a fork: the child makes its own.
        workers = self._workers
        if workers is None or workers.pid != os.getpid():
            workers = self._workers = _Workers(self._files, self._threads)
        return workers


def batches(tokens: Sequence[Sequence[int]]) -> list[list[int]]:
    """Give the places of texts of like length together, at most `BATCH_TOKENS` a batch after padding."""
    made: list[list[int]] = []
    current: list[int] = []
    for place in sorted(range(len(tokens)), key=lambda place: len(tokens[place])):
        if current and (len(current) + 1) * len(tokens[place]) > BATCH_TOKENS:
            made.append(current)
            current = []
        current.append(place)
    return [*made, current] if current else made


class _Workers:
    """Threads around one model, which the first of them loads."""

    def __init__(self, files: EmbeddingFiles, threads: int) -> None:
        self.pid = os.getpid()
        self._files = files
        self._closed = False
        self._loading = threading.Lock()
        self._model: _Model | None = None
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="gatewright-local-embedder")

    async def run(self, work: Callable[..., T], *args: Any) -> T:
        """Have `work(model, *args)` done in the thread."""
        if self._closed:
            raise GatewayClosed("the local embedding model was closed", provider="local")
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._work, work, args)

    def close(self) -> None:
        self._closed = True
        self._pool.shutdown(wait=False)

    def _work(self, work: Callable[..., T], args: tuple[Any, ...]) -> T:
        with self._loading:
            if self._model is None:
                self._model = _Model(self._files)
        return work(self._model, *args)


class _Model:
    """The tokenizer and the network, of libraries that are imported here only."""

    def __init__(self, files: EmbeddingFiles) -> None:
        # From 1.29 on onnxruntime reports its use to its maker, from a thread that has a fork's child hang at exit.
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
        self._numpy, tokenizers, runtime = _imported("numpy", "tokenizers", "onnxruntime")
        runtime.disable_telemetry_events()  # where another had imported it before
        options = runtime.SessionOptions()
        options.intra_op_num_threads = 1  # no threads of its own: a fork's child would abort when it frees them
        options.log_severity_level = 3  # errors only
        try:
            self._tokenizer = tokenizers.Tokenizer.from_file(str(files.tokenizer))
            self._session = runtime.InferenceSession(str(files.model), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # both libraries raise bare kinds of their own
            raise ConfigurationError(f"the model at {files.model} could not be loaded: {error}") from error
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._inputs: set[str] = {entry.name for entry in self._session.get_inputs()}

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        # One by one: encode_batch has threads of its own, which do not survive a fork.
        return [self._tokenizer.encode(text).ids for text in texts]

    def vectors(self, tokens: Sequence[Sequence[int]]) -> list[list[float]]:
        numpy = self._numpy
        ids = numpy.zeros((len(tokens), max(map(len, tokens))), dtype=numpy.int64)
        mask = numpy.zeros_like(ids)
        for row, line in enumerate(tokens):
            ids[row, : len(line)] = line
            mask[row, : len(line)] = 1
        feed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": numpy.zeros_like(ids)}
        hidden = self._session.run(None, {name: feed[name] for name in self._inputs})[0]
        pooled = (hidden * mask[..., None]).sum(axis=1) / mask.sum(axis=1, keepdims=True)
        return (pooled / numpy.linalg.norm(pooled, axis=1, keepdims=True)).tolist()


def _imported(*names: str) -> tuple[Any, ...]:
    try:
        return tuple(import_module(name) for name in names)
    except ImportError as error:
        raise MissingExtra("a local embedding model", "local") from error
