"""Tickets of a service desk, made by a seed: right ones, and ones with a single fault each.

A fault is named by the rule that is to find it. It is seeded into a record that is right otherwise, so the rules that
find something in it are known: that one alone, unless `ALSO` names others that follow from the same fault.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

Record = dict[str, Any]
Fault = Callable[[Record, random.Random], dict[str, Any] | None]
"""Puts a fault into a record; gives the context that it shows in, if it needs one."""


class Ticket(NamedTuple):
    """A record, its context, and the rules that have to find something in it."""

    kind: str
    record: Record
    context: dict[str, Any]
    expect: list[str]


PEOPLE = ["Ada Lovelace", "Grace Hopper", "Alan Turing", "Edsger Dijkstra", "Barbara Liskov", "Donald Knuth"]
SYSTEMS = ["mail server", "VPN gateway", "print queue", "HR portal", "payroll database", "single sign-on"]
TROUBLES = ["is not reachable", "answers slowly", "shows an error page", "refuses to log in", "loses its connection"]
CATEGORIES = ["Network", "Software", "Hardware", "Access", "Database"]
GROUPS = ["Service Desk", "Network Operations", "Database Team", "Workplace"]
LEVELS = ["high", "medium", "low"]
MATRIX = {
    "high": {"high": "critical", "medium": "high", "low": "moderate"},
    "medium": {"high": "high", "medium": "moderate", "low": "low"},
    "low": {"high": "moderate", "medium": "low", "low": "planning"},
}
NUMBERS = {"critical": 1, "high": 2, "moderate": 3, "low": 4, "planning": 5}
SPELLINGS: list[Callable[[str], Any]] = [
    lambda word: word,
    lambda word: word.title(),
    lambda word: word.replace("_", " "),
    lambda word: word.upper(),
]


def _number(prefix: str, rng: random.Random) -> str:
    return f"{prefix}{rng.randrange(10**7):07d}"


def _spelt(word: str, rng: random.Random) -> Any:
    return rng.choice(SPELLINGS)(word)


def _level(word: str, rng: random.Random) -> Any:
    """A level as desks write it: the word, its number, or both."""
    number = LEVELS.index(word) + 1
    return rng.choice([word, word.title(), number, str(number), f"{number} - {word.title()}"])


def _priority(word: str, rng: random.Random) -> Any:
    number = NUMBERS[word]
    return rng.choice([word, word.title(), number, f"P{number}", f"{number} - {word.title()}"])


def _days(rng: random.Random, count: int) -> list[str]:
    """Moments one after the other."""
    when = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=rng.randrange(8000))
    moments: list[str] = []
    for _ in range(count):
        when += timedelta(minutes=rng.randrange(5, 5000))
        moments.append(rng.choice([when.isoformat(), when.strftime("%Y-%m-%d %H:%M:%S"), when.isoformat()[:19] + "Z"]))
    return moments


def _trouble(rng: random.Random) -> str:
    return f"{rng.choice(SYSTEMS)} {rng.choice(TROUBLES)}"


def _two(rng: random.Random) -> tuple[str, str]:
    one, other = rng.sample(PEOPLE, 2)
    return one, other


def incident(rng: random.Random, state: str | None = None) -> Record:
    state = state or rng.choice(["new", "in_progress", "on_hold", "resolved", "closed"])
    impact, urgency = rng.choice(LEVELS), rng.choice(LEVELS)
    opened, resolved, closed = _days(rng, 3)
    record: Record = {
        rng.choice(["number", "incident_id", "Number"]): _number("INC", rng),
        rng.choice(
            ["short_description", "title", "Short Description"]
        ): f"{rng.choice(SYSTEMS)} {rng.choice(TROUBLES)}",
        "caller": rng.choice(PEOPLE),
        "state": _spelt(state, rng),
        "impact": _level(impact, rng),
        "urgency": _level(urgency, rng),
        "priority": _priority(MATRIX[impact][urgency], rng),
        "opened_at": opened,
    }
    if state != "new":
        record["category"] = rng.choice(CATEGORIES)
        record[rng.choice(["assignment_group", "assigned_to"])] = rng.choice(GROUPS)
    if state == "on_hold":
        record["hold_reason"] = "awaiting the vendor"
    if state in ("resolved", "closed"):
        record[rng.choice(["resolution", "workaround"])] = f"Restarted the {rng.choice(SYSTEMS)} and checked it."
        record["resolved_at"] = resolved
    if state == "closed":
        record["confirmed"] = rng.choice([True, "yes", "true", "Confirmed"])
        record["closed_at"] = closed
    return record


def problem(rng: random.Random, state: str | None = None) -> Record:
    state = state or rng.choice(["new", "assess", "root_cause_analysis", "fix_in_progress", "resolved", "closed"])
    impact, urgency = rng.choice(LEVELS), rng.choice(LEVELS)
    record: Record = {
        "number": _number("PRB", rng),
        "short_description": f"the {rng.choice(SYSTEMS)} {rng.choice(TROUBLES)} again and again",
        "state": _spelt(state, rng),
        "impact": _level(impact, rng),
        "urgency": _level(urgency, rng),
        "priority": _priority(MATRIX[impact][urgency], rng),
    }
    if state != "new":
        record["assigned_to"] = rng.choice(PEOPLE)
    if state not in ("new", "assess"):
        record["related_incidents"] = [_number("INC", rng) for _ in range(rng.randrange(1, 4))]
    if state in ("fix_in_progress", "resolved", "closed"):
        record["root_cause"] = f"A certificate of the {rng.choice(SYSTEMS)} had expired."
        record["known_error"] = rng.choice([True, "yes"])
        record["workaround"] = "Use the other login page."
    if state in ("resolved", "closed"):
        record["fix"] = "The certificate is renewed by a job."
    return record


def change(rng: random.Random, state: str | None = None, kind: str | None = None) -> Record:
    kind = kind or rng.choice(["normal", "standard", "emergency"])
    state = state or rng.choice(["new", "authorize", "scheduled", "implement", "review", "closed"])
    requester, approver = _two(rng)
    third = next(person for person in PEOPLE if person not in (requester, approver))
    start, end = _days(rng, 2)
    record: Record = {
        "number": _number("CHG", rng),
        "short_description": f"Upgrade of the {rng.choice(SYSTEMS)}",
        "type": _spelt(kind, rng),
        "state": _spelt(state, rng),
        "justification": "The version is out of support.",
        "risk": _spelt(rng.choice(["high", "moderate", "low"]), rng),
        "back_out_plan": "Restore the snapshot of before the upgrade.",
        "test_plan": "Log in, send a message, read it.",
        "requested_by": requester,
        "approvals": [approver, third],
        "start": start,
        "end": end,
    }
    if kind == "emergency":
        record["incident"] = _number("INC", rng)
    if state == "closed":
        record["outcome"] = "successful"
        record["review"] = "It went as it was planned."
    return record


def request(rng: random.Random, state: str | None = None) -> Record:
    state = state or rng.choice(["submitted", "approved", "in_progress", "fulfilled", "closed", "rejected"])
    someone, approver = _two(rng)
    opened, due = _days(rng, 2)
    record: Record = {
        "number": _number(rng.choice(["REQ", "RITM"]), rng),
        "short_description": f"Access to the {rng.choice(SYSTEMS)}",
        "item": rng.choice(["Laptop", "Mailbox", "VPN access"]),
        "requested_for": someone,
        "state": _spelt(state, rng),
        "approval_required": True,
        "approvals": [approver],
        "opened_at": opened,
        "due_date": due,
    }
    if state == "rejected":
        record["rejection_reason"] = "No budget for it."
    if state in ("fulfilled", "closed"):
        record["fulfilment"] = "Handed over at the desk."
    return record


def knowledge(rng: random.Random, state: str | None = None) -> Record:
    state = state or rng.choice(["draft", "review", "published", "retired"])
    author, reviewer = _two(rng)
    return {
        "number": _number("KB", rng),
        "title": f"What to do when the {rng.choice(SYSTEMS)} {rng.choice(TROUBLES)}",
        "state": _spelt(state, rng),
        "symptoms": f"The {rng.choice(SYSTEMS)} {rng.choice(TROUBLES)}.",
        "resolution": "Restart it, and wait for two minutes.",
        "category": rng.choice(CATEGORIES),
        "author": author,
        "owner": author,
        "reviewed_by": reviewer,
        "audience": _spelt(rng.choice(["internal", "customer"]), rng),
        "valid_to": _days(rng, 1)[0],
    }


MAKERS: dict[str, Callable[..., Record]] = {
    "incident": incident,
    "problem": problem,
    "change": change,
    "request": request,
    "knowledge": knowledge,
}


def _without(*names: str) -> Fault:
    def fault(record: Record, rng: random.Random) -> None:
        for name in names:
            if rng.random() < 0.5 or name not in record:
                record.pop(name, None)
            else:
                record[name] = rng.choice(["", None, "N/A", "tbd", "  "])

    return fault


def _with(**values: Any) -> Fault:
    def fault(record: Record, rng: random.Random) -> None:
        record.update(values)

    return fault


def _as(name: str, other: str) -> Fault:
    def fault(record: Record, rng: random.Random) -> None:
        record[name] = record[other]

    return fault


def _swapped(one: str, other: str) -> Fault:
    def fault(record: Record, rng: random.Random) -> None:
        record[one], record[other] = record[other], record[one]

    return fault


def _wrong_priority(record: Record, rng: random.Random) -> None:
    record["impact"], record["urgency"] = "high", "high"
    record["priority"] = _priority(rng.choice(["high", "moderate", "low", "planning"]), rng)


def _from(before: str) -> Fault:
    return lambda record, rng: rng.choice([{"previous_state": before}, {"previous": {"state": before.title()}}])


# For each rule: the state (or what the maker takes) of a right record, and how to break it.
FAULTS: dict[str, dict[str, tuple[dict[str, Any], Fault]]] = {
    "incident": {
        "format.required": ({}, _without("short_description", "title", "Short Description")),
        "format.id": ({}, lambda record, rng: record.update(_renumbered(record, rng))),
        "format.state": ({"state": "resolved"}, _with(state="reopened by mistake")),
        "format.priority": ({}, _with(priority="urgent!")),
        "format.impact": ({}, _with(impact="galactic")),
        "format.urgency": ({}, _with(urgency="yesterday")),
        "format.transition": ({"state": "closed"}, _from("new")),
        "assessed": ({}, _without("urgency")),
        "priority-matrix": ({}, _wrong_priority),
        "categorised": ({"state": "in_progress"}, _without("category")),
        "has-caller": ({}, _without("caller")),
        "assigned": ({"state": "in_progress"}, _without("assignment_group", "assigned_to")),
        "hold-reason": ({"state": "on_hold"}, _without("hold_reason")),
        "resolution-before-closing": ({"state": "closed"}, _without("resolution", "workaround")),
        "confirmed-before-closing": ({"state": "closed"}, _with(confirmed="no")),
        "resolved-after-opening": ({"state": "resolved"}, _swapped("opened_at", "resolved_at")),
        "closed-after-resolving": ({"state": "closed"}, _swapped("resolved_at", "closed_at")),
        "major-communication": (
            {},
            _with(major_incident=True, impact="high", urgency="high", priority="critical"),
        ),
        "format.confirmed": ({"state": "resolved"}, _with(confirmed="perhaps")),
        "format.major_incident": ({}, _with(major_incident="perhaps")),
    },
    "problem": {
        "format.required": ({}, _without("priority")),
        "format.id": ({}, _with(number="INC0000001")),
        "format.state": ({"state": "new"}, _with(state="thinking")),
        "format.priority": ({}, _with(priority="soon")),
        "format.impact": ({}, _with(impact="galactic")),
        "format.urgency": ({}, _with(urgency="yesterday")),
        "format.known_error": ({"state": "new"}, _with(known_error="perhaps")),
        "format.risk_accepted": ({}, _with(risk_accepted="perhaps")),
        "format.transition": ({"state": "closed"}, _from("assess")),
        "priority-matrix": ({}, _wrong_priority),
        "owned": ({"state": "assess"}, _without("assigned_to")),
        "root-cause": (
            {"state": "fix_in_progress"},
            lambda record, rng: record.update(known_error="no", root_cause=rng.choice(["", "unknown", "the server"])),
        ),
        "known-error-cause": ({"state": "new"}, _with(known_error=True, workaround="Use the other page.")),
        "known-error-workaround": ({"state": "fix_in_progress"}, _without("workaround")),
        "fix-before-closing": ({"state": "resolved"}, _without("fix")),
        "related-incidents": ({"state": "resolved"}, _without("related_incidents")),
    },
    "change": {
        "format.required": ({"kind": "normal"}, _without("short_description")),
        "format.id": ({}, _with(number="CHG-12")),
        "format.type": ({"kind": "standard", "state": "new"}, _with(type="harmless")),
        "format.state": ({}, _with(state="done and dusted")),
        "format.risk": ({"kind": "standard"}, _with(risk="none at all")),
        "format.impact": ({}, _with(impact="galactic")),
        "format.transition": ({"kind": "normal", "state": "implement"}, _from("new")),
        "justified": ({"kind": "normal"}, _without("justification")),
        "risk-assessed": ({"state": "authorize"}, _without("risk")),
        "back-out-plan": ({"state": "review"}, _without("back_out_plan")),
        "tested": (
            {"kind": "normal", "state": "implement"},
            lambda record, rng: record.update(risk="moderate", test_plan=""),
        ),
        "approved": (
            {"kind": "emergency", "state": "implement"},
            _without("approvals"),
        ),
        "approved-by-another": ({"kind": "emergency"}, _as("approvals", "requested_by")),
        "high-risk-approvals": (
            {"kind": "normal", "state": "scheduled"},
            lambda record, rng: record.update(risk="high", approvals=record["approvals"][:1]),
        ),
        "window": ({"state": "scheduled"}, _without("end")),
        "window-order": ({}, _swapped("start", "end")),
        "emergency-incident": ({"kind": "emergency"}, _without("incident")),
        "emergency-review": ({"kind": "emergency", "state": "closed"}, _without("review")),
        "outcome": ({"state": "closed"}, _without("outcome")),
    },
    "request": {
        "format.required": ({}, _without("short_description")),
        "format.id": ({}, _with(number="REQ12")),
        "format.state": ({"state": "submitted"}, _with(state="on its way")),
        "format.priority": ({}, _with(priority="soon")),
        "format.approval_required": ({}, _with(approval_required="perhaps")),
        "format.transition": ({"state": "closed"}, _from("submitted")),
        "for-someone": ({}, _without("requested_for")),
        "for-something": ({}, _without("item")),
        "approved": ({"state": "approved"}, _without("approvals")),
        "access-approved": (
            {"state": "in_progress"},
            lambda record, rng: record.update(access="administrator", approvals=[], approval_required=False),
        ),
        "approved-by-another": ({}, _as("approvals", "requested_for")),
        "rejection-reason": ({"state": "rejected"}, _without("rejection_reason")),
        "fulfilment": ({"state": "fulfilled"}, _with(fulfilment="done")),
        "due-after-opening": ({}, _swapped("opened_at", "due_date")),
    },
    "knowledge": {
        "format.required": ({}, _without("title")),
        "format.id": ({}, _with(number="0000017")),
        "format.state": ({}, _with(state="somewhere")),
        "format.audience": ({}, _with(audience="everybody and nobody")),
        "format.transition": ({"state": "published"}, _from("retired")),
        "title": ({}, _with(title="Mail trouble")),
        "usable": ({"state": "published"}, _without("resolution", "body")),
        "categorised": ({"state": "published"}, _without("category")),
        "owned": ({"state": "published"}, _without("owner")),
        "reviewed": ({"state": "published"}, _without("reviewed_by")),
        "reviewed-by-another": ({}, _as("reviewed_by", "author")),
        "valid-to": ({"state": "published"}, _without("valid_to")),
        "no-internal-hosts": (
            {},
            _with(audience="customer", resolution="Log in to mail01.corp and restart the service."),
        ),
    },
}

# What follows from the same fault by other rules.
ALSO: dict[tuple[str, str], list[str]] = {
    ("incident", "format.impact"): ["priority-matrix"],
    ("incident", "format.urgency"): ["priority-matrix"],
    ("incident", "format.priority"): ["priority-matrix"],
    ("problem", "format.impact"): ["priority-matrix"],
    ("problem", "format.urgency"): ["priority-matrix"],
    ("problem", "format.priority"): ["priority-matrix"],
    ("knowledge", "format.required"): ["title"],
}


def _renumbered(record: Record, rng: random.Random) -> Record:
    name = next(name for name in ("number", "incident_id", "Number") if name in record)
    return {name: rng.choice(["INC12", "PRB0012345", "12345678", "INC00123X5"])}


def right(kind: str, count: int, seed: int) -> Iterator[Ticket]:
    """Give `count` records with nothing wrong in them."""
    rng = random.Random(f"{kind}-{seed}")
    for _ in range(count):
        yield Ticket(kind, MAKERS[kind](rng), {}, [])


def wrong(kind: str, count: int, seed: int) -> Iterator[Ticket]:
    """Give `count` records for each rule of the kind, each with one fault."""
    rng = random.Random(f"{kind}-{seed}")
    for rule, (made_with, fault) in FAULTS[kind].items():
        for _ in range(count):
            record = MAKERS[kind](rng, **made_with)
            context = fault(record, rng) or {}
            yield Ticket(kind, record, context, [rule, *ALSO.get((kind, rule), [])])
