"""Avro schemas -> Python functions that write and read records.

A schema is known long before its records come, so the work of walking it is done once: for each
schema one straight-line function is written, as source text, and compiled. Field by field it turns
a record into bytes, or bytes into a record, with nothing in between. The bytes are Avro's binary
encoding; tests hold every schema to what fastavro writes and reads (ADR 0006).

Reading resolves old schemas to today's records: a field that is gone is read past, one that has
come since takes its default. Only what `schemas/README.md` allows to change can be resolved;
anything else is refused when the function is made.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import msgspec

Schema = Any  # a name, a list (union) or an object: JSON as the Avro specification has it
Write = Callable[[Any], bytes]
Read = Callable[[bytes, int], Any]

#: Numbers up to this have their bytes ready.
READY_MAX = 4_096
LONG_BITS = 64
#: How many bytes a long takes at most.
LONG_BYTES_MAX = 10


def long_bytes(number: int) -> bytes:
    """A long: zigzag, then seven bits a byte, the lowest first.

    Raises:
        OverflowError: it takes more than 64 bits.
    """
    if not -(1 << LONG_BITS - 1) <= number < 1 << LONG_BITS - 1:
        raise OverflowError(f"Expected a number of at most {LONG_BITS} bits, but it is {number}.")
    rest = number << 1 if number >= 0 else (~number << 1) | 1
    if rest < 128:
        return bytes((rest,))
    if 1 << 49 <= rest < 1 << 56:
        # Eight bytes: an instant in microseconds, as most large numbers are.
        return bytes(
            (
                rest & 127 | 128,
                rest >> 7 & 127 | 128,
                rest >> 14 & 127 | 128,
                rest >> 21 & 127 | 128,
                rest >> 28 & 127 | 128,
                rest >> 35 & 127 | 128,
                rest >> 42 & 127 | 128,
                rest >> 49,
            )
        )
    out = bytearray()
    while rest > 127:
        out.append(rest & 127 | 128)
        rest >>= 7
    out.append(rest)
    return bytes(out)


class _Longs(dict[int, bytes]):
    """Numbers -> bytes; the small ones are ready."""

    def __init__(self) -> None:
        super().__init__((n, long_bytes(n)) for n in range(-1, READY_MAX))

    def __missing__(self, number: int) -> bytes:
        return long_bytes(number)


#: What a first byte says when it is the only one; None when others follow.
ONE_BYTE = tuple((n >> 1) ^ -(n & 1) if n < 128 else None for n in range(256))


#: The bits that say whether another byte follows, and how they are in a number of eight bytes.
_MARKS = 0x8080808080808080
_EIGHT_BYTES = 0x0080808080808080


def read_long(data: bytes, at: int) -> tuple[int, int]:
    """A long whose first byte is the one before `at`, and where it ends."""
    word = int.from_bytes(data[at - 1 : at + 7], "little")
    if word & _MARKS == _EIGHT_BYTES:
        # An instant. Sevens of bits become fourteens, those twenty-eights, those the number.
        word = word & 0x007F007F007F007F | (word & 0x7F007F007F007F00) >> 1
        word = word & 0x00003FFF00003FFF | (word & 0x3FFF00003FFF0000) >> 2
        word = word & 0x000000000FFFFFFF | (word & 0x0FFFFFFF00000000) >> 4
        return (word >> 1) ^ -(word & 1), at + 7
    byte = data[at - 1]
    rest = byte & 127
    shift = 0
    while byte > 127:
        shift += 7
        if shift >= 7 * LONG_BYTES_MAX:
            raise ValueError("a number is too long")
        byte = data[at]
        at += 1
        rest |= (byte & 127) << shift
    return (rest >> 1) ^ -(rest & 1), at


def negative_length(length: int) -> None:
    """Refuse it.

    Raises:
        ValueError: always.
    """
    raise ValueError(f"a length is {length}")


_DOUBLE = struct.Struct("<d")
#: What the source of a compiled function may name, beside its schema's records.
NAMES: Mapping[str, Any] = {
    "LONG": _Longs(),
    "ONE_BYTE": ONE_BYTE,
    "join": b"".join,
    "pack_double": _DOUBLE.pack,
    "unpack_double": _DOUBLE.unpack_from,
    "read_long": read_long,
    "negative_length": negative_length,
}


class _Body:
    """The lines of a function that is being written."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._depth = 1
        self._names = 0

    def add(self, line: str) -> None:
        self.lines.append("    " * self._depth + line)

    def name(self) -> str:
        """A variable that nobody uses yet."""
        self._names += 1
        return f"v{self._names}"

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        self.add(head)
        self._depth += 1
        yield
        self._depth -= 1

    def compiled(self, head: str, names: Mapping[str, Any]) -> Any:
        """The function."""
        source = "\n".join([f"def compiled({head}):", *self.lines])
        scope = {**NAMES, **names}
        exec(compile(source, "<avro>", "exec"), scope)
        return scope["compiled"]


class Compiler:
    """Makes the functions of one root schema.

    Args:
        schema: the root record, every other record written out at its first mention.
        records: name without namespace -> class of today's record.
    """

    def __init__(self, schema: Schema, records: Mapping[str, type[msgspec.Struct]]) -> None:
        self._root = schema
        self._records = records
        self._named: dict[str, Schema] = {}
        self._remember(schema)

    def _remember(self, avro: Schema) -> None:
        if isinstance(avro, list):
            for member in avro:
                self._remember(member)
        elif isinstance(avro, dict):
            if avro["type"] == "record":
                self._named[avro["name"]] = avro
                for field in avro["fields"]:
                    self._remember(field["type"])
            else:
                self._remember(avro["items"] if "items" in avro else avro["values"])

    def _resolved(self, avro: Schema) -> Schema:
        if isinstance(avro, str):
            return self._named.get(avro.rpartition(".")[2], avro)
        return avro

    # ---- writing

    def writer(self, header: bytes) -> Write:
        """A function from a record to `header` and its bytes."""
        return self._writer(self._root, header)

    def _writer(self, avro: Schema, prefix: bytes) -> Write:
        body, names = _Body(), {"PREFIX": prefix}
        pieces = self._pieces(body, names, avro, "record")
        body.add(f"return {_joined(['PREFIX', *pieces])}")
        write: Write = body.compiled("record", names)
        return write

    def _pieces(self, body: _Body, names: dict[str, Any], avro: Schema, value: str) -> list[str]:
        """Add the lines that prepare `value`; the expressions of its bytes, in order."""
        avro = self._resolved(avro)
        if isinstance(avro, list):
            return [self._write_union(body, names, avro, value)]
        if isinstance(avro, str):
            return self._write_primitive(body, avro, value)
        if avro["type"] == "record":
            fields = [(field["type"], f"{value}.{field['name']}") for field in avro["fields"]]
            return [piece for kind, at in fields for piece in self._pieces(body, names, kind, at)]
        return [self._write_block(body, names, avro, value)]

    def _write_primitive(self, body: _Body, kind: str, value: str) -> list[str]:
        if kind == "string":
            text = body.name()
            body.add(f"{text} = {value}.encode()")
            return [f"LONG[len({text})]", text]
        return {
            "bytes": [f"LONG[len({value})]", value],
            "int": [f"LONG[{value}]"],
            "long": [f"LONG[{value}]"],
            "double": [f"pack_double({value})"],
            "boolean": [f"(b'\\1' if {value} else b'\\0')"],
        }[kind]

    def _write_union(self, body: _Body, names: dict[str, Any], avro: Schema, value: str) -> str:
        out = body.name()
        if "null" not in avro:
            writers = body.name()
            names[writers] = {
                self._records[self._resolved(member)["name"]]: self._writer(
                    member, long_bytes(index)
                )
                for index, member in enumerate(avro)
            }
            item = body.name()
            body.add(f"{item} = {value}")
            body.add(f"{out} = {writers}[type({item})]({item})")
            return out
        inner = _only([member for member in avro if member != "null"])
        item = body.name()
        body.add(f"{item} = {value}")
        with body.block(f"if {item} is None:"):
            body.add(f"{out} = {long_bytes(avro.index('null'))!r}")
        with body.block("else:"):
            pieces = self._pieces(body, names, inner, item)
            body.add(f"{out} = {_joined([repr(long_bytes(avro.index(inner))), *pieces])}")
        return out

    def _write_block(self, body: _Body, names: dict[str, Any], avro: Schema, value: str) -> str:
        """An array or a map: one block with all items, and the empty block that ends it."""
        all_, one, out = body.name(), body.name(), body.name()
        body.add(f"{all_} = {value}")
        with body.block(f"if {all_}:"):
            body.add(f"{out} = [LONG[len({all_})]]")
            key = body.name()
            is_map = avro["type"] == "map"
            head = f"{key}, {one} in {all_}.items()" if is_map else f"{one} in {all_}"
            with body.block(f"for {head}:"):
                pieces = self._write_primitive(body, "string", key) if is_map else []
                pieces += self._pieces(body, names, avro["values" if is_map else "items"], one)
                body.add(f"{out} += ({', '.join(pieces)},)")
            body.add(f"{out}.append(b'\\0')")
            body.add(f"{out} = join({out})")
        with body.block("else:"):
            body.add(f"{out} = b'\\0'")
        return out

    # ---- reading

    def reader(self) -> Read:
        """A function from bytes, and where the value begins in them, to the record.

        It raises IndexError, TypeError or ValueError when the bytes are no such record.
        """
        body, names = _Body(), dict[str, Any]()
        record = self._value(body, names, self._root)
        with body.block("if p != len(d):"):
            body.add("raise ValueError(f'it should end at byte {p} of {len(d)}')")
        body.add(f"return {record}")
        read: Read = body.compiled("d, p", names)
        return read

    def _value(self, body: _Body, names: dict[str, Any], avro: Schema) -> str:
        """Add the lines that read a value at `p`; the expression that it is."""
        avro = self._resolved(avro)
        if isinstance(avro, list):
            return self._read_union(body, names, avro)
        if isinstance(avro, str):
            return self._read_primitive(body, avro)
        if avro["type"] == "record":
            return self._read_record(body, names, avro)
        return self._read_blocks(body, names, avro)

    def _read_long(self, body: _Body) -> str:
        number = body.name()
        body.add(f"{number} = ONE_BYTE[d[p]]; p += 1")
        body.add(f"if {number} is None: {number}, p = read_long(d, p)")
        return number

    def _read_primitive(self, body: _Body, kind: str) -> str:
        if kind in ("int", "long"):
            return self._read_long(body)
        value = body.name()
        if kind in ("string", "bytes"):
            length = self._read_long(body)
            body.add(f"if {length} < 0: negative_length({length})")
            end = ".decode()" if kind == "string" else ""
            # A slice past the end is short without a word: the check at the end sees it.
            body.add(f"{value} = d[p:(p := p + {length})]{end}")
        elif kind == "double":
            body.add(f"({value},) = unpack_double(d, p); p += 8")
        else:
            assert kind == "boolean", kind
            body.add(f"{value} = d[p] != 0; p += 1")
        return value

    def _read_union(self, body: _Body, names: dict[str, Any], avro: Schema) -> str:
        value, index = body.name(), self._read_long(body)
        if "null" not in avro:
            readers = body.name()
            names[readers] = dict(enumerate(self._member_reader(member) for member in avro))
            body.add(f"{value}, p = {readers}[{index}](d, p)")
            return value
        inner = _only([member for member in avro if member != "null"])
        with body.block(f"if {index} == {avro.index('null')}:"):
            body.add(f"{value} = None")
        with body.block(f"elif {index} == {avro.index(inner)}:"):
            found = self._value(body, names, inner)
            body.add(f"{value} = {found}")
        with body.block("else:"):
            body.add(f"raise ValueError(f'there is no branch {{{index}}}')")
        return value

    def _member_reader(self, avro: Schema) -> Callable[[bytes, int], tuple[Any, int]]:
        body, names = _Body(), dict[str, Any]()
        record = self._value(body, names, avro)
        body.add(f"return {record}, p")
        read: Callable[[bytes, int], tuple[Any, int]] = body.compiled("d, p", names)
        return read

    def _read_record(self, body: _Body, names: dict[str, Any], avro: Schema) -> str:
        kind = self._records[avro["name"]]
        names[avro["name"]] = kind
        read = {f["name"]: self._value(body, names, f["type"]) for f in avro["fields"]}
        given: list[str] = []
        for place, name in enumerate(kind.__struct_fields__):
            if name in read:
                # After one that has come since and takes its default, they go by their names.
                given.append(read[name] if len(given) == place else f"{name}={read[name]}")
        value = body.name()
        body.add(f"{value} = {avro['name']}({', '.join(given)})")
        return value

    def _read_blocks(self, body: _Body, names: dict[str, Any], avro: Schema) -> str:
        """An array or a map: blocks until an empty one."""
        is_map = avro["type"] == "map"
        items = self._resolved(avro["values" if is_map else "items"])
        # Items without bytes would let a damaged count fill the memory.
        assert not (isinstance(items, dict) and items["type"] == "record" and not items["fields"])
        value, count = body.name(), body.name()
        body.add(f"{value} = {'{}' if is_map else '[]'}")
        with body.block("while True:"):
            number = self._read_long(body)
            body.add(f"if {number} == 0: break")
            with body.block(f"if {number} < 0:"):
                body.add(f"{number} = -{number}")
                self._read_long(body)
            body.add(f"{count} = range({number})")
            with body.block(f"for _ in {count}:"):
                if is_map:
                    key = self._read_primitive(body, "string")
                    body.add(f"{value}[{key}] = {self._value(body, names, items)}")
                else:
                    body.add(f"{value}.append({self._value(body, names, items)})")
        return value if is_map else f"tuple({value})"


def _joined(pieces: list[str]) -> str:
    """Few pieces are added up faster than they are joined."""
    return " + ".join(pieces) if len(pieces) <= 3 else f"join(({', '.join(pieces)}))"


def _only(members: list[Schema]) -> Schema:
    """The member of a nullable type; larger unions with null are not made (see `generate.py`)."""
    assert len(members) == 1, members
    return members[0]
