"""What goes wrong inside a render, before it has a template and a line.

Operators, filters and functions raise these; `render` turns them into `InvalidExpression`, which
is all that a caller ever sees. `Missing` is apart because `??`, `???`, `default` and `is defined`
forgive it and nothing else.
"""

from __future__ import annotations


class Fault(Exception):
    """An operation that cannot be done. `line` counts from 1; 0 until somebody knows it."""

    def __init__(self, message: str, line: int = 0) -> None:
        super().__init__(message)
        self.message = message
        self.line = line


class SyntaxFault(Fault):
    """A template that does not parse."""


class LimitFault(Fault):
    """A bound was reached: output, steps, depth or time. Nothing forgives it."""


class SlowFault(LimitFault):
    """The bound was one of time that others, who may block, have more of."""


class Missing(Exception):
    """A variable, key or index that is not there. `name` is what the message will call it."""

    def __init__(self, name: str, line: int = 0) -> None:
        super().__init__(name)
        self.name = name
        self.line = line
