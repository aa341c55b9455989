from __future__ import annotations

import os
import re

import pytest

from gatewright.pipeline.call import Call, CallOptions, new_id
from gatewright.types.caller import ANONYMOUS, Caller
from gatewright.types.requests import EmbedRequest, GenerateRequest

CALL = Call(request=GenerateRequest(model="m"), id="req_1", started_at=1.0)


def test_ids_are_new_and_of_one_form() -> None:
    ids = {new_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(id_.startswith("req_") and len(id_) == 28 for id_ in ids)


def test_a_call_is_frozen_and_replaced() -> None:
    other = CALL.replace(deadline=9.0, caller=Caller(tenant_id="a"))
    assert (other.deadline, other.caller.tenant_id, other.id) == (9.0, "a", "req_1")
    assert (CALL.deadline, CALL.caller) == (None, ANONYMOUS)
    with pytest.raises(AttributeError):
        CALL.deadline = 9.0  # type: ignore[misc]


def test_options_are_as_configured_unless_said() -> None:
    assert CALL.options == CallOptions()
    assert CALL.options.max_retries is None


def test_the_request_by_its_kind() -> None:
    embedding = CALL.replace(request=EmbedRequest(model="e", inputs=["a"]))
    assert CALL.generation.model == "m"
    assert embedding.embedding.inputs == ["a"]
    with pytest.raises(AssertionError):
        _ = embedding.generation
    with pytest.raises(AssertionError):
        _ = CALL.embedding


def test_ids_are_nobody_elses_not_even_a_forked_childs() -> None:
    ids = {new_id() for _ in range(5000)}
    assert len(ids) == 5000
    assert all(re.fullmatch(r"req_[0-9a-f]{24}", one) for one in ids)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, new_id()[12:].encode())
        os._exit(0)
    mine = {new_id()[12:] for _ in range(300)}
    assert os.read(read, 100).decode() not in mine
    os.waitpid(child, 0)
    os.close(read)
    os.close(write)
