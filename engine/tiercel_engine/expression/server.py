"""What every template may see of the server it runs on: `envs`, `globals` and `kestra`.

Filled in once by the composition root. The environment is cut to names with a prefix, because the
rest of it holds what is not for flows. Follows Kestra's variables of these names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import msgspec

#: Prefixes of environment variables that templates see, the prefix cut off and in lower case. Of
#: two with the same rest the later prefix wins: the newer versions' `ENV_`.
PREFIXES = ("KESTRA_", "ENV_")


@dataclass(frozen=True)
class ServerVariables:
    """Attributes:
    envs: the environment as templates see it, see `envs_of`.
    globals: what an administrator gives to all flows.
    environment: name of the installation, such as `production`.
    url: address at which users reach the server.
    """

    envs: Mapping[str, str] = field(default_factory=dict)
    globals: Mapping[str, Any] = field(default_factory=dict)
    environment: str | None = None
    url: str | None = None

    def values(self) -> dict[str, Any]:
        """The variables by their root names."""
        kestra = {"environment": self.environment, "url": self.url}
        return {
            "envs": dict(self.envs),
            "globals": dict(self.globals),
            "kestra": {name: value for name, value in kestra.items() if value is not None},
        }

    @cached_property
    def encoded(self) -> dict[str, msgspec.Raw]:
        """The same, each as JSON text."""
        return {
            name: msgspec.Raw(msgspec.json.encode(value)) for name, value in self.values().items()
        }


def envs_of(environment: Mapping[str, str]) -> dict[str, str]:
    """The part of a process's environment that templates see."""
    return {
        name.removeprefix(prefix).lower(): value
        for prefix in PREFIXES
        for name, value in environment.items()
        if name.startswith(prefix) and name != prefix
    }
