"""Identifiers: time-ordered ids, flow keys, derived ids.

An id is 128 bits as 22 characters of base 62. The digits are in ASCII order and the length is
fixed, so ids sort as text by the millisecond in which they were made (the layout of UUID version
7). Kestra's ids look the same but are random; nobody may depend on their content.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
ID_LENGTH = 22
_PAIRS = [a + b for a in ALPHABET for b in ALPHABET]
_VALUES = {c: i for i, c in enumerate(ALPHABET)}


def encode_id(number: int) -> str:
    """128 bits as 22 characters."""
    text = ""
    for _ in range(11):
        number, pair = divmod(number, 3844)
        text = _PAIRS[pair] + text
    return text


def make_id(now_us: int, random_bits: int) -> str:
    """A new id.

    Args:
        now_us: microseconds since the epoch.
        random_bits: 80 random bits.
    """
    return encode_id(((now_us // 1_000) << 80) | (random_bits & ((1 << 80) - 1)))


def made_at_us(id_text: str) -> int | None:
    """When `make_id` made this id, to the millisecond; None when it cannot be such an id."""
    if len(id_text) != ID_LENGTH:
        return None
    number = 0
    for character in id_text:
        digit = _VALUES.get(character)
        if digit is None:
            return None
        number = number * 62 + digit
    return (number >> 80) * 1_000


def derive_id(*parts: str) -> str:
    """The id that always belongs to these parts: for whatever must start once only."""
    digest = hashlib.sha256("\x00".join(parts).encode()).digest()
    return encode_id(int.from_bytes(digest[:16], "big"))


#: Between the name of a worker's instance and when it started.
_STARTED = "@"


def worker_id(instance: str, started_us: int) -> str:
    """The id of one life of a worker: its instance has the same name in the next one."""
    return f"{instance}{_STARTED}{started_us}"


def worker_life(worker: str) -> tuple[str, int]:
    """The instance of a worker and when it started; 0 when its id does not tell."""
    instance, mark, started = worker.rpartition(_STARTED)
    return (instance, int(started)) if mark and started.isdecimal() else (worker, 0)


class FlowKey(NamedTuple):
    """What names a flow, all revisions together."""

    tenant: str
    namespace: str
    flow_id: str

    def __str__(self) -> str:
        return f"{self.tenant}/{self.namespace}/{self.flow_id}"


def template_key(tenant: str, namespace: str, template_id: str) -> FlowKey:
    """What names a template: it is stored like a flow, of a tenant that no request can name."""
    return FlowKey(f"templates:{tenant}", namespace, template_id)


_DASHBOARDS = "dashboards:"


def dashboard_key(tenant: str, dashboard_id: str) -> FlowKey:
    """What names a dashboard: stored like a flow, of a tenant that no request can name."""
    return FlowKey(f"{_DASHBOARDS}{tenant}", "", dashboard_id)


def is_dashboard(tenant: str) -> bool:
    """Whether what is stored for this tenant are dashboards, which are no flows."""
    return tenant.startswith(_DASHBOARDS)


class TriggerKey(NamedTuple):
    """What names a trigger. Its flow's key comes first, so that both share a partition."""

    tenant: str
    namespace: str
    flow_id: str
    trigger_id: str

    def __str__(self) -> str:
        return f"{self.tenant}/{self.namespace}/{self.flow_id}/{self.trigger_id}"

    @classmethod
    def parse(cls, text: str) -> TriggerKey:
        """The key with this text; ids and namespaces have no slash."""
        return cls(*text.split("/"))

    @property
    def flow(self) -> FlowKey:
        return FlowKey(self.tenant, self.namespace, self.flow_id)
