"""Groups failed cases by what they have most likely in common.

The cause is read off the first problem; what the execution logged at ERROR says more than its
state, and a task type that is unknown says more than both.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from tests.conformance.judging import Outcome

CAUSE_CHARS = 150
#: What differs from one execution to the next, and what stands for it.
_NOISE = (
    (r"\b[0-9A-Za-z]{22}\b", "<id>"),
    (r"\d{4}-\d\d-\d\dT[\d:.]+Z", "<instant>"),
    (r"\[[\w\-. ,]*(CREATED|RUNNING|SUCCESS|FAILED|WARNING)[^\]]*\]", "[…]"),
)


def cause_of(outcome: Outcome) -> str:
    """A short text that failures of one cause share."""
    first = outcome.problems[0]
    missing = re.search(r"refused.*?Invalid type: (\S+)", first, re.DOTALL)
    unsupported = [error for error in outcome.errors if "not supported" in error]
    if unsupported:
        text = unsupported[0]
    elif missing:
        text = f"missing type {missing[1]}"
    elif match := re.match(r"([^:]+): expected HTTP \d+, got 40[45]", first):
        text = f"no such call: {re.sub(r'[?].*', '', match[1])}"
    elif match := re.search(r"(start|flow [\w-]+|\w+): expected HTTP .*?, got (.*)", first):
        text = f"{match[1]} answers {match[2]}"
    elif "refused" in first:
        text = re.sub(r"^flow [\w-]+", "flow", first).split("\n")[0]
    elif first.startswith("hangs"):
        stuck = re.findall(r"([\w\-]+) (?:CREATED|RUNNING|PAUSED|RETRYING)", first)
        text = f"hangs at task {stuck[-1]}" if stuck else re.sub(r" after .*", "", first)
    elif outcome.errors and re.search(r"got (FAILED|\d+ \[.*FAILED)", first):
        text = f"fails with: {outcome.errors[0]}"
    else:
        text = first
    return _plain(text)


def _plain(text: str) -> str:
    for pattern, stand_in in _NOISE:
        text = re.sub(pattern, stand_in, text)
    return " | ".join(text.split("\n"))[:CAUSE_CHARS]


def groups(outcomes: Sequence[Outcome]) -> list[tuple[str, list[Outcome]]]:
    """Causes with their failures, the most frequent first."""
    found: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        found.setdefault(cause_of(outcome), []).append(outcome)
    return sorted(found.items(), key=lambda item: -len(item[1]))
