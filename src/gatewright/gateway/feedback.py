"""The feedback loop of a gateway: made when it is first asked for, on the gateway's own records, models and loop."""

from __future__ import annotations

import contextlib
import threading
import time
import weakref
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gatewright.configuration.config import GatewayConfig
from gatewright.errors import ConfigurationError, GatewayClosed
from gatewright.feedback.archive import waits_on_disk
from gatewright.feedback.loop import FeedbackLoop
from gatewright.feedback.meaning import Embed
from gatewright.feedback.types import FeedbackType

if TYPE_CHECKING:
    from gatewright.gateway.gateway import LiteLLMGateway

__all__ = ["FeedbackMethods", "GatewayFeedback"]

HOME_SECONDS = 1.0
"""How long a program has to make its event loop the gateway's before a callback has one started for it."""
FLUSH_SECONDS = 2.0
"""How long feedback waits for the record of the operation that it is about."""
CHECK = "feedback"


class FeedbackMethods:
    """The gateway's methods of feedback."""

    _feedback: GatewayFeedback

    @property
    def feedback_loop(self) -> FeedbackLoop:
        """What people said of this gateway's answers: insights, statistics, callbacks, exports."""
        return self._feedback.loop

    def record_feedback(
        self,
        query: str,
        response: str,
        feedback_type: FeedbackType | str,
        content: str = "",
        tenant_id: str | None = None,
        operation_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        rating: float | str | None = None,
    ) -> str:
        """Keep what somebody says of an answer, and give its id when it is durable; see `FeedbackLoop`."""
        return self._feedback.loop.record_feedback(
            query, response, feedback_type, content, tenant_id, operation_id, metadata, rating
        )

    async def record_feedback_async(
        self,
        query: str,
        response: str,
        feedback_type: FeedbackType | str,
        content: str = "",
        tenant_id: str | None = None,
        operation_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        rating: float | str | None = None,
    ) -> str:
        """Do the same, and let others run meanwhile."""
        return await self._feedback.loop.record_feedback_async(
            query, response, feedback_type, content, tenant_id, operation_id, metadata, rating
        )


class GatewayFeedback:
    """Makes the loop of one gateway, which it does not keep alive, and lets go of it."""

    def __init__(self, gateway: LiteLLMGateway) -> None:
        self._gateway = weakref.ref(gateway)
        self._config = gateway.config
        self._lock = threading.Lock()
        self._loop: FeedbackLoop | None = None
        self._closed = False

    @property
    def loop(self) -> FeedbackLoop:
        """The loop, made now where there is none."""
        loop = self._loop
        if loop is None:
            with self._lock:
                loop = self._loop
                if loop is None:
                    loop = self._loop = self._made()
        return loop

    def start(self) -> None:
        """Have what an earlier process left on the local disk brought into the database."""
        with contextlib.suppress(ConfigurationError):  # there is no place for records: it is told when one is needed
            if waits_on_disk(self._config.data_dir, _url(self._config)):
                self.loop.start()

    def close(self) -> None:
        """End it; callbacks under way have the gateway's `close_timeout`."""
        with self._lock:
            self._closed = True
            loop = self._loop
        if loop is not None:
            loop.close(self._config.close_timeout)

    def _made(self) -> FeedbackLoop:
        gateway = self._gateway()
        if gateway is None or self._closed:
            raise GatewayClosed("the gateway is closed: make a new one")
        config = self._config
        settings = config.feedback
        if not config.record_operations:  # then none is known
            settings = settings.model_copy(update={"require_known_operation": False})
        model = settings.embedding_model or config.default_embedding_model
        loop = FeedbackLoop(
            settings,
            data_dir=config.data_dir,
            database_url=_url(config),
            embed=_embedding(self._gateway, model) if model and settings.group_by_meaning else None,
            embedding_model=model,
            run_async=_at_home(self._gateway),
            recorded=_recorded(self._gateway),
        )
        weakref.finalize(gateway, loop.rest, 0.0).atexit = False
        gateway._assembly.flow.health.watch(CHECK, loop.check_async)  # pyright: ignore[reportPrivateUsage]
        return loop


def _url(config: GatewayConfig) -> str | None:
    return None if config.database_url is None else config.database_url.get_secret_value()


def _embedding(found: Callable[[], LiteLLMGateway | None], model: str) -> Embed:
    def embed(texts: Sequence[str], tenant_id: str | None) -> Sequence[Sequence[float]]:
        return _living(found).embed(list(texts), model=model, tenant_id=tenant_id).embeddings

    return embed


def _at_home(found: Callable[[], LiteLLMGateway | None]) -> Callable[[Callable[[], Coroutine[Any, Any, None]]], None]:
    """Run what asynchronous callbacks await on the home loop."""

    def run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        gateway = _living(found)
        until = time.monotonic() + HOME_SECONDS
        while not gateway.at_home and not gateway.closed and time.monotonic() < until:
            time.sleep(0.01)
        gateway.run_blocking(work)

    return run


def _recorded(found: Callable[[], LiteLLMGateway | None]) -> Callable[[], None]:
    """Bring the operations of this process into the database, where feedback looks for its own."""

    def recorded() -> None:
        records = _living(found)._assembly.recording.records  # pyright: ignore[reportPrivateUsage]
        if records is not None:
            records.flush(FLUSH_SECONDS)

    return recorded


def _living(found: Callable[[], LiteLLMGateway | None]) -> LiteLLMGateway:
    gateway = found()
    if gateway is None:
        raise GatewayClosed("the gateway is gone")
    return gateway
