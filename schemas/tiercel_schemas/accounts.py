"""Generated from avro/accounts.avsc by schemas/generate.py: do not edit."""

from __future__ import annotations

from typing import ClassVar

import msgspec


class RoleGrant(msgspec.Struct, frozen=True, gc=False):
    """What somebody may do, and where.

    Attributes:
        role: viewer, launcher, editor or admin.
        namespace: This namespace and those below it; empty: all.
    """

    role: str
    namespace: str = ""


class UserSaved(msgspec.Struct, frozen=True, gc=False):
    """A user as somebody wants it to be. Readers take it or refuse it by one rule.

    Attributes:
        change_id: Id of the wish, for whoever waits for it.
        at_us: When.
        actor: Who asked for it.
        username: Name, unique.
        password_hash: Argon2 hash of the password.
        roles: What the user may do.
        disabled: May not log in.
        deleted: Is no user any more.
        expected_version: Number of the user's newest change before this one; 0: there is no such
            user.
        is_first: Holds only while there is no user at all.
    """

    FINGERPRINT: ClassVar[str] = "23c6d23ad3f08bd9"

    change_id: str
    at_us: int
    actor: str
    username: str
    password_hash: str = ""
    roles: tuple[RoleGrant, ...] = ()
    disabled: bool = False
    deleted: bool = False
    expected_version: int = 0
    is_first: bool = False


class TokenSaved(msgspec.Struct, frozen=True, gc=False):
    """An API token is given out, or taken back.

    Attributes:
        change_id: Id of the wish, for whoever waits for it.
        at_us: When.
        actor: Who asked for it.
        token_id: Id; its text begins with it.
        username: Whose rights it carries.
        name: What its owner calls it.
        description: What it is for.
        secret_hash: SHA-256 of its secret half, in hexadecimal digits.
        roles: What it may do of what its owner may; none: all of that.
        expires_us: From when on it is refused.
        revoked: It is taken back.
    """

    FINGERPRINT: ClassVar[str] = "9a3fef568192c64c"

    change_id: str
    at_us: int
    actor: str
    token_id: str
    username: str
    name: str = ""
    description: str = ""
    secret_hash: str = ""
    roles: tuple[RoleGrant, ...] = ()
    expires_us: int | None = None
    revoked: bool = False


class AuditEntry(msgspec.Struct, frozen=True, gc=False):
    """Somebody asked the API to change something.

    Attributes:
        at_us: When it was answered.
        actor: Who; empty: nobody had to say.
        method: HTTP method.
        path: Path, without the query.
        status: HTTP status of the answer.
        remote: Address that it came from.
    """

    FINGERPRINT: ClassVar[str] = "a8a5ab128e35ed18"

    at_us: int
    actor: str
    method: str
    path: str
    status: int
    remote: str = ""
