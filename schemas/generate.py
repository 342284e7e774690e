"""Generate the records in `tiercel_schemas/*.py` from `tiercel_schemas/avro/*.avsc`.

    python schemas/generate.py            write them
    python schemas/generate.py --check    exit 1 when writing would change anything

Each `.avsc` file is a list of named records; it becomes the module of the same name. A record
marked `"root": true` travels in a topic on its own: its expanded schema is also kept for ever in
`avro/history/`, so that bytes written under it stay readable (see `codec.py`).
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import fastavro.schema

HERE = Path(__file__).parent / "tiercel_schemas"
#: The order in which files may refer to each other's records.
MODULES = (
    "common",
    "events",
    "commands",
    "concurrency",
    "jobs",
    "logs",
    "flows",
    "triggers",
    "accounts",
    "services",
)
PRIMITIVES = {
    "string": "str",
    "long": "int",
    "int": "int",
    "double": "float",
    "boolean": "bool",
    "bytes": "bytes",
}
HEADER = '''"""Generated from avro/{module}.avsc by schemas/generate.py: do not edit."""

from __future__ import annotations

{typing}import msgspec

'''


def python_type(avro: Any) -> str:
    """The annotation of an Avro type."""
    if isinstance(avro, str):
        return PRIMITIVES.get(avro, avro)
    if isinstance(avro, list):
        return " | ".join("None" if t == "null" else python_type(t) for t in nulls_last(avro))
    if avro["type"] == "array":
        items = avro["items"]
        inner = "Event" if is_record_union(items) else python_type(items)
        return f"tuple[{inner}, ...]"
    assert avro["type"] == "map", avro
    return f"dict[str, {python_type(avro['values'])}]"


def nulls_last(union: list[Any]) -> list[Any]:
    return [t for t in union if t != "null"] + [t for t in union if t == "null"]


def is_record_union(avro: Any) -> bool:
    return isinstance(avro, list) and "null" not in avro


def default_of(field: dict[str, Any]) -> str:
    if "default" not in field:
        return ""
    default = field["default"]
    if default == []:
        return " = ()"
    if default == {}:
        return " = msgspec.field(default_factory=dict)"
    return f" = {default!r}".replace("'", '"')


def fields_in_order(record: dict[str, Any]) -> list[dict[str, Any]]:
    """Required fields first: keyword defaults come last in Python."""
    return sorted(record["fields"], key=lambda f: "default" in f)


def class_source(record: dict[str, Any], fingerprints: dict[str, str]) -> str:
    """The class of one record. It holds no cycles, so the collector need not look at it."""
    lines = [f"class {record['name']}(msgspec.Struct, frozen=True, gc=False):"]
    lines.append(f'    """{record["doc"]}')
    lines.append("")
    lines.append("    Attributes:")
    lines += wrapped_attributes(record)
    lines += ['    """', ""]
    if record["name"] in fingerprints:
        lines.append(f'    FINGERPRINT: ClassVar[str] = "{fingerprints[record["name"]]}"')
    lines.append("")
    for field in fields_in_order(record):
        lines.append(f"    {field['name']}: {python_type(field['type'])}{default_of(field)}")
    lines.append("")
    return "\n".join(lines)


def wrapped_attributes(record: dict[str, Any]) -> list[str]:
    lines = []
    for field in fields_in_order(record):
        words = f"{field['name']}: {field['doc']}".split()
        line = "       "
        for word in words:
            if len(line) + 1 + len(word) > 98:
                lines.append(line)
                line = "           "
            line += " " + word
        lines.append(line)
    return lines


def import_lines(module: str, records: list[dict[str, Any]], home: dict[str, str]) -> str:
    """The imports of records that live in other modules."""
    text = json.dumps(records)
    used: dict[str, list[str]] = {}
    for name, where in sorted(home.items()):
        if where != module and f'"{name}"' in text:
            used.setdefault(where, []).append(name)
    return "".join(
        f"from tiercel_schemas.{where} import {', '.join(names)}\n"
        for where, names in sorted(used.items())
    )


def module_source(
    module: str, records: list[dict[str, Any]], home: dict[str, str], fingerprints: dict[str, str]
) -> str:
    """The text of one generated module."""
    has_roots = any(record["name"] in fingerprints for record in records)
    typing = "from typing import ClassVar\n\n" if has_roots else ""
    text = HEADER.format(module=module, typing=typing) + import_lines(module, records, home)
    plain = [record for record in records if record["name"] != "EventBatch"]
    text += "\n\n" + "\n\n".join(class_source(record, fingerprints) for record in plain)
    if module == "events":
        batch = next(r for r in records if r["name"] == "EventBatch")
        items = next(f for f in batch["fields"] if f["name"] == "events")["type"]["items"]
        text += "\n\n#: Everything that can happen to an execution.\n"
        text += "Event = (\n    " + "\n    | ".join(items) + "\n)\n\n\n"
        text += class_source(batch, fingerprints)
    return text


def outputs() -> dict[Path, str]:
    """Every generated file with its text. History files are only ever added."""
    modules = {m: json.loads((HERE / "avro" / f"{m}.avsc").read_text()) for m in MODULES}
    home = {r["name"]: m for m, records in modules.items() for r in records}
    roots = [r for records in modules.values() for r in records if r.get("root")]
    fingerprints: dict[str, str] = {}
    files: dict[Path, str] = {}
    for record in roots:
        plain = expand(record, modules)
        form = fastavro.schema.to_parsing_canonical_form(plain)
        fingerprint = fastavro.schema.fingerprint(form, "CRC-64-AVRO")
        fingerprints[record["name"]] = fingerprint
        path = HERE / "avro" / "history" / f"{record['name']}-{fingerprint}.avsc"
        files[path] = json.dumps(plain, indent=1, ensure_ascii=False) + "\n"
    for module in MODULES:
        text = module_source(module, modules[module], home, fingerprints)
        files[HERE / f"{module}.py"] = formatted(text)
    return files


def formatted(source: str) -> str:
    """The source as `ruff format` leaves it, so that the linter agrees with the generator."""
    command = [sys.executable, "-m", "ruff", "format", "--stdin-filename", "generated.py", "-"]
    result = subprocess.run(command, input=source, capture_output=True, text=True, check=True)
    return result.stdout


def expand(schema: Any, modules: dict[str, Any]) -> dict[str, Any]:
    """Inline every record at its first mention; docs are left out, defaults kept."""
    records = {r["name"]: r for rs in modules.values() for r in rs}
    seen: set[str] = set()

    def walk(avro: Any) -> Any:
        if isinstance(avro, str):
            if avro in PRIMITIVES or avro == "null":
                return avro
            if avro in seen:
                return f"tiercel.{avro}"
            return walk(records[avro])
        if isinstance(avro, list):
            return [walk(t) for t in avro]
        if avro["type"] == "record":
            seen.add(avro["name"])
            fields = []
            for field in avro["fields"]:
                kept = {k: v for k, v in field.items() if k != "doc"}
                fields.append({**kept, "type": walk(field["type"])})
            return {
                "type": "record",
                "name": avro["name"],
                "namespace": "tiercel",
                "fields": fields,
            }
        key = "items" if avro["type"] == "array" else "values"
        return {"type": avro["type"], key: walk(avro[key])}

    expanded: dict[str, Any] = walk(schema)
    return expanded


def main() -> int:
    changed = []
    for path, text in outputs().items():
        if not path.exists() or path.read_text() != text:
            changed.append(path)
            if "--check" not in sys.argv:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
    for path in changed:
        print(f"{'differs' if '--check' in sys.argv else 'wrote'}: {path.name}")
    return 1 if changed and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
