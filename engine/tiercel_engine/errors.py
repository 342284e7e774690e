"""Every error the engine raises on purpose, as one tree.

TiercelError
├── UserError                what somebody asked cannot be done; the message tells what to do
│   ├── InvalidFlow          a flow's source does not hold; carries its violations
│   ├── InvalidInput         an input is missing or does not have its type
│   ├── InvalidExpression    a template does not parse or render; line and expression
│   ├── InvalidSettings      the configuration does not hold; which setting and where it stands
│   ├── NotFound             no such flow, revision, execution, file
│   ├── Conflict             it exists already, or its state forbids what was asked
│   └── Rejected             a command that does not fit the state of its execution
├── TaskError                the task's own fault: fails the attempt
├── LogError                 what the event log says
│   ├── RecordTooLarge       a value above the limit; nothing was written
│   ├── OwnerFenced          a newer holder of the owner name exists; nothing was written
│   ├── PartitionsLost       the group gave the partition away; nothing was written
│   ├── CommitUncertain      the log did not say; rebuild from it
│   ├── LogBusy              a bounded queue is full; try again later
│   └── LogUnavailable       the log did not answer in time
├── TransientError           try again later, bounded by the caller
└── ProgrammingError         a broken invariant
"""

from __future__ import annotations

from dataclasses import dataclass


class TiercelError(Exception):
    """The root of the tree."""


class UserError(TiercelError):
    """What somebody asked for cannot be done; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing that is wrong with a flow. `line` and `column` count from 1, 0 when unknown."""

    path: str
    message: str
    line: int = 0
    column: int = 0


class InvalidFlow(UserError):
    """A flow's source does not hold."""

    def __init__(self, message: str, violations: tuple[Violation, ...] = ()) -> None:
        super().__init__(message)
        self.violations = violations or (Violation("", message),)


class InvalidInput(UserError):
    """Inputs of an execution do not hold. `violations`: one per input, `path` is its id."""

    def __init__(self, violations: tuple[Violation, ...]) -> None:
        super().__init__("\n".join(v.message for v in violations))
        self.violations = violations


class InvalidExpression(UserError):
    """A template does not parse or does not render.

    Attributes:
        expression: the template's text.
        line: the line in it, from 1; 0 when unknown.
        missing: the variable or attribute that was not found, when that was the cause.
    """

    def __init__(
        self, message: str, expression: str = "", line: int = 0, missing: str | None = None
    ) -> None:
        super().__init__(message)
        self.expression = expression
        self.line = line
        self.missing = missing


class InvalidSettings(UserError):
    """The configuration does not hold; the message names the setting and where it stands."""


class NotFound(UserError):
    """No such flow, revision, execution or file."""


class Conflict(UserError):
    """It exists already, or its state forbids what was asked."""


class Moved(Conflict):
    """It has changed since it was looked at; a second look may help."""


class Rejected(UserError):
    """A command that does not fit the state of its execution; nothing has changed.

    Attributes:
        kind: NOT_FOUND, CONFLICT, INVALID or MOVED (what was known of it is too old), for the
            status of an answer.
    """

    def __init__(self, message: str, kind: str = "CONFLICT") -> None:
        super().__init__(message)
        self.kind = kind


class TaskError(TiercelError):
    """The task's own fault; its attempt ends FAILED with this message in its log."""


class LogError(TiercelError):
    """What the event log says."""


class RecordTooLarge(LogError):
    """A value above the limit. Nothing was written."""


class OwnerFenced(LogError):
    """A newer holder of the owner name exists. Nothing was written."""


class PartitionsLost(LogError):
    """The group gave the partition to another member. Nothing was written."""


class CommitUncertain(LogError):
    """The log did not say whether a transaction committed; rebuild from what it holds."""


class LogBusy(LogError):
    """A bounded queue is full; try again later."""


class LogUnavailable(LogError):
    """The log did not answer in time."""


class TransientError(TiercelError):
    """Try again later; the caller bounds how often."""


class ProgrammingError(TiercelError):
    """A broken invariant."""
