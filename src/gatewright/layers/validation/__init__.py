"""Guards: what may go in, and what may come out.

A **guardrail** is a named list of **rules** at a **level**. It judges texts: each message on the way in; each choice's
text, reasoning, refusal and tool arguments on the way out. Every fault is a **finding** with a severity, and the level
says what is done about it (`levels.action_for`).

There are two kinds of rule (`rules.py`), and nothing else has to be known to add one:

- A `PatternRule` finds forbidden pieces of a text: a regular expression in RE2's syntax (linear time) and, where that
  is not enough, a `check` of what was matched. All pattern rules of a guardrail run as one automaton, on whole texts
  and on streams alike: a stream holds back only what may still become a match. It can block, redact or warn.
- A `TextRule` judges a text as a whole (`judge`): formats, required fields, validators of the user's. It may await. It
  sees a stream's text when that is complete: a stream is held back as a whole where such a rule can block or repair.

**Repair.** A rule whose action is `repair` may have a `repair(text, context)` that gives a better text or None: it is
asked first. What still fails goes to the gateway's `Repairer` (`repairing.py`), which may ask the model again; what
fails after that is blocked.

**Rules in YAML.** `types/written.py` reads a file so that each error names file, line and key; `Written.read(XConfig)`
gives a checked configuration of it. A source (`sources.py`) is a function of such a configuration that gives rules.
"""
