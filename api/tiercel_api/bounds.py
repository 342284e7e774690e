"""Bounds of the HTTP server's connections."""

from __future__ import annotations

import msgspec


class Bounds(msgspec.Struct, frozen=True):
    """What connections may use.

    Attributes:
        connections_max: connections at a time.
        per_client_max: of them from one address.
        head_timeout_s: from the first byte of a request, or from the beginning of the connection,
            until its head is whole.
        head_bytes_max: bytes that come before its head is whole; what is sent along counts.
        stall_timeout_s: how long a client may leave lying what is ready for it.
    """

    connections_max: int = 4_096
    per_client_max: int = 2_048
    head_timeout_s: float = 10.0
    head_bytes_max: int = 1_048_576
    stall_timeout_s: float = 60.0
