"""What is a rating, and what is not."""

from __future__ import annotations

import math
from decimal import Decimal

import pytest

from gatewright.errors import BadRequest
from gatewright.feedback.rating import read_rating


@pytest.mark.parametrize(
    ("given", "number"),
    [
        (1, 1),
        (5, 5),
        (4.5, 4.5),
        ("3", 3),
        (" 2.5 ", 2.5),
        ("up", 5),
        ("Thumbs_Up", 5),
        ("👍", 5),
        ("down", 1),
        ("👎", 1),
    ],
)
def test_a_number_from_1_to_5_or_a_thumb_is(given: object, number: float) -> None:
    assert read_rating(given) == number


@pytest.mark.parametrize(
    "given",
    [
        0,
        6,
        0.99,
        5.01,
        -1,
        math.nan,
        math.inf,
        "nan",
        "inf",
        "good",
        "",
        "6",
        "1e9",
        "٣",
        True,
        False,
        None,
        [],
        10**400,
        Decimal(3),
        "x" * 1000,
    ],
)
def test_anything_else_is_not(given: object) -> None:
    with pytest.raises(BadRequest, match="rating: expected a number from 1 to 5") as caught:
        read_rating(given)
    assert caught.value.param == "rating"
    assert len(str(caught.value)) < 200
