"""Groups of texts that say the same."""

from __future__ import annotations

import random
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewright.errors import MissingExtra
from gatewright.feedback.grouping import ALIKE, Group, Said, by_meaning, by_words, can_group_by_meaning
from gatewright.feedback.words import decisive, words_of


def said(*texts: str) -> list[Said]:
    return [Said(text=text, count=1) for text in texts]


def wordings(groups: list[Group]) -> list[set[str]]:
    return [{one.text for one in group.said} for group in groups]


def test_what_reckons_with_vectors_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    can_group_by_meaning()
    monkeypatch.setattr("gatewright.feedback.grouping.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r'pip install "gatewright\[meaning\]"'):
        can_group_by_meaning()


def test_nearly_the_same_words_are_one_group() -> None:
    groups = by_words(
        [
            Said(text="Click on Forgot password on the login page", count=5, recent=2, earlier=1, feedback_id="a"),
            Said(text="click on 'forgot password' on the login-page!", count=2, recent=1, feedback_id="b"),
            Said(text="please click on forgot password on the login page", count=1, feedback_id="c"),
            Said(text="Call the help desk", count=3, feedback_id="d"),
        ]
    )
    assert [(group.count, group.recent, group.earlier, len(group.said)) for group in groups] == [
        (8, 3, 1, 3),
        (3, 0, 0, 1),
    ]
    assert groups[0].text == "Click on Forgot password on the login page"
    assert groups[0].examples == [one.text for one in groups[0].said]
    assert groups[0].feedback_ids == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("text", "other"),
    [
        (
            "the limit of this account is now at 20 requests a day",
            "the limit of this account is now at 30 requests a day",
        ),
        (
            "you can reset your password on this page by yourself",
            "you can not reset your password on this page by yourself",
        ),
        ("the process is different", "the colour is wrong"),
    ],
)
def test_another_number_or_a_negation_is_another_group(text: str, other: str) -> None:
    assert len(by_words(said(text, other))) == 2


WORDS = st.lists(st.sampled_from(["alpha", "beta", "gamma", "not", "7", "8", "pi"]), min_size=1, max_size=6)
TEXTS = st.lists(WORDS.map(" ".join), unique=True, max_size=25)


@given(TEXTS, st.randoms(use_true_random=False))
def test_grouping_does_not_depend_on_the_order_and_loses_nothing(texts: list[str], chance: random.Random) -> None:
    groups = by_words(said(*texts))
    shuffled = list(texts)
    chance.shuffle(shuffled)
    assert by_words(said(*shuffled)) == groups
    assert sorted(one.text for group in groups for one in group.said) == sorted(texts)


@given(TEXTS)
def test_prefixes_find_every_group_that_is_alike(texts: list[str]) -> None:
    """Whoever began a group of their own was like none of the groups that were begun before."""
    ordered = sorted(texts)
    begun: list[str] = []
    groups = by_words(said(*texts))
    firsts = {min(one.text for one in group.said) for group in groups}
    for text in ordered:
        alike = [
            first
            for first in begun
            if len(words_of(first) & words_of(text)) / len(words_of(first) | words_of(text)) >= ALIKE
            and decisive(words_of(first)) == decisive(words_of(text))
        ]
        assert (text in firsts) == (not alike)
        if not alike:
            begun.append(text)


def unit(vectors: list[list[float]]) -> list[list[float]]:
    return [list(np.asarray(one) / np.linalg.norm(one)) for one in vectors]


def singles(count: int) -> list[Group]:
    return [Group(said=tuple(said(f"text {place:02}"))) for place in range(count)]


def test_vectors_that_point_the_same_way_are_one_group() -> None:
    vectors = unit([[1, 0, 0.1], [0, 1, 0], [1, 0.1, 0], [0, 1, 0.2], [0, 0, 1]])
    assert wordings(by_meaning(singles(5), vectors, 0.8)) == [
        {"text 00", "text 02"},
        {"text 01", "text 03"},
        {"text 04"},
    ]


def test_a_chain_of_neighbours_is_not_one_group() -> None:
    """Average linkage: each is near the next, and the ends have nothing in common."""
    angles = [0, 25, 50, 75, 100, 125]
    vectors = [[np.cos(np.radians(angle)), np.sin(np.radians(angle))] for angle in angles]
    assert len(by_meaning(singles(6), vectors, 0.85)) == 3


def _joined_one_by_one(vectors: list[list[float]], similarity: float) -> set[frozenset[int]]:
    """Average linkage as it is defined: the nearest two are joined until none are near enough."""
    cosines = np.round(np.asarray(vectors, dtype=np.float32) @ np.asarray(vectors, dtype=np.float32).T, 5)
    clusters = [frozenset({place}) for place in range(len(vectors))]
    while len(clusters) > 1:
        mean, one, other = max(
            (float(np.mean([cosines[i, j] for i in a for j in b])), a, b) for a, b in combinations(clusters, 2)
        )
        if mean < similarity:
            break
        clusters = [cluster for cluster in clusters if cluster not in (one, other)] + [one | other]
    return set(clusters)


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.integers(2, 18), st.sampled_from([0.3, 0.6, 0.8]))
def test_the_chain_finds_what_joining_the_nearest_finds(seed: int, count: int, similarity: float) -> None:
    generator = np.random.default_rng(seed)
    vectors = unit((generator.normal(size=(count, 3))).tolist())
    groups = by_meaning(singles(count), vectors, similarity)
    found = {frozenset(int(one.text[5:]) for one in group.said) for group in groups}
    assert found == _joined_one_by_one(vectors, similarity)
