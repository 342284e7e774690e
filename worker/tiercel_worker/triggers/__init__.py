"""The triggers that workers evaluate, for the entry-point group `tiercel.plugins`."""

from __future__ import annotations

from tiercel_worker.triggers import http, kafka

PLUGINS = (*http.PLUGINS, *kafka.PLUGINS)
