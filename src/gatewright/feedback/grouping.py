"""Groups of texts that say the same: by their words, or by the vectors of their meaning.

Pure and deterministic: equal input gives equal groups, whatever the order of dictionaries or threads.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import msgspec

from gatewright.errors import MissingExtra
from gatewright.feedback.words import decisive, words_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Group", "Said", "by_meaning", "by_words", "can_group_by_meaning"]

ALIKE = 0.75
"""The share of their words that two texts have in common from which they say the same."""
MAX_EXAMPLES = 3


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """One text and how often it was said; `earlier` is how often in the period before the `recent` one."""

    text: str
    count: int
    recent: int = 0
    earlier: int = 0
    feedback_id: str = ""


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """What was said in one sense: its commonest wording, how often in all, and examples of its wordings."""

    said: tuple[Said, ...]

    @property
    def text(self) -> str:
        """The commonest wording."""
        return self.said[0].text

    @property
    def count(self) -> int:
        """How often it was said."""
        return sum(one.count for one in self.said)

    @property
    def recent(self) -> int:
        """How often in the recent period."""
        return sum(one.recent for one in self.said)

    @property
    def earlier(self) -> int:
        """How often in the period before that."""
        return sum(one.earlier for one in self.said)

    @property
    def examples(self) -> list[str]:
        """Some of its wordings, the commonest first."""
        return [one.text for one in self.said[:MAX_EXAMPLES]]

    @property
    def feedback_ids(self) -> list[str]:
        """The newest feedback of each of these wordings."""
        return [one.feedback_id for one in self.said[:MAX_EXAMPLES]]


def by_words(said: Iterable[Said], alike: float = ALIKE) -> list[Group]:
    """Group texts that share most of their words, and all of their numbers and negations; the most frequent first.

    Each text joins the most similar of the groups begun by more frequent texts (Jaccard similarity of the sets of
    words), or begins its own. Only groups that share one of a text's rarest words are looked at: two sets with a
    Jaccard similarity of at least s have one in common among the `n - ceil(s·n) + 1` rarest of n (prefix filtering).
    """
    ordered = sorted(said, key=lambda one: (-one.count, one.text))
    sets = [words_of(one.text) for one in ordered]
    frequency = Counter(word for words in sets for word in words)
    begun: dict[str, list[int]] = {}
    groups: dict[int, list[Said]] = {}
    for place, (one, words) in enumerate(zip(ordered, sets, strict=True)):
        rarest = _rarest(words, frequency, alike)
        near = {first for word in rarest for first in begun.get(word, ())}
        first = _most_alike(place, near, sets, alike)
        groups.setdefault(first, []).append(one)
        if first == place:
            for word in rarest:
                begun.setdefault(word, []).append(place)
    return _ranked(groups.values())


def _rarest(words: frozenset[str], frequency: Counter[str], alike: float) -> list[str]:
    ordered = sorted(words, key=lambda word: (frequency[word], word))
    needed = -int(-alike * len(ordered) // 1)  # rounded up
    return ordered[: len(ordered) - needed + 1]


def _most_alike(place: int, near: set[int], sets: Sequence[frozenset[str]], alike: float) -> int:
    """Give the group most like the text at `place`, the earliest of equals; `place` itself where none is."""
    best, found = alike, place
    mine = sets[place]
    for first in sorted(near):
        other = sets[first]
        similarity = len(mine & other) / len(mine | other)
        better = similarity > best or (similarity == best and found == place)
        if better and decisive(mine) == decisive(other):
            best, found = similarity, first
    return found


def can_group_by_meaning() -> None:
    """Raise `MissingExtra` where what reckons with vectors is not installed."""
    if find_spec("numpy") is None:
        raise MissingExtra("grouping feedback by meaning", "meaning")


def by_meaning(groups: Sequence[Group], vectors: Sequence[Sequence[float]], similarity: float) -> list[Group]:
    """Join groups whose texts mean the same: average-link clustering by the cosine of their `vectors` of length 1.

    Two clusters are joined while the mean cosine between their members is at least `similarity`. The nearest-neighbour
    chain finds the same clusters as joining the closest two each time, in quadratic time (Murtagh 1983): average
    linkage is reducible.
    """
    if len(groups) < 2:
        return list(groups)
    import numpy as np

    matrix: NDArray[np.float32] = np.asarray(vectors, dtype=np.float32)
    joined: dict[int, list[Said]] = {}
    for place, cluster in enumerate(_average_link(np.round(matrix @ matrix.T, 5), similarity)):
        joined.setdefault(cluster, []).extend(groups[place].said)
    return _ranked(joined.values())


def _average_link(cosines: NDArray[np.float32], similarity: float) -> list[int]:
    """Give each row's cluster, named by the first row in it; `cosines` is used up."""
    import numpy as np

    count = len(cosines)
    np.fill_diagonal(cosines, -2.0)
    sizes: NDArray[Any] = np.ones(count, dtype=np.float32)
    cluster = list(range(count))
    members = {place: [place] for place in range(count)}
    chain: list[int] = []
    left = list(range(count))  # those that have yet to begin a chain, the first last
    left.reverse()
    while left or chain:
        if not chain:
            place = left.pop()
            if place not in members:
                continue
            chain.append(place)
        tip = chain[-1]
        nearest = int(cosines[tip].argmax())
        if len(chain) > 1 and cosines[tip, chain[-2]] >= cosines[tip, nearest]:
            nearest = chain[-2]  # of equals the one that it came from, or the chain would never end
        if cosines[tip, nearest] < similarity:
            # Nobody in the chain is nearer to anyone than its tip: the rest of it can only begin anew.
            chain.pop()
            cosines[tip, :] = cosines[:, tip] = -2.0
            members.pop(tip)
            continue
        if len(chain) > 1 and nearest == chain[-2]:
            chain[-2:] = []
            kept, gone = min(tip, nearest), max(tip, nearest)
            mean = (cosines[kept] * sizes[kept] + cosines[gone] * sizes[gone]) / (sizes[kept] + sizes[gone])
            cosines[kept, :] = cosines[:, kept] = mean
            cosines[kept, kept] = -2.0
            cosines[gone, :] = cosines[:, gone] = -2.0
            sizes[kept] += sizes[gone]
            members[kept] += members.pop(gone)
            for place in members[kept]:
                cluster[place] = kept
            left.append(kept)
        else:
            chain.append(nearest)
    return cluster


def _ranked(groups: Iterable[Iterable[Said]]) -> list[Group]:
    ranked = [Group(said=tuple(sorted(said, key=lambda one: (-one.count, one.text)))) for said in groups]
    return sorted(ranked, key=lambda group: (-group.count, group.text))
