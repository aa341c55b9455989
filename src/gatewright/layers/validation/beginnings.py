"""What may still become a match: patterns for the beginnings of what other patterns match.

A stream may let go of a text as soon as no match can begin in it. At the end of what has come, a match that begins at
a character is still possible exactly where everything from there on is the beginning of something that the pattern
matches. The beginnings of a regular language are regular again: `beginnings_of(r)` gives them, from `SHORT` characters
on. Whatever is shorter is held back without asking.
"""

from __future__ import annotations

from gatewright.layers.validation.syntax import (
    Alternatives,
    Assertion,
    Character,
    Node,
    Repeated,
    Sequence_,
    longest,
    parse,
)

__all__ = ["SHORT", "beginnings_of"]

SHORT = 4
"""The shortest beginning that is looked for, in characters."""

FINE = 32
"""How far repetitions are counted."""

ANYTHING = r"(?s:.+)"


def beginnings_of(pattern: str) -> str | None:
    r"""Give a pattern for the ends of a text (it closes with `\\z`) that are beginnings of what `pattern` matches.

    Every beginning of `SHORT` characters or more is among them; None where there are none so long. A pattern that is
    not understood may begin anywhere.
    """
    try:
        beginnings = _beginnings(parse(pattern), SHORT)
    except (ValueError, RecursionError):
        beginnings = ANYTHING
    return None if beginnings is None else rf"(?:{beginnings})\z"


def _beginnings(node: Node, least: int) -> str | None:
    """Give the beginnings of `node` that have at least `least` characters; None where there are none."""
    match node:
        case Character():
            return None if least > 1 else node.source if least else f"(?:{node.source})?"
        case Assertion():
            return None if least else ""
        case Alternatives():
            return _either([_beginnings(option, least) for option in node.options])
        case Sequence_():
            return _of_sequence(node, least)
        case Repeated():
            return _of_repeated(node, least)


def _of_sequence(node: Sequence_, least: int) -> str | None:
    """Give a beginning of the first part, or the first part and a beginning of the rest."""
    # How many characters may still be needed where each part begins: the longer what is before, the fewer.
    needs = [{least}]
    for part in node.parts:
        most = longest(part)
        after = {_left(need, most) for need in needs[-1]}
        needs.append(after | needs[-1] if _may_be_absent(part) else after)
    # From the last part to the first: the beginnings of what is there so far, by the least of their characters.
    rest: dict[int, str | None] = {need: None if need else "" for need in needs[-1]}
    for part, needed in zip(reversed(node.parts), reversed(needs[:-1]), strict=True):
        rest = {need: _with(part, rest, need) for need in needed}
    return rest[least]


def _with(part: Node, rest: dict[int, str | None], need: int) -> str | None:
    options = [_beginnings(part, need)]
    after = rest[_left(need, longest(part))]
    if need and isinstance(part, Repeated) and _may_be_absent(part):
        options.append(rest[need])
        part = part._replace(least=1)
    if after is None:
        return _either(options)
    if not need and isinstance(part, Character):
        return f"(?:{part.source}{after})?"
    return _either([*options, _source(part) + after])


def _left(need: int, most: int | None) -> int:
    """Give how many characters are needed after a part of `most` characters.

    Where the whole part alone is enough it is one of its own beginnings already: some of the rest is there too.
    """
    return min(need, 1) if most is None else max(min(need, 1), need - most)


def _may_be_absent(part: Node) -> bool:
    return isinstance(part, Repeated) and part.least == 0


def _of_repeated(node: Repeated, least: int) -> str | None:
    if node.most == 0:
        return None if least else ""
    if isinstance(node.inner, Character):
        if node.most is not None and node.most < least:
            return None
        return f"(?:{node.inner.source}){_times(least, node.most)}"
    whole = longest(node)
    if whole is not None and whole < least:
        return None
    before = None if node.most is None else node.most - 1
    last = _beginnings(node.inner, min(least, 1))
    if last is None:
        return None
    return f"(?:{_source(node.inner)}){_times(0, before)}{last}"


def _either(options: list[str | None]) -> str | None:
    given = [option for option in options if option is not None]
    if len(given) < 2:
        return given[0] if given else None
    return f"(?:{'|'.join(given)})"


def _times(least: int, most: int | None) -> str:
    """Write how often; beyond `FINE` it is not counted: more is held back, but the automaton stays small."""
    top = "" if most is None or most > FINE else most
    return f"{{{min(least, FINE)},{top}}}"


def _source(node: Node) -> str:
    """Write a node down again, without its capturing groups."""
    match node:
        case Character() | Assertion():
            return node.source
        case Sequence_():
            return "".join(_source(part) for part in node.parts)
        case Alternatives():
            return f"(?:{'|'.join(_source(option) for option in node.options)})"
        case Repeated():
            return f"(?:{_source(node.inner)}){_times(node.least, node.most)}"
