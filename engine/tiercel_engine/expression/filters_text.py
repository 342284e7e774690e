"""Filters over text."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import unicodedata
from collections.abc import Callable
from typing import Any
from urllib.parse import quote_plus, unquote_to_bytes

from tiercel_engine.expression import regex
from tiercel_engine.expression.arguments import as_text, bounded_text, room_for, text, whole
from tiercel_engine.expression.faults import Fault
from tiercel_engine.expression.frame import Frame
from tiercel_engine.expression.table import filter_, parameter
from tiercel_engine.expression.values import class_name, is_map, is_number, is_sequence


def _mapped(value: Any, change: Callable[[str], str]) -> Any:
    """`change` applied to a text, and deep inside maps and lists to every leaf as text.

    Keys stay as they are.
    """
    if isinstance(value, str):
        return change(str(value))
    if is_map(value):
        return {key: _mapped(item, change) for key, item in value.items()}
    if is_sequence(value):
        return [_mapped(item, change) for item in value]
    return None if value is None else change(as_text(value))


@filter_("upper")
def upper(frame: Frame, value: Any) -> Any:
    """The text in upper case."""
    return None if value is None else as_text(value).upper()


@filter_("lower")
def lower(frame: Frame, value: Any) -> Any:
    """The text in lower case."""
    return None if value is None else as_text(value).lower()


@filter_("capitalize")
def capitalize(frame: Frame, value: Any) -> Any:
    """The text with its first letter in upper case; the rest stays."""
    if value is None:
        return None
    string = text(value, "The 'capitalize' filter")
    bare = string.lstrip()
    gap = string[: len(string) - len(bare)]
    return gap + bare[:1].upper() + bare[1:]


@filter_("title")
def title(frame: Frame, value: Any) -> Any:
    """The text with the first letter of every word in upper case."""
    if value is None:
        return None
    string = text(value, "The 'title' filter")
    return re.sub(r"(^|\s)(\S)", lambda found: found[1] + found[2].upper(), string)


@filter_("trim")
def trim(frame: Frame, value: Any) -> Any:
    """The text without white space at both ends."""
    return None if value is None else text(value, "The 'trim' filter").strip()


@filter_("abbreviate", parameter("length"))
def abbreviate(frame: Frame, value: Any, length: Any) -> Any:
    """The text cut to at most `length` characters, the last three dots when it was cut."""
    if value is None:
        return None
    string, most = text(value, "The 'abbreviate' filter"), whole(length, "length")
    if most < 0:
        raise Fault("Invalid argument to abbreviate filter; must be greater than zero")
    if len(string) <= max(most, 3):
        return string
    return string[:most] if most <= 3 else string[: most - 3] + "..."


@filter_("split", parameter("delimiter"), parameter("limit", 0))
def split(frame: Frame, value: Any, delimiter: Any, limit: Any) -> Any:
    """The text split at a regular expression; `limit` bounds the pieces (negative: keep all)."""
    if value is None:
        return None
    if delimiter is None:
        raise Fault("missing delimiter parameter in split filter")
    pieces = 0 if limit is None else whole(limit, "limit")
    return regex.split(text(value, "The 'split' filter"), delimiter, pieces, frame.context.match_s)


@filter_("urlencode")
def urlencode(frame: Frame, value: Any) -> Any:
    """The text encoded for a URL's query: a space becomes `+`."""
    if value is None:
        return None
    string = text(value, "The 'urlencode' filter")
    return quote_plus(string, safe="*", errors="replace").replace("~", "%7E")


@filter_("urldecode")
def urldecode(frame: Frame, value: Any) -> Any:
    """The text of a URL's query decoded."""
    if value is None:
        return None
    string = as_text(value)
    if re.search(r"%(?![0-9a-fA-F]{2})", string):
        raise Fault("URLDecoder: Illegal hex characters in escape (%) pattern")
    return unquote_to_bytes(_utf8(string.replace("+", " "))).decode("utf-8", "replace")


@filter_("base64encode")
def base64encode(frame: Frame, value: Any) -> Any:
    """The text (UTF-8) or bytes in base 64."""
    if value is None:
        return None
    raw = value if isinstance(value, bytes) else _utf8(text(value, "The 'base64encode' filter"))
    return base64.b64encode(raw).decode()


@filter_("base64decode")
def base64decode(frame: Frame, value: Any) -> Any:
    """The text (UTF-8) that base 64 stands for."""
    if value is None:
        return None
    try:
        string = text(value, "The 'base64decode' filter")
        return base64.b64decode(string, validate=True).decode("utf-8")
    except (binascii.Error, ValueError) as e:
        raise Fault(
            "Please provide a correctly Base64 encoded string containing an UTF-8 string"
        ) from e


def _utf8(string: str) -> bytes:
    return string.encode("utf-8", "replace")


def _hashed(algorithm: str, value: Any) -> Any:
    if value is None:
        return None
    if not isinstance(value, str):
        raise Fault("Need a string to hash")
    return hashlib.new(algorithm, _utf8(value), usedforsecurity=False).hexdigest()


@filter_("md5")
def md5(frame: Frame, value: Any) -> Any:
    """The MD5 hash of the text, in hexadecimal."""
    return _hashed("md5", value)


@filter_("sha1")
def sha1(frame: Frame, value: Any) -> Any:
    """The SHA-1 hash of the text, in hexadecimal."""
    return _hashed("sha1", value)


@filter_("sha256")
def sha256(frame: Frame, value: Any) -> Any:
    """The SHA-256 hash of the text, in hexadecimal."""
    return _hashed("sha256", value)


@filter_("sha512")
def sha512(frame: Frame, value: Any) -> Any:
    """The SHA-512 hash of the text, in hexadecimal."""
    return _hashed("sha512", value)


@filter_("slugify")
def slugify(frame: Frame, value: Any) -> Any:
    """The text in lower-case ASCII letters and digits, the words joined by dashes."""
    if value is None:
        return None
    plain = unicodedata.normalize("NFD", as_text(value))
    plain = re.sub(r"[^a-z0-9-]", "", re.sub(r"[\s_]", "-", plain.lower()))
    return re.sub(r"-+", "-", plain).strip("-")


@filter_("startsWith", parameter("value"))
def starts_with(frame: Frame, value: Any, start: Any) -> Any:
    """Whether the text starts with `value`."""
    return None if value is None else as_text(value).startswith(as_text(start))


@filter_("endsWith", parameter("value"))
def ends_with(frame: Frame, value: Any, end: Any) -> Any:
    """Whether the text ends with `value`."""
    return None if value is None else as_text(value).endswith(as_text(end))


@filter_("substringBefore", parameter("separator"))
def substring_before(frame: Frame, value: Any, separator: Any) -> Any:
    """The text before the first `separator`; all of it when there is none."""
    if value is None:
        return None
    mark = as_text(separator)
    return as_text(value).partition(mark)[0] if mark else ""


@filter_("substringAfter", parameter("separator"))
def substring_after(frame: Frame, value: Any, separator: Any) -> Any:
    """The text after the first `separator`; empty when there is none."""
    if value is None:
        return None
    mark = as_text(separator)
    return as_text(value).partition(mark)[2] if mark else as_text(value)


@filter_("substringBeforeLast", parameter("separator"))
def substring_before_last(frame: Frame, value: Any, separator: Any) -> Any:
    """The text before the last `separator`; all of it when there is none."""
    if value is None:
        return None
    mark = as_text(separator)
    head, found, tail = as_text(value).rpartition(mark) if mark else ("", "", as_text(value))
    return head if found else tail


@filter_("substringAfterLast", parameter("separator"))
def substring_after_last(frame: Frame, value: Any, separator: Any) -> Any:
    """The text after the last `separator`; empty when there is none."""
    if value is None:
        return None
    mark = as_text(separator)
    _, found, tail = as_text(value).rpartition(mark) if mark else ("", "", "")
    return tail if found else ""


@filter_("replace", parameter("replace_pairs"), parameter("regexp", False))
def replace(frame: Frame, value: Any, replace_pairs: Any, regexp: Any) -> Any:
    """Every key of the map replaced by its value, one pair after the other; deep in containers.

    With `regexp` the keys are regular expressions and `$1` in a value stands for a group.
    """
    if value is None:
        return None
    if not is_map(replace_pairs):
        raise Fault("The 'replace' filter expects a map as 'replace_pairs'")
    pairs = [(as_text(key), as_text(item)) for key, item in replace_pairs.items()]

    def change(string: str) -> str:
        for old, new in pairs:
            if regexp:
                string = regex.replaced(string, old, new, frame.context.match_s)
            else:
                room_for(len(string) + string.count(old) * len(new))
                string = string.replace(old, new)
        return string

    return _mapped(value, change)


@filter_("regexMatch", parameter("regex"), since="1.0")
def regex_match(frame: Frame, value: Any, pattern: Any) -> bool:
    """Whether the regular expression is found somewhere in the text; false for null."""
    if value is None:
        return False
    string = as_text(value)
    return regex.pattern_for(pattern, string).search(string, frame.context.match_s) is not None


@filter_("regexReplace", parameter("regex"), parameter("replacement"), since="1.0")
def regex_replace(frame: Frame, value: Any, pattern: Any, replacement: Any) -> Any:
    """Every match of the regular expression replaced; `$1` stands for a group."""
    if value is None:
        return None
    return regex.replaced(as_text(value), pattern, as_text(replacement), frame.context.match_s)


@filter_("regexExtract", parameter("regex"), parameter("group", 0), since="1.0")
def regex_extract(frame: Frame, value: Any, pattern: Any, group: Any) -> Any:
    """The first match of the regular expression (or one of its groups); null without a match."""
    if value is None:
        return None
    string = as_text(value)
    found = regex.pattern_for(pattern, string).search(string, frame.context.match_s)
    try:
        return None if found is None else found.group(whole(group, "group"))
    except IndexError as e:
        raise Fault(f"No group {group} in the regular expression") from e


_ESCAPES: dict[str, tuple[str, str]] = {
    "single": ("'", "\\'"),
    "double": ('"', '\\"'),
    "shell": ("'", "'\\''"),
}


@filter_("escapeChar", parameter("type"))
def escape_char(frame: Frame, value: Any, kind: Any) -> Any:
    """Quotes of one kind escaped: `single`, `double` or `shell`; deep in containers."""
    if value is None:
        return None
    if not isinstance(kind, str) or kind.lower() not in _ESCAPES:
        raise Fault(
            "The 'escapeChar' filter expects the value of 'type' to be either 'single', 'double', "
            "or 'shell'."
        )
    old, new = _ESCAPES[kind.lower()]
    return _mapped(value, lambda string: bounded_text(string.replace(old, new)))


_LINES = re.compile(r"\r\n|\n|\r")


def _indented(value: Any, amount: Any, prefix: Any, *, first: bool) -> Any:
    if value is None:
        return None
    string, times = as_text(value), whole(amount, "amount")
    if times < 0:
        raise Fault("The amount of an indent cannot be negative")
    pad_length = times * len(as_text(prefix))
    separators = _LINES.findall(string)
    room_for(len(string) + (len(separators) + 1) * (pad_length + 2))
    separator = separators[0] if separators else "\n"
    pad = as_text(prefix) * times
    joined = (separator + pad).join(_LINES.split(string))
    return separator + pad + joined if first else joined


@filter_("indent", parameter("amount"), parameter("prefix", " "))
def indent(frame: Frame, value: Any, amount: Any, prefix: Any) -> Any:
    """Every line but the first indented by `amount` times `prefix`."""
    return _indented(value, amount, prefix, first=False)


@filter_("nindent", parameter("amount"), parameter("prefix", " "))
def nindent(frame: Frame, value: Any, amount: Any, prefix: Any) -> Any:
    """A new line, then every line indented by `amount` times `prefix`."""
    return _indented(value, amount, prefix, first=True)


@filter_("condense", since="2.0")
def condense(frame: Frame, value: Any) -> Any:
    """The text without its line ends."""
    return None if value is None else _LINES.sub("", as_text(value))


@filter_("string", since="1.0")
def string_(frame: Frame, value: Any) -> Any:
    """A number, or a text that is one, as text; every other value is refused."""
    if value is None:
        return None
    if is_number(value):
        return as_text(value)
    if not isinstance(value, str) or not _DECIMAL.fullmatch(value):
        raise Fault(f"The 'string' filter expects a number, but was {class_name(value)}")
    return str(value)


_DECIMAL = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?", re.ASCII)
