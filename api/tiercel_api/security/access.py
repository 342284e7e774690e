"""What a request needs, and whether somebody's roles give it. Pure.

Theory of operation. Every route needs one permission, worked out from its method and pattern; the
table below is read from the top. A role is granted for a namespace and everything below it, or for
all. A request that names its namespace (in the path, or by an execution) needs the permission
there; one that names none needs it everywhere, or its handler keeps to the namespaces in which it
is given (`narrowing`). So a route that nobody thought of here is closed to everybody who is limited
to some namespaces, and takes an editor's rights to change anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import IntEnum

from tiercel_schemas.accounts import RoleGrant


class Permission(IntEnum):
    """What may be done; each includes those before it."""

    READ = 1
    EXECUTE = 2
    WRITE = 3
    ADMIN = 4


#: Role -> the most that it gives. The names are the peer's of its enterprise edition.
ROLES: dict[str, Permission] = {
    "viewer": Permission.READ,
    "launcher": Permission.EXECUTE,
    "editor": Permission.WRITE,
    "admin": Permission.ADMIN,
}

#: Method pattern, pattern below the API's prefix and tenant, what it needs. First match wins.
_RULES: tuple[tuple[re.Pattern[str], re.Pattern[str], Permission], ...] = tuple(
    (re.compile(methods), re.compile(path), permission)
    for methods, path, permission in (
        (".*", r"/(users|auditlogs|dead-letters|instance)(/|$)", Permission.ADMIN),
        ("GET|HEAD", r"/", Permission.READ),
        ("POST", r".*/(search|validate|latest|missing|graph|autocomplete)(/|$)", Permission.READ),
        ("POST", r"/(flows|templates)/export/", Permission.READ),
        ("POST", r"/stats/|/dashboards/(.*/)?charts/", Permission.READ),
        ("POST", r"/flows/(graph|expressions|hashes|source/replace/preview)", Permission.READ),
        ("DELETE", r"/executions/.*/kill$|/executions/(actions/)?kill/", Permission.EXECUTE),
        ("DELETE", r"/executions(/|$)", Permission.WRITE),
        ("POST|PUT|PATCH", r"/executions(/|$)", Permission.EXECUTE),
        ("POST|PUT", r"/triggers/.*(unlock|restart|backfill)", Permission.EXECUTE),
        (".*", r"/", Permission.WRITE),
    )
)

#: What everybody may ask who is somebody: it is about no namespace.
_COMMON = re.compile(
    r"(?:[A-Z]+ /me|(?:GET|HEAD) /(?:plugins|blueprints/community|configs|auths|pebble|tenants"
    r"|basicAuthValidationErrors|license-info|license/refresh)"
    r"|POST /plugins/(?:auto-install/detect|pluginUiManifest))(?:/.*)?"
)


def is_common(method: str, path: str) -> bool:
    """Whether a request needs no permission but to be made by somebody."""
    return _COMMON.fullmatch(f"{method} {path}") is not None


def permission_for(method: str, path: str) -> Permission:
    """What a request needs.

    Args:
        method: HTTP method, upper case.
        path: below the API's prefix and the tenant, such as `/flows/house/dinner`.
    """
    for methods, pattern, permission in _RULES:
        if methods.fullmatch(method) and pattern.match(path):
            return permission
    return Permission.ADMIN


def may(grants: Iterable[RoleGrant], permission: Permission, namespace: str | None) -> bool:
    """Whether these grants give a permission in a namespace; None: in all of them."""
    return any(
        ROLES.get(grant.role, 0) >= permission and _covers(grant.namespace, namespace)
        for grant in grants
    )


def namespaces_of(grants: Iterable[RoleGrant], permission: Permission) -> tuple[str, ...] | None:
    """The namespaces, each with those below it, in which these grants give a permission.

    None: in all of them.
    """
    found = [grant.namespace for grant in grants if ROLES.get(grant.role, 0) >= permission]
    return None if "" in found else tuple(found)


def _covers(granted: str, namespace: str | None) -> bool:
    if not granted:
        return True
    return namespace is not None and (namespace == granted or namespace.startswith(granted + "."))


def narrowed(owned: Iterable[RoleGrant], asked: Iterable[RoleGrant]) -> tuple[RoleGrant, ...]:
    """What a token may do: what it asks for, as far as its owner may do that now."""
    owned = tuple(owned)
    return tuple(
        grant
        for grant in asked
        if may(owned, ROLES.get(grant.role, Permission.ADMIN), grant.namespace or None)
    )
