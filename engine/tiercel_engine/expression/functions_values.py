"""Functions over values: JSON, YAML, Ion, random ids, arithmetic, rendering, encryption."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NoReturn

from tiercel_engine.expression import operators
from tiercel_engine.expression.arguments import text, whole
from tiercel_engine.expression.context import Randomness
from tiercel_engine.expression.faults import Fault, Missing
from tiercel_engine.expression.filters_data import decode_json
from tiercel_engine.expression.frame import Frame, TextOutput
from tiercel_engine.expression.ion import from_ion
from tiercel_engine.expression.moments import epoch_micros
from tiercel_engine.expression.table import function, parameter
from tiercel_engine.expression.values import Long, is_map, is_number, is_sequence
from tiercel_engine.expression.yamls import from_yaml
from tiercel_engine.later import later

_aead = later("cryptography.hazmat.primitives.ciphers.aead")
_faults = later("cryptography.exceptions")

_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_NANO_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-"
#: Characters of an id that `nanoId` may be asked for.
_NANO_CHARS_MAX = 1_000
#: 2014-05-13T16:53:20Z, where the clock of a KSUID starts.
_KSUID_EPOCH_S = 1_400_000_000


@function("fromJson", parameter("json"), also=("json",))
def from_json(frame: Frame, json: Any) -> Any:
    """The value that JSON text stands for; null for null."""
    if json is None:
        return None
    if not isinstance(json, str):
        raise Fault("The 'fromJson' function expects an argument 'json' with type string.")
    return decode_json(json)


@function("fromIon", parameter("ion"), parameter("allRows", False))
def from_ion_(frame: Frame, ion: Any, all_rows: Any) -> Any:
    """The first value of Ion text or bytes; with `allRows` the list of all values."""
    if ion is None:
        return None
    if not isinstance(ion, (str, bytes)):
        raise Fault("The 'fromIon' function expects an argument 'ion' with type string.")
    return from_ion(ion, all_rows=bool(all_rows))


@function("yaml", parameter("yaml"))
def yaml(frame: Frame, source: Any) -> Any:
    """The value that YAML text stands for; null for null."""
    if source is None:
        return None
    if not isinstance(source, str):
        raise Fault("The 'yaml' function expects an argument 'yaml' with type string.")
    return from_yaml(source)


@function("render", parameter("toRender"), parameter("recursive", True), dynamic=True)
def render(frame: Frame, to_render: Any, recursive: Any) -> Any:
    """A text (or the texts in a map or list) rendered with the current variables, until stable."""
    return frame.render_inside(to_render, bool(recursive), frame)


@function("renderOnce", parameter("toRender"), dynamic=True)
def render_once(frame: Frame, to_render: Any) -> Any:
    """A text (or the texts in a map or list) rendered with the current variables, once."""
    return frame.render_inside(to_render, False, frame)


@function("printContext", also=("fetchContext",), dynamic=True)
def print_context(frame: Frame) -> Any:
    """The map of all variables."""
    return frame.root


@function(
    "currentEachOutput", parameter("outputs"), until="2.0", reads=("parents", "taskrun"),
    also=("iterationOutput",),
)  # fmt: skip
def current_each_output(frame: Frame, outputs: Any) -> Any:
    """What a sibling task gave in the current iteration of the loops around."""
    if not is_map(outputs):
        raise Fault("The 'currentEachOutput' function expects an argument 'outputs' of type map.")
    keys: list[Any] = []
    for parent in reversed(_optional(frame, "parents") or []):
        keys.append(_inside(parent, "taskrun", "value"))
    keys.append(_inside(_optional(frame, "taskrun"), "value"))
    current: Any = outputs
    for key in [*(key for key in keys[:-1] if key is not None), keys[-1]]:
        current = current.get(key) if is_map(current) else None
    return current


def _optional(frame: Frame, name: str) -> Any:
    try:
        return frame.lookup(name, 0)
    except Missing:
        return None


def _inside(value: Any, *path: str) -> Any:
    for key in path:
        value = value.get(key) if is_map(value) else None
    return value


@function("loopOutputs", parameter("outputs"), parameter("name"), since="2.0")
def loop_outputs(frame: Frame, outputs: Any, name: Any) -> Any:
    """One output of every iteration of a loop, as a list; null where an iteration lacks it."""
    if not is_sequence(outputs):
        raise Fault("The 'loopOutputs' function expects the list of outputs of a loop")
    return [_inside(entry, "outputs", text(name, "name")) for entry in outputs]


def _randomness(frame: Frame, name: str) -> Randomness:
    if frame.context.rng is None:
        raise Fault(f"Function [{name}] is not available here: it needs randomness")
    return frame.context.rng


def _now(frame: Frame, name: str) -> datetime:
    if frame.context.now is None:
        raise Fault(f"Function [{name}] is not available here: it needs the clock")
    return frame.context.now().astimezone(UTC)


def _uuid_text(bits: int) -> str:
    digits = f"{bits:032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _versioned(bits: int, version: int) -> int:
    bits = bits & ~(0xF << 76) | version << 76
    return bits & ~(0x3 << 62) | 0x2 << 62


@function("uuid")
def uuid(frame: Frame) -> str:
    """A new UUID; ordered by time where there is a clock."""
    bits = _randomness(frame, "uuid").getrandbits(128)
    if frame.context.now is None:
        return _uuid_text(_versioned(bits, 4))
    millis = epoch_micros(_now(frame, "uuid")) // 1_000
    return _uuid_text(_versioned(bits & (2**80 - 1) | millis << 80, 7))


def _base62(value: int, length: int) -> str:
    digits = ""
    for _ in range(length):
        value, digit = divmod(value, 62)
        digits = _BASE62[digit] + digits
    return digits


@function("id")
def id_(frame: Frame) -> str:
    """A new identifier of 22 letters and digits: a UUID in base 62."""
    return _base62(_versioned(_randomness(frame, "id").getrandbits(128), 4), 22)


@function("ksuid", since="1.0")
def ksuid(frame: Frame) -> str:
    """A new K-sortable identifier of 27 letters and digits."""
    seconds = epoch_micros(_now(frame, "ksuid")) // 1_000_000 - _KSUID_EPOCH_S
    return _base62(seconds << 128 | _randomness(frame, "ksuid").getrandbits(128), 27)


@function("nanoId", parameter("length", 21), parameter("alphabet", _NANO_ALPHABET), since="1.0")
def nano_id(frame: Frame, length: Any, alphabet: Any) -> str:
    """A new random identifier of `length` characters of `alphabet`."""
    count, letters = whole(length, "length"), text(alphabet, "alphabet")
    if not 1 <= count <= _NANO_CHARS_MAX:
        raise Fault(f"Expected a length from 1 to {_NANO_CHARS_MAX}, but was {count}")
    if not letters:
        raise Fault("Expected an alphabet of at least one character")
    rng = _randomness(frame, "nanoId")
    return "".join(letters[rng.randrange(0, len(letters))] for _ in range(count))


@function("randomInt", parameter("lower"), parameter("upper"))
def random_int(frame: Frame, lower: Any, upper: Any) -> Any:
    """A whole number from `lower` up to, but without, `upper`; `lower` when both are equal."""
    for name, value in (("lower", lower), ("upper", upper)):
        if not isinstance(value, int) or isinstance(value, bool):
            raise Fault(f"The 'randomInt' function expects an argument '{name}' of type integer")
    if upper < lower:
        raise Fault("In 'randomInt()' upper is less than lower")
    if upper == lower:
        return Long(lower)
    return Long(_randomness(frame, "randomInt").randrange(int(lower), int(upper)))


def _extreme(name: str, values: tuple[Any, ...], better: Callable[[Any, Any], bool]) -> Any:
    best: Any = None
    for value in values:
        if value is None:
            continue
        if not is_number(value):
            raise Fault(f"The '{name}' function compares numbers only")
        if best is None or better(value, best):
            best = value
    return best


@function("max", parameter("values"), variadic=True)
def max_(frame: Frame, *values: Any) -> Any:
    """The largest of its numbers."""
    return _extreme("max", values, lambda value, best: bool(value > best))


@function("min", parameter("values"), variadic=True)
def min_(frame: Frame, *values: Any) -> Any:
    """The smallest of its numbers."""
    return _extreme("min", values, lambda value, best: bool(value < best))


@function("range", parameter("start"), parameter("end"), parameter("increment", 1))
def range_(frame: Frame, start: Any, end: Any, increment: Any) -> Any:
    """The list from `start` to `end`, both included: whole numbers or single letters."""
    items = operators.interval(start, end, increment)
    frame.budget.spend(len(items))
    return items


@function("block", parameter("name"))
def block(frame: Frame, name: Any) -> str:
    """What the named block of this template gives, again."""
    body = (frame.blocks or {}).get(text(name, "name"))
    if body is None:
        return ""
    output = TextOutput(frame.context.dialect.json_null_entries)
    frame.budget.enter()
    frame.budget.spend()
    try:
        body(frame, output)
    finally:
        frame.budget.leave()
    return output.result()


@function("parent")
def parent(frame: Frame) -> NoReturn:
    """The block of the template that this one extends; templates here extend none."""
    raise Fault("Can not use parent function if template does not extend another template.")


_NONCE_BYTES = 12


def _cipher(key: Any) -> Any:
    try:
        return _aead().AESGCM(base64.b64decode(text(key, "key"), validate=True))
    except (binascii.Error, ValueError) as e:
        raise Fault("Expected a base 64 key of 128, 192 or 256 bits") from e


@function("encrypt", parameter("key"), parameter("plaintext"))
def encrypt(frame: Frame, key: Any, plaintext: Any) -> Any:
    """The text encrypted with AES-GCM by a base 64 key, in base 64."""
    if plaintext is None:
        return None
    cipher = _cipher(key)
    nonce = _randomness(frame, "encrypt").getrandbits(8 * _NONCE_BYTES).to_bytes(_NONCE_BYTES)
    sealed = cipher.encrypt(nonce, text(plaintext, "plaintext").encode("utf-8", "replace"), None)
    return base64.b64encode(nonce + sealed).decode()


@function("decrypt", parameter("key"), parameter("encrypted"))
def decrypt(frame: Frame, key: Any, encrypted: Any) -> Any:
    """The text that `encrypt` sealed with this key."""
    if encrypted is None:
        return None
    cipher = _cipher(key)
    try:
        sealed = base64.b64decode(text(encrypted, "encrypted"), validate=True)
        plain = cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], None)
        return plain.decode()
    except (binascii.Error, ValueError, _faults().InvalidTag) as e:
        raise Fault("The text cannot be decrypted with this key") from e
