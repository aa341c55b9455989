"""The feedback loop: what people say of answers is kept, told to whoever listens, and learned from."""

from __future__ import annotations

import asyncio
import atexit
import os
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from gatewright.errors import GatewayClosed, NotFound
from gatewright.feedback.archive import Archive
from gatewright.feedback.asynchronous import AsynchronousFeedback
from gatewright.feedback.callbacks import CallbackFunction, Callbacks
from gatewright.feedback.chosen import checked_limit, checked_scope
from gatewright.feedback.config import FeedbackConfig
from gatewright.feedback.conflict import FeedbackConflict
from gatewright.feedback.dispatch import Dispatcher, RunAsync, utc_now
from gatewright.feedback.intake import checked_text, checked_type
from gatewright.feedback.keeping import Keeper
from gatewright.feedback.learning import Learning
from gatewright.feedback.meaning import Embed
from gatewright.feedback.recording import Recording
from gatewright.feedback.spool import Kept
from gatewright.feedback.types import ALL_TENANTS, Delivery, Feedback, FeedbackStatus, FeedbackType, TenantScope
from gatewright.storage.errors import StoreUnavailable

if TYPE_CHECKING:
    pass

__all__ = ["FeedbackLoop"]

CLOSE_SECONDS = 5.0
EXIT_SECONDS = 1.0
"""How long the end of the process waits for what is under way."""


class FeedbackLoop(Learning, AsynchronousFeedback):
    """Keeps feedback in the records' database, tells callbacks of it, and says what can be learned from it.

    A gateway has one as `gateway.feedback_loop`; alone it keeps its feedback in `data_dir`, or in the database of
    `database_url`. Safe to use from many threads. Where a `tenant_id` can be given, None means callers without a tenant
    and `ALL_TENANTS` everyone; an id alone names one feedback, whoever's it is.
    """

    def __init__(
        self,
        config: FeedbackConfig | None = None,
        *,
        data_dir: str | Path | None = None,
        database_url: str | None = None,
        embed: Embed | None = None,
        embedding_model: str | None = None,
        run_async: RunAsync | None = None,
        recorded: Callable[[], None] = lambda: None,
    ) -> None:
        self.config = config or FeedbackConfig()
        self._now = utc_now
        given = Path(data_dir) if data_dir is not None else None
        archive = self._archive = Archive(self.config, given, database_url, embed, embedding_model)
        self._callbacks = Callbacks()
        self._dispatcher = Dispatcher(
            self._callbacks,
            lambda: archive.outbox,
            lambda feedback_id: archive.store.get(feedback_id, ALL_TENANTS),
            self.config.callbacks,
            run_async or _run_here,
        )
        self._keeper = Keeper(
            lambda: archive.store, lambda: archive.spool, self.config.store_timeout, _waking(self._dispatcher)
        )
        self._recording = Recording(self.config, archive, self._keeper, self._callbacks, self._now, recorded)
        self._closed = False
        _loops.add(self)

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
        """Keep what somebody says of the `response` to a `query`, and give its id when it is durable.

        `content` is the correction, the improvement or the error; of a rating it may be the rating itself. `rating` is
        a number from 1 to 5, `"up"` or `"down"`. `operation_id` is the `request_id` of the response, which tells the
        model and, by a tag `prompt_version:…`, the version of the prompt; `metadata` may name both too.
        A `BadRequest` names the field that is wrong, and then nothing is kept.
        """
        self._check_open()
        return self._recording.record(
            _said(query, response, feedback_type, content, tenant_id, operation_id, metadata, rating)
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
        """Do what `record_feedback` does, and let others run meanwhile."""
        self._check_open()
        return await self._recording.record_async(
            _said(query, response, feedback_type, content, tenant_id, operation_id, metadata, rating)
        )

    def get_feedback(self, feedback_id: str, tenant_id: TenantScope = ALL_TENANTS) -> Feedback:
        """Give one by its id; `NotFound` where it is not there, or another tenant's."""
        self._settle()
        found = self._archive.store.get(_id(feedback_id), checked_scope(tenant_id))
        if found is None:
            raise _not_found(feedback_id)
        return found

    def list_feedback(
        self, tenant_id: TenantScope = None, *, limit: int = 100, after: str | None = None, **conditions: Any
    ) -> list[Feedback]:
        """Give the newest first, those that come after the one with the id `after`.

        The conditions are `feedback_type`, `status`, `model`, `prompt_version`, `operation_id`, and `since` and
        `before`, which are times with a time zone.
        """
        chosen = self._chosen(tenant_id, **conditions)
        return self._archive.store.list(chosen, checked_limit(limit), None if after is None else _id(after, "after"))

    def register_callback(
        self, feedback_type: FeedbackType | str, callback: CallbackFunction, name: str | None = None
    ) -> Callable[[], None]:
        """Have `callback(feedback)` called for every feedback of a type, from now on and what is pending of it.

        It is called at least once for each, in a thread, or awaited on the gateway's event loop if it is asynchronous;
        where it fails it is called again, later and later. `name` tells it from others when the program runs again; by
        default it is the function's own. Call what is returned to end it.
        """
        self._check_open()
        registered = self._callbacks.register(checked_type(feedback_type), callback, name)
        if registered is None:
            return lambda: None
        self._dispatcher.open_lane(registered)

        def end() -> None:
            self._callbacks.remove(registered)
            self._dispatcher.close_lane(registered)

        return end

    def process_feedback(self, feedback_id: str, tenant_id: TenantScope = ALL_TENANTS) -> Feedback:
        """Call every callback now that has not had a feedback, also one that was given up; then it is processed.

        A callback that fails is called again later, and the feedback stays pending until then.
        """
        found = self.get_feedback(feedback_id, tenant_id)
        if found.status in (FeedbackStatus.PENDING, FeedbackStatus.PROCESSED):
            self._dispatcher.tell_now(found)
        return self.get_feedback(feedback_id, tenant_id)

    def mark_applied(self, feedback_id: str, tenant_id: TenantScope = ALL_TENANTS) -> Feedback:
        """Note that a feedback was acted on; `FeedbackConflict` where it was ignored."""
        return self._set_status(feedback_id, FeedbackStatus.APPLIED, tenant_id)

    def ignore_feedback(self, feedback_id: str, tenant_id: TenantScope = ALL_TENANTS) -> Feedback:
        """Leave a feedback out of insights and exports; `FeedbackConflict` where it was applied."""
        return self._set_status(feedback_id, FeedbackStatus.IGNORED, tenant_id)

    def delete_feedback(self, feedback_id: str, tenant_id: TenantScope = ALL_TENANTS) -> None:
        """Remove a feedback for good; `NotFound` where it is not there."""
        self._settle()
        if not self._archive.store.delete(_id(feedback_id), checked_scope(tenant_id)):
            raise _not_found(feedback_id)

    def get_deliveries(self, feedback_id: str, tenant_id: TenantScope = ALL_TENANTS) -> list[Delivery]:
        """Give how far each callback has come with a feedback: attempts, last error, and whether it was given up."""
        return self._archive.outbox.of(self.get_feedback(feedback_id, tenant_id).id)

    def start(self) -> None:
        """Have what an earlier process left on the local disk brought into the database."""
        if self._archive.left_behind():
            self._keeper.start()

    def check(self) -> None:
        """Raise where feedback waits on the local disk, or the database does not answer."""
        if self._keeper.last_error is not None:
            raise StoreUnavailable("feedback waits on the local disk: the records' database does not answer")
        self._archive.database.check()

    def rest(self, seconds: float = CLOSE_SECONDS) -> None:
        """End the threads; what callbacks have not been told waits for the next process."""
        self._dispatcher.close(seconds)
        self._keeper.close(seconds)
        self._archive.close()

    def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Rest, and take no more feedback."""
        self._closed = True
        self.rest(seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _forget(self) -> None:
        self._archive.forget()
        self._keeper.forget()
        self._dispatcher.start_afresh()

    def _check_open(self) -> None:
        if self._closed:
            raise GatewayClosed("the feedback loop is closed: make a new one")

    def _settle(self) -> None:
        """Have what waits on the disk in the database first: one reads what one wrote."""
        self._check_open()
        if self._archive.left_behind():
            self._keeper.drain()

    def _set_status(self, feedback_id: str, status: FeedbackStatus, tenant_id: TenantScope) -> Feedback:
        self._settle()
        before = self._archive.store.set_status(_id(feedback_id), status, checked_scope(tenant_id))
        if before is None:
            raise _not_found(feedback_id)
        if not before.may_become(status):
            raise FeedbackConflict(f"status: {feedback_id} is {before.value} and stays so", param="status")
        return self.get_feedback(feedback_id, tenant_id)


def _said(
    query: object,
    response: object,
    feedback_type: object,
    content: object,
    tenant_id: object,
    operation_id: object,
    metadata: object,
    rating: object,
) -> dict[str, object]:
    return {
        "query": query,
        "response": response,
        "feedback_type": feedback_type,
        "content": content,
        "tenant_id": tenant_id,
        "operation_id": operation_id,
        "metadata": metadata,
        "rating": rating,
    }


def _id(value: object, field: str = "feedback_id") -> str:
    return checked_text(field, value, 100)


def _not_found(feedback_id: str) -> NotFound:
    return NotFound(f"feedback_id: there is no feedback {feedback_id!r}", param="feedback_id")


def _waking(dispatcher: Dispatcher) -> Callable[[Sequence[Kept]], None]:
    def kept(given: Sequence[Kept]) -> None:
        for kind in {feedback.type for feedback, _ in given}:
            dispatcher.wake(kind)

    return kept


def _run_here(work: Any) -> None:
    asyncio.run(work())


_loops: weakref.WeakSet[FeedbackLoop] = weakref.WeakSet()


def _at_exit() -> None:
    """Let no thread be inside a database's library when the interpreter goes."""
    for loop in list(_loops):
        loop.rest(EXIT_SECONDS)


def _in_child() -> None:
    for loop in list(_loops):
        loop._forget()  # pyright: ignore[reportPrivateUsage]


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
