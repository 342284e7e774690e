"""Slows guessing down: so many failures per address and minute, then a while of refusals. Pure."""

from __future__ import annotations

from collections import OrderedDict

#: Failures of one address within the window before it is refused.
FAILURES_MAX = 20
WINDOW_S = 60.0
#: Addresses that are remembered; the one that failed longest ago is forgotten first.
ADDRESSES_MAX = 10_000


class Limiter:
    """Failures per address, with the time given from outside."""

    def __init__(self, failures_max: int = FAILURES_MAX, window_s: float = WINDOW_S) -> None:
        self._failures_max = failures_max
        self._window_s = window_s
        #: address -> (start of its window, failures in it)
        self._windows: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def wait_s(self, address: str, now_s: float) -> float:
        """How long this address must wait; 0 when it may try."""
        start_s, failures = self._windows.get(address, (now_s, 0))
        left_s = start_s + self._window_s - now_s
        return left_s if failures >= self._failures_max and left_s > 0 else 0.0

    def failed(self, address: str, now_s: float) -> None:
        """Count one failure."""
        start_s, failures = self._windows.get(address, (now_s, 0))
        if now_s - start_s >= self._window_s:
            start_s, failures = now_s, 0
        self._windows[address] = (start_s, failures + 1)
        self._windows.move_to_end(address)
        if len(self._windows) > ADDRESSES_MAX:
            self._windows.popitem(last=False)
