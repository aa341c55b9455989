"""Routing: asks a deployment, and another or the same again when that fails, as the plan has it."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from gatewright.clock import Clock
from gatewright.errors import DeadlineExceeded, GatewayError, InvalidProviderResponse
from gatewright.layers.routing.doorman import Doormen
from gatewright.layers.routing.group import Group
from gatewright.layers.routing.plan import Fallbacks, Plan, Rules, Step
from gatewright.layers.routing.retries import RetryBudget, RetryConfig
from gatewright.layers.routing.state import DeploymentState
from gatewright.layers.routing.streams import continued, interrupted, lost, resumed
from gatewright.layers.routing.table import RoutingTable
from gatewright.pipeline.call import Call
from gatewright.pipeline.cut_off import mark_as_unasked, note_attempts, reason_of
from gatewright.pipeline.events import AttemptEnded, Events, Fallback, RetryScheduled, StreamEnded
from gatewright.pipeline.layer import Handler
from gatewright.pipeline.reply import Outcome, Reply
from gatewright.pipeline.room import NO_LIMITS, NoRoom, Rooms
from gatewright.pipeline.tracebacks import let_go_of_frames
from gatewright.types.deployment import Deployment
from gatewright.types.results import Answer
from gatewright.types.usage import Usage

__all__ = ["Router"]


class Router:
    """The innermost handler of the call stack: it is given the attempt stacks and imports no provider."""

    def __init__(
        self,
        table: RoutingTable,
        handlers: Callable[[Deployment], Handler],
        *,
        fallbacks: Fallbacks,
        retries: RetryConfig,
        clock: Clock,
        events: Events,
        rng: random.Random,
        continue_streams: bool = False,
        rooms: Rooms = NO_LIMITS,
    ) -> None:
        self._table = table
        self._rooms = rooms
        self._handlers = handlers
        self._rules = Rules(
            find=table.find,
            fallbacks=fallbacks,
            config=retries,
            budget_of=self._budget_of,
            rng=rng,
            tokens_of=rooms.tokens_of,
        )
        self._clock = clock
        self._now = clock.now
        self._events = events
        self._continue_streams = continue_streams
        self._doormen = Doormen(clock)

    async def __call__(self, call: Call, /) -> Reply[Any, Any]:
        """Answer by way of the first deployment that can."""
        options = call.options
        try:
            rules = self._rules if options.fallbacks is None else self._own(options.fallbacks)
            plan = Plan.of(call, rules)
            reply = await self._follow(plan, call, plan.start(self._now()))
        except GatewayError as error:
            error.request_id = error.request_id or call.id
            raise
        if reply.is_whole:
            return reply
        return await self._guarded(reply, plan, call)

    def _own(self, fallbacks: Sequence[str]) -> Rules:
        """Put a call's own fallbacks in the place of the configured ones; a slip shows now and not in an outage."""
        for name in fallbacks:
            self._table.find(name)
        own = msgspec.structs.replace(self._rules.fallbacks, by_model={}, default=fallbacks)
        return msgspec.structs.replace(self._rules, fallbacks=own)

    def _budget_of(self, group: Group) -> RetryBudget:
        if group.budget is None:
            group.budget = RetryBudget(self._rules.config, self._now())
        return group.budget

    async def _follow(self, plan: Plan, call: Call, step: Step) -> Reply[Any, Any]:
        """Take steps until one of them gives a reply."""
        held = False  # room at the deployment of the step
        while True:
            group, state = step.group, step.state
            if step.wait > 0:
                await self._wait(plan, step)
            began = self._now()
            group.begin(state)
            try:
                reply = await (state.handler or self._handler(state))(call)
            except BaseException as error:
                group.end(state)
                if held:
                    self._rooms.give_back(call)
                held = isinstance(error, NoRoom)
                if not isinstance(error, Exception):
                    self._cut_off(call, plan, error, began)
                    raise
                if held:
                    step = await self._with_room(plan, call, step)
                else:
                    step = self._after(error, plan, call, step, self._now() - began)
            else:
                if held:
                    self._rooms.give_back(call)
                reply.attempts = plan.attempts
                self._answered(call, step, reply, began)
                return reply

    async def _wait(self, plan: Plan, step: Step) -> None:
        """Wait before a step; a call that is cancelled meanwhile has not come to the step's deployment."""
        try:
            await step.state.wait(step.wait, self._clock)
        except BaseException as error:
            mark_as_unasked(error)
            note_attempts(error, plan.attempts - 1)
            raise

    async def _with_room(self, plan: Plan, call: Call, step: Step) -> Step:
        """Wait for room at the deployment of a step or another that would do, and give the step there."""
        rivals = {state.deployment.id: state for state in plan.rivals(self._now())}

        def show(state: DeploymentState) -> bool:
            if not plan.may_join(state, self._now()):
                return False
            rivals[state.deployment.id] = state
            return self._rooms.join(call, state.deployment.id)

        try:
            with self._doormen.at(step.group, show, plan.again_at()):
                deployment = await self._rooms.first(call, list(rivals))
            return plan.with_room(rivals[deployment])
        except GatewayError as error:
            plan.without_room(list(rivals.values()), self._now())
            return self._after(error, plan, call, step, 0.0)
        except BaseException as error:
            note_attempts(error, plan.attempts - 1)
            raise

    def _handler(self, state: DeploymentState) -> Handler:
        state.handler = self._handlers(state.deployment)
        return state.handler

    def _after(self, error: Exception, plan: Plan, call: Call, step: Step, seconds: float) -> Step:
        """Give the step after one that failed; raises what the caller gets where none is left."""
        failure = self._failed(call, step.state, error, seconds)
        if failure is not error:
            failure.__cause__ = error
        try:
            following = plan.after(failure, self._now())
        except GatewayError as told:
            told.attempts = plan.attempts
            raise
        finally:
            failure.attempts = plan.attempts
        self._tell(call, step, following, failure)
        let_go_of_frames(failure)  # nobody gets it
        return following

    def _answered(self, call: Call, step: Step, reply: Reply[Any, Any], began: float) -> None:
        """Take in that a deployment answered, or began to."""
        group, state, now = step.group, step.state, self._now()
        state.observe(now - began, now)
        if reply.is_whole:
            group.end(state)
        else:
            reply.when_settled(lambda _: group.end(state))
        if self._events.heard:
            self._ended(call, state, now - began, None, streamed=not reply.is_whole)
            if not reply.is_whole:
                reply.when_settled(lambda outcome: self._stream_ended(call, state, self._now() - began, outcome))

    def _failed(self, call: Call, state: DeploymentState, error: Exception, seconds: float) -> GatewayError:
        """Make sure that an error is one of the tree and says where it comes from."""
        if not isinstance(error, GatewayError):
            error = InvalidProviderResponse(f"the provider's code failed with {type(error).__name__}")
        error.provider = error.provider or state.deployment.provider
        error.model = error.model or state.deployment.model
        error.request_id = error.request_id or call.id
        if not error.asked:
            return error
        if error.retryable:
            state.failed(seconds, self._now())
        self._ended(call, state, seconds, error)
        return error

    def _cut_off(self, call: Call, plan: Plan, error: BaseException, began: float) -> None:
        """Take in that a deployment was at work on a call that its deadline or its caller ended."""
        now, state = self._now(), plan.current
        reason = reason_of(error, call, now)
        if reason is None or state is None:
            return
        if isinstance(reason, DeadlineExceeded) and now - began > state.latency:
            state.observe(now - began, now)
        reason.provider, reason.model, reason.request_id = state.deployment.provider, state.deployment.model, call.id
        self._ended(call, state, now - began, reason)

    def _ended(
        self, call: Call, state: DeploymentState, seconds: float, error: GatewayError | None, *, streamed: bool = False
    ) -> None:
        deployment = state.deployment
        self._events.emit(
            AttemptEnded(
                call_id=call.id,
                deployment_id=deployment.id,
                provider=deployment.provider,
                model=deployment.model,
                seconds=seconds,
                error=error,
                streamed=streamed,
            )
        )

    def _stream_ended(self, call: Call, state: DeploymentState, seconds: float, outcome: Outcome[Any]) -> None:
        deployment = state.deployment
        self._events.emit(
            StreamEnded(
                call_id=call.id,
                deployment_id=deployment.id,
                provider=deployment.provider,
                seconds=seconds,
                state=outcome.state,
                error=outcome.error,
            )
        )

    def _tell(self, call: Call, step: Step, following: Step, error: GatewayError) -> None:
        if following.group is not step.group:
            event = Fallback(call_id=call.id, source=step.group.name, target=following.group.name, error=error)
        else:
            where = following.state.deployment.id
            event = RetryScheduled(call_id=call.id, deployment_id=where, seconds=following.wait, error=error)
        self._events.emit(event)

    async def _guarded(self, reply: Reply[Any, Any], plan: Plan, call: Call) -> Reply[Any, Any]:
        """Have a stream that fails later end with the text so far, or go on at another deployment."""
        wanted = call.options.continue_streams
        if self._continue_streams if wanted is None else wanted:
            reply = await self._continued(reply, plan, call)
        reply.on_failure = functools.partial(interrupted, request_id=call.id)
        return reply

    async def _continued(self, first: Reply[Any, Any], plan: Plan, call: Call) -> Reply[Any, Any]:
        asked = call

        async def resume(error: GatewayError, text: str) -> Reply[Any, Any]:
            nonlocal asked
            step = plan.after(error, self._now())
            asked = call.replace(request=resumed(call.generation, text))
            part = await self._follow(plan, asked, step)
            joined.attempts = plan.attempts
            return part

        def lost_by(answer: Answer) -> tuple[Usage, float | None]:
            price = plan.current.deployment.price if plan.current is not None else None
            return lost(answer, asked.generation, price)

        joined = await continued(first, call.generation, resume, lost_by)
        return joined
