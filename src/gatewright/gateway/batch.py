"""Many prompts answered together: identical ones once, at the pace that the limits allow."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, Literal

import msgspec

from gatewright.errors import DeadlineExceeded, GatewayError, RateLimited
from gatewright.gateway.gateway import LiteLLMGateway
from gatewright.gateway.progress import progress_bar
from gatewright.gateway.wishes import cache_wishes

__all__ = ["Batch"]

Result = str | GatewayError
Places = list[int]

UNLIMITED_AT_ONCE = 8
TOO_SHORT = 0.01
"""Seconds in which no provider answers: who would have no more than that after a wait is told of the limit at once."""
_canonical = msgspec.json.Encoder(order="deterministic").encode


class Batch:
    """The prompts of one batch, and what they are asked with."""

    def __init__(
        self, gateway: LiteLLMGateway, prompts: Sequence[Any], model: str | None, params: Mapping[str, Any]
    ) -> None:
        self._gateway = gateway
        self._prompts = prompts
        self._model = model
        self._params = params
        self._results: list[Result] = [""] * len(prompts)

    async def answered(
        self, max_concurrent: int | None, on_error: Literal["raise", "return"], *, progress: bool
    ) -> list[Result]:
        """Answer them all; the results are in the order of the prompts."""
        at_once = max_concurrent or self._allowed_at_once() or UNLIMITED_AT_ONCE
        groups = self._groups()
        left = iter(groups)

        async def work(advance: Callable[[], None]) -> None:
            for places in left:
                # Each has a call and a record of its own; those after the first share its answer.
                await asyncio.gather(*(self._answer(place, advance) for place in places))

        with progress_bar(len(self._prompts), shown=progress) as advance:
            async with asyncio.TaskGroup() as workers:
                for _ in range(min(at_once, len(groups))):
                    workers.create_task(work(advance))
        if on_error == "raise":
            self._raise_first()
        return self._results

    def _groups(self) -> list[Places]:
        """Give the places of each distinct prompt; each alone where the calls are not to be merged."""
        merging = self._gateway.config.deduplication
        wanted = self._params.get("deduplicate")
        fresh = _no_cache(self._params.get("cache")) or merging.wants_variety(self._params)
        left_alone = wanted is False or (wanted is None and fresh)
        if left_alone or not merging.enabled:
            return [[place] for place in range(len(self._prompts))]
        groups: dict[Hashable, Places] = {}
        for place, prompt in enumerate(self._prompts):
            groups.setdefault(_key(prompt), []).append(place)
        return list(groups.values())

    def _allowed_at_once(self) -> int | None:
        tenant, key = self._params.get("tenant_id"), self._params.get("key_id")
        try:
            return self._gateway.allowed_at_once(tenant, self._model, key_id=key)
        except (GatewayError, AttributeError, TypeError):
            return None  # Each prompt's own call will say what is wrong.

    async def _answer(self, place: int, advance: Callable[[], None]) -> None:
        try:
            self._results[place] = await self._text(self._prompts[place])
        except GatewayError as error:
            self._results[place] = error
        advance()

    async def _text(self, prompt: Any) -> str:
        """Ask, and where a limit of ours has no room for longer than its queue waits, come back when it has."""
        loop = asyncio.get_running_loop()
        timeout = self._params.get("timeout", self._gateway.config.timeout)
        until = loop.time() + timeout if isinstance(timeout, int | float) else math.inf
        params, waited = dict(self._params), 0.0
        while True:
            try:
                return (await self._gateway.generate_async(prompt, model=self._model, **params)).text
            except DeadlineExceeded as error:
                if not waited:
                    raise
                raise _out_of_time(error, timeout, waited) from error
            except RateLimited as error:
                wait = error.retry_after
                if error.asked or wait is None or loop.time() + wait + TOO_SHORT >= until:
                    raise
            await asyncio.sleep(wait)
            waited += wait
            if until < math.inf:
                params["timeout"] = max(TOO_SHORT, until - loop.time())  # one deadline for all of it

    def _raise_first(self) -> None:
        results = self._results
        failed = [place for place, result in enumerate(results) if isinstance(result, GatewayError)]
        if not failed:
            return
        error = results[failed[0]]
        assert isinstance(error, GatewayError)
        error.results = results
        error.add_note(
            f"prompts[{failed[0]}] is the first of {len(failed)} that failed; .results has all {len(results)}"
        )
        raise error


def _out_of_time(error: DeadlineExceeded, timeout: float, waited: float) -> DeadlineExceeded:
    """Name the time that the caller gave: the last of its calls had what was left of it."""
    whole = DeadlineExceeded(
        f"the prompt was not answered within its {timeout:g} s, for {waited:.1f} s of which a limit had no room",
        model=error.model,
        request_id=error.request_id,
    )
    whole.attempts = error.attempts
    return whole


def _no_cache(wanted: Any) -> bool:
    """Whether a call that wants this of the cache may want an answer of its own; what cannot be read may, too."""
    try:
        wishes = cache_wishes({"cache": wanted})
    except GatewayError:
        return True
    return wishes is not None and wishes.no_cache


def _key(prompt: Any) -> Hashable:
    """Give what identical prompts have in common; what JSON has no form for is like no other."""
    if isinstance(prompt, str):
        return prompt
    try:
        return _canonical(prompt)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return object()
