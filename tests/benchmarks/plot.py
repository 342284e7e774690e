"""A plot of what a task run costs against how many there are, as SVG. Both axes logarithmic."""

from __future__ import annotations

import math
from collections.abc import Sequence

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 720, 400, 70, 50, 20, 190
COLORS = ("#0b6e99", "#c2410c", "#15803d", "#7c3aed", "#a16207", "#be185d")

Series = tuple[str, Sequence[tuple[float, float]]]


def svg(series: Sequence[Series], x_title: str, y_title: str) -> str:
    """The plot of named series of (x, y), all above zero."""
    xs = [x for _, points in series for x, _ in points]
    ys = [y for _, points in series for _, y in points]
    x_axis = _Axis(min(xs), max(xs), LEFT, WIDTH - RIGHT)
    y_axis = _Axis(min(ys), max(ys), HEIGHT - BOTTOM, TOP)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
    ]
    for tick in x_axis.ticks():
        at = x_axis.at(tick)
        lines.append(_line(at, TOP, at, HEIGHT - BOTTOM))
        lines.append(_text(at, HEIGHT - BOTTOM + 18, f"{tick:,.0f}", "middle"))
    for tick in y_axis.ticks():
        at = y_axis.at(tick)
        lines.append(_line(LEFT, at, WIDTH - RIGHT, at))
        lines.append(_text(LEFT - 8, at + 4, f"{tick:g}", "end"))
    lines.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, x_title, "middle"))
    lines.append(_text(8, 14, y_title, "start"))
    for number, (name, points) in enumerate(series):
        color = COLORS[number % len(COLORS)]
        path = " ".join(f"{x_axis.at(x):.1f},{y_axis.at(y):.1f}" for x, y in points)
        lines.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2"/>')
        place = TOP + 14 + 20 * number
        lines.append(
            f'<rect x="{WIDTH - RIGHT + 12}" y="{place - 9}" width="10" height="10" '
            f'fill="{color}"/>'
        )
        lines.append(_text(WIDTH - RIGHT + 28, place, name, "start"))
    return "\n".join([*lines, "</svg>"]) + "\n"


class _Axis:
    """From values to places: whole decades around the values."""

    def __init__(self, low: float, high: float, begin: float, end: float) -> None:
        self._first = math.floor(math.log10(low) + 1e-9)
        self._last = max(math.ceil(math.log10(high) - 1e-9), self._first + 1)
        self._begin, self._end = begin, end

    def at(self, value: float) -> float:
        share = (math.log10(value) - self._first) / (self._last - self._first)
        return self._begin + share * (self._end - self._begin)

    def ticks(self) -> list[float]:
        return [10.0**n for n in range(self._first, self._last + 1)]


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="#ddd"/>'


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{text}</text>'
