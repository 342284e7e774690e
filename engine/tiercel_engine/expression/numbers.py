"""Numbers formatted by a Java `DecimalFormat` pattern, half to even, with a locale's symbols."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Context, Decimal
from functools import lru_cache
from typing import Any

from babel import Locale, UnknownLocaleError
from babel.numbers import get_currency_symbol, get_territory_currencies

from tiercel_engine.expression.faults import Fault
from tiercel_engine.expression.limits import EXPONENT_MAX
from tiercel_engine.expression.text import double_text

#: Characters of a pattern, and digits that one may ask for.
PATTERN_CHARS_MAX = 200
_CONTEXT = Context(prec=6_000, rounding=ROUND_HALF_EVEN, Emax=10_000, Emin=-10_000)
#: Whole digits of a plain number; there is no bound in the platform that matters.
_INTEGERS_MAX = 400
#: Without a pattern: what the platform's default instance does.
DEFAULT_PATTERN = "#,##0.###"


@dataclass(frozen=True, slots=True)
class DecimalPattern:
    """A pattern taken apart. Affixes hold `%`, `‰`, `¤` and `-` as placeholders from `_MARKS`."""

    prefix: str
    suffix: str
    negative_prefix: str
    negative_suffix: str
    integers_min: int
    integers_max: int
    fractions_min: int
    fractions_max: int
    grouping: int
    exponent_min: int
    point_always: bool
    scale: int


@lru_cache(maxsize=512)
def parse_pattern(pattern: str) -> DecimalPattern:
    """A pattern taken apart.

    Raises:
        Fault: it is malformed or too long.
    """
    if len(pattern) > PATTERN_CHARS_MAX:
        raise Fault(f"Expected a number format of at most {PATTERN_CHARS_MAX} characters")
    positive, negative = _halves(pattern)
    prefix, number, suffix = _affixes(positive)
    if negative is None:
        negative_prefix, negative_suffix = "-" + prefix, suffix
    else:
        negative_prefix, _, negative_suffix = _affixes(negative)
        if (negative_prefix, negative_suffix) == (prefix, suffix):
            negative_prefix = "-" + prefix
    mantissa, found, exponent = number.partition("E")
    whole, point, fraction = mantissa.partition(".")
    bare = whole.replace(",", "")
    if found and (not exponent or exponent.strip("0")):
        raise Fault(f'Malformed exponential pattern "{pattern}"')
    if "," in fraction or "0" in fraction.lstrip("0") or "#" in bare.lstrip("#"):
        raise Fault(f'Malformed pattern "{pattern}"')
    zeros, fractions_min = bare.count("0"), fraction.count("0")
    if point and not zeros and not fractions_min:
        # Without any zero, the digit beside the point counts as one.
        zeros, fractions_min = (1, 0) if bare else (0, min(1, len(fraction)))
    both = prefix + suffix
    return DecimalPattern(
        prefix=prefix,
        suffix=suffix,
        negative_prefix=negative_prefix,
        negative_suffix=negative_suffix,
        integers_min=zeros,
        integers_max=len(bare) if found else _INTEGERS_MAX,
        fractions_min=fractions_min,
        fractions_max=len(fraction),
        grouping=len(whole) - whole.rfind(",") - 1 if "," in whole else 0,
        exponent_min=len(exponent),
        point_always=bool(point) and not fraction,
        scale=2 if _PERCENT in both else 3 if _PERMILLE in both else 0,
    )


#: Private characters that stand for the marks a locale spells.
_PERCENT, _PERMILLE, _CURRENCY = "\ue010", "\ue011", "\ue012"
_MARKS = {"%": _PERCENT, "‰": _PERMILLE, "¤": _CURRENCY}


def _halves(pattern: str) -> tuple[str, str | None]:
    quoted = False
    for index, character in enumerate(pattern):
        if character == "'":
            quoted = not quoted
        elif character == ";" and not quoted:
            return pattern[:index], pattern[index + 1 :]
    return pattern, None


def _affixes(pattern: str) -> tuple[str, str, str]:
    """Prefix, digits and suffix of one half, quotes resolved."""
    parts = ["", "", ""]
    phase, quoted, index = 0, False, 0
    while index < len(pattern):
        character = pattern[index]
        if character == "'":
            if pattern[index + 1 : index + 2] == "'":
                parts[2 if phase else 0] += "'"
                index += 1
                phase = 2 if phase else 0
            else:
                quoted = not quoted
                phase = 2 if phase else 0
        elif not quoted and phase < 2 and (character in "0#.," or (phase and character == "E")):
            phase = 1
            parts[1] += character
        else:
            phase = 2 if phase else 0
            parts[phase] += character if quoted else _MARKS.get(character, character)
        index += 1
    if quoted:
        raise Fault("Unterminated quote in a number format")
    return parts[0], parts[1], parts[2]


@lru_cache(maxsize=128)
def _symbols(locale: str) -> dict[str, str]:
    try:
        parsed = Locale.parse(locale.replace("-", "_"))
    except (UnknownLocaleError, ValueError) as e:
        raise Fault(f"Unknown locale: {locale}") from e
    latin = parsed.number_symbols.get("latn", {})
    return {
        "decimal": latin.get("decimal", "."),
        "group": latin.get("group", ","),
        "minus": latin.get("minusSign", "-"),
        "percent": latin.get("percentSign", "%"),
        "permille": latin.get("perMille", "‰"),
        "currency": _currency(parsed),
    }


def _currency(locale: Locale) -> str:
    """The symbol of the money of the locale's territory."""
    if locale.territory is None:
        return "¤"
    codes = get_territory_currencies(locale.territory)
    return get_currency_symbol(codes[0], locale) if codes else "¤"


def format_decimal(value: Any, pattern: str | None, locale: str) -> str:
    """A number as text.

    Raises:
        Fault: the pattern is malformed, or the number beyond all measure.
    """
    parsed = parse_pattern(DEFAULT_PATTERN if pattern is None else pattern)
    symbols = _symbols(locale)
    if isinstance(value, float):
        if value != value:
            return "NaN"
        if value in (float("inf"), float("-inf")):
            body = "∞"
            return _dressed(parsed, body, value < 0, symbols)
        # The platform scales a double as a double, with the error that brings.
        value *= 10**parsed.scale
        exact = Decimal(double_text(value))
    else:
        exact = Decimal(value).scaleb(parsed.scale, _CONTEXT)
    if exact and abs(exact.adjusted()) > EXPONENT_MAX:
        raise Fault("A number is too large to format")
    negative = exact.is_signed() and (bool(exact) or isinstance(value, float))
    # How the double lies to its shortest decimal: it settles what looks like a tie.
    lean = Decimal(value).compare(exact) if isinstance(value, float) else Decimal(0)
    lean = -lean if negative else lean
    exact = abs(exact)
    if parsed.exponent_min:
        body = _scientific(exact, parsed)
    else:
        body = _plain(exact, parsed, symbols, lean)
    return _dressed(parsed, body.replace("\ue013", symbols["decimal"]), negative, symbols)


def _dressed(parsed: DecimalPattern, body: str, negative: bool, symbols: dict[str, str]) -> str:
    prefix = parsed.negative_prefix if negative else parsed.prefix
    suffix = parsed.negative_suffix if negative else parsed.suffix
    text = (prefix.replace("-", symbols["minus"]) if negative else prefix) + body + suffix
    return (
        text.replace(_PERCENT, symbols["percent"])
        .replace(_PERMILLE, symbols["permille"])
        .replace(_CURRENCY, symbols["currency"])
    )


def _rounded(value: Decimal, places: int, lean: Decimal) -> Decimal:
    """`value` with so many fraction digits, half to even unless `lean` says which half."""
    unit = Decimal(1).scaleb(-places)
    down = value.quantize(unit, ROUND_DOWN, _CONTEXT)
    if lean and _CONTEXT.subtract(value, down) * 2 == unit:
        return _CONTEXT.add(down, unit) if lean > 0 else down
    return value.quantize(unit, context=_CONTEXT)


def _plain(value: Decimal, parsed: DecimalPattern, symbols: dict[str, str], lean: Decimal) -> str:
    rounded = _rounded(value, parsed.fractions_max, lean)
    whole, _, fraction = f"{rounded:f}".partition(".")
    whole = whole.lstrip("0").rjust(parsed.integers_min, "0")
    fraction = fraction.rstrip("0").ljust(parsed.fractions_min, "0")
    if not whole and not fraction:
        whole = "0"
    if parsed.grouping:
        groups: list[str] = []
        while len(whole) > parsed.grouping:
            groups.insert(0, whole[-parsed.grouping :])
            whole = whole[: -parsed.grouping]
        whole = symbols["group"].join([whole, *groups])
    return f"{whole}\ue013{fraction}" if fraction or parsed.point_always else whole


def _scientific(value: Decimal, parsed: DecimalPattern) -> str:
    """Mantissa and exponent; more digits allowed than required means engineering steps."""
    step, least = parsed.integers_max, parsed.integers_min
    precision = Context(prec=max(step + parsed.fractions_max, 1), rounding=ROUND_HALF_EVEN)
    value = precision.plus(value)
    exponent = 0
    if value:
        exponent = value.adjusted()
        exponent = exponent // step * step if step > max(least, 1) else exponent + 1 - least
    mantissa = value.scaleb(-exponent, _CONTEXT).normalize(_CONTEXT)
    whole, _, fraction = f"{mantissa:f}".partition(".")
    whole = whole.lstrip("0").rjust(least, "0")
    fraction = fraction.rstrip("0").ljust(parsed.fractions_min, "0")
    if not whole and not fraction:
        whole = "0"
    sign = "-" if exponent < 0 else ""
    power = f"{sign}{abs(exponent):0{parsed.exponent_min}d}"
    return f"{whole}\ue013{fraction}E{power}" if fraction else f"{whole}E{power}"
