"""The peer's own rows, when a directory of them is given: `TIERCEL_CONFORMANCE=<dir> pytest ...`.

Without that there is nothing here to collect.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tiercel_cli.expression_cases import Case, check, read_cases

_DIRECTORY = os.environ.get("TIERCEL_CONFORMANCE", "")

if _DIRECTORY:
    _CASES = list(read_cases((Path(_DIRECTORY) / "expressions.jsonl").read_bytes().splitlines()))

    @pytest.mark.parametrize("case", _CASES, ids=lambda case: f"line {case.line}")
    def test_a_row_of_the_peer_holds(case: Case) -> None:
        outcome = check(case)

        assert outcome.holds, f"expected {outcome.expected!r}, but it was {outcome.got!r}"
