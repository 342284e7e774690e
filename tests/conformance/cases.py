"""What a file of conformance cases says: one flow, its inputs and what must hold, one a line.

Knows the form of the file only; nothing about servers. A case that names the base inputs (`"*"`)
gets the largest set of inputs that any case of the same file gives, cut to the flow's own ones.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

JsonObject = dict[str, Any]
#: What an uploaded file holds when the case does not say.
FILE_TEXT = "hello"
_REPEATED = re.compile(r"^'(.)' \* (\d+)$")
_LINES = re.compile(r"^<(\d+) lines")
_LOCAL = re.compile(r"^<local path of ([^>]+)>$")


@dataclass(frozen=True)
class Upload:
    """A FILE input: the name and content of what is sent."""

    filename: str
    content: str


@dataclass(frozen=True)
class Case:
    """One line of the file.

    Attributes:
        number: its line, from 1.
        row: the line as read.
        source: text of the flow.
        extra_sources: texts of the other flows to load, by file name.
        texts: text inputs as sent.
        uploads: FILE inputs as sent.
        is_contradicted: it expects the flow to be refused, and others of the file run it.
    """

    number: int
    row: JsonObject
    source: str
    extra_sources: Mapping[str, str]
    texts: Mapping[str, str]
    uploads: Mapping[str, Upload]
    flow_id: str
    namespace: str
    expected: JsonObject = field(default_factory=dict)
    is_contradicted: bool = False

    @property
    def name(self) -> str:
        return f"{self.number:03d} {self.row['flow_file']}"

    @property
    def action(self) -> str:
        return str(self.row.get("action", ""))

    @property
    def after(self) -> JsonObject:
        return dict(self.row.get("after", {}))

    @property
    def flow_keys(self) -> frozenset[tuple[str, str]]:
        """Namespace and id of every flow that the case loads: who shares one waits."""
        extra = (identity_of(source) for source in self.extra_sources.values())
        return frozenset({(self.namespace, self.flow_id), *extra})


def identity_of(source: str) -> tuple[str, str]:
    """Namespace and id that a flow's text says."""
    document = yaml.safe_load(source)
    return str(document.get("namespace")), str(document.get("id"))


def read_cases(path: Path, flows: Path) -> list[Case]:
    """Every case of the file; its flows are read from the folder `flows`."""
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]
    return [_case(number, row, rows, flows) for number, row in enumerate(rows, 1)]


def _case(number: int, row: JsonObject, rows: Sequence[JsonObject], flows: Path) -> Case:
    source = (flows / row["flow_file"]).read_text("utf-8")
    namespace, flow_id = identity_of(source)
    texts: dict[str, str] = {}
    uploads: dict[str, Upload] = {}
    for name, value in _given_inputs(row, rows, source).items():
        sent = _sent(name, value)
        if isinstance(sent, Upload):
            uploads[name] = sent
        elif sent is not None:
            texts[name] = sent
    extra = {name: (flows / name).read_text("utf-8") for name in row.get("extra_flows", [])}
    if set(row.get("expected", {})) == {"notes"}:
        extra |= _upstream(source, flows)
    return Case(
        number,
        row,
        source,
        extra,
        texts,
        uploads,
        flow_id=str(row.get("flow_id", flow_id)),
        namespace=str(row.get("namespace", namespace)),
        expected=dict(row.get("expected", {})),
        is_contradicted=_is_contradicted(row, rows),
    )


def _upstream(source: str, flows: Path) -> dict[str, str]:
    """The flows that the Flow triggers of one name, by file name."""
    listens = any(
        str(one.get("type")).endswith(".Flow")
        for one in yaml.safe_load(source).get("triggers") or ()
    )
    named = set(re.findall(r"flowId:\s*[\"']?([\w.-]+)", source)) if listens else set()
    paths = [path for name in sorted(named) for path in flows.glob(f"{name}.y*ml")]
    return {path.name: path.read_text("utf-8") for path in paths}


def _is_contradicted(row: JsonObject, rows: Sequence[JsonObject]) -> bool:
    others = (r["expected"] for r in rows if r["flow_file"] == row["flow_file"] and r is not row)
    return "validation_errors" in row.get("expected", {}) and any(
        "state" in expected for expected in others
    )


def _given_inputs(row: JsonObject, rows: Sequence[JsonObject], source: str) -> JsonObject:
    given = row.get("inputs") or {}
    if given == "*":
        given = {"*": ""}
    if "*" not in given:
        return dict(given)
    inputs = _base_inputs(row, rows, source)
    left_out = re.match(r"all but ([\w., ]+)$", str(given["*"]))
    for name in left_out[1].split(",") if left_out else ():
        inputs.pop(name.strip(), None)
    return inputs | {name: value for name, value in given.items() if name != "*"}


def _base_inputs(row: JsonObject, rows: Sequence[JsonObject], source: str) -> JsonObject:
    declared = {
        str(one.get("id", one.get("name"))) for one in yaml.safe_load(source).get("inputs") or ()
    }
    sets = [
        r["inputs"] for r in rows if isinstance(r.get("inputs"), dict) and "*" not in r["inputs"]
    ]
    largest: JsonObject = max(sets, key=lambda one: len(declared & one.keys()), default={})
    return {name: value for name, value in largest.items() if name in declared}


def _sent(name: str, value: Any) -> str | Upload | None:
    """How one input goes over the wire; None when it is left out."""
    if value is None:
        return None
    if not isinstance(value, str):
        return json.dumps(value)
    if match := _REPEATED.match(value):
        return match[1] * int(match[2])
    if match := _LINES.match(value):
        lines = (str(k).rjust(20) for k in range(int(match[1])))
        return Upload(f"{name}.txt", "".join(f"{line}\n" for line in lines))
    if match := _LOCAL.match(value):
        return Upload(match[1], FILE_TEXT)
    if value.startswith("<file part"):
        return Upload(name, FILE_TEXT)
    return value
