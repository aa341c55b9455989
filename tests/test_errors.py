from __future__ import annotations

import copy
import inspect
import pickle
from typing import Any

import pytest

from gatewright import errors
from gatewright.errors import GatewayError, MissingExtra, RateLimited, StreamInterrupted

TREE = [cls for _, cls in inspect.getmembers(errors, inspect.isclass) if issubclass(cls, GatewayError)]


def made(cls: type[GatewayError]) -> GatewayError:
    if cls is MissingExtra:
        return MissingExtra("the local lane", "local")
    context: dict[str, Any] = {
        "provider": "openai",
        "model": "gpt-4o",
        "request_id": "req_1",
        "retry_after": 2.5,
        "param": "n",
        "upstream_status": 418,
        "upstream_code": "teapot",
    }
    error = cls("it went wrong", **context)
    error.attempts = 3
    if isinstance(error, StreamInterrupted):
        error.text = "so far"
    return error


@pytest.mark.parametrize("cls", TREE)
def test_every_error_knows_its_code_status_and_whether_a_retry_can_help(cls: type[GatewayError]) -> None:
    assert cls.code
    assert 400 <= cls.status <= 599
    assert isinstance(cls.retryable, bool)
    assert cls.__name__ in errors.__all__
    assert cls.__doc__


def pickled(error: GatewayError) -> GatewayError:
    return pickle.loads(pickle.dumps(error))


def test_codes_are_unique() -> None:
    codes = [cls.code for cls in TREE]
    assert len(codes) == len(set(codes))


@pytest.mark.parametrize("cls", TREE)
@pytest.mark.parametrize("again", [pickled, copy.copy, copy.deepcopy])
def test_a_copy_keeps_every_field(cls: type[GatewayError], again: Any) -> None:
    error = made(cls)
    other = again(error)
    assert type(other) is cls
    assert vars(other) == vars(error)
    assert str(other) == str(error)
    assert other.args == error.args
    assert other.as_dict() == error.as_dict()


def test_one_error_can_be_marked_otherwise_than_its_class() -> None:
    assert RateLimited("now").retryable
    assert not RateLimited("for this month", retryable=False).retryable


def test_an_error_says_where_it_came_from() -> None:
    assert str(RateLimited("slow down", provider="groq", model="llama")) == "slow down [groq/llama]"


def test_a_batchs_error_that_stands_among_its_own_results_can_be_pickled() -> None:
    error = RateLimited("busy", retry_after=2.0)
    error.results = ["fine", error]
    again = pickle.loads(pickle.dumps(error))
    assert isinstance(again, RateLimited)
    assert again.retry_after == 2.0
    assert again.results is not None and again.results[1] is again
