"""Users and API tokens: the fold of the accounts topic.

The topic has one partition and keeps everything, so every API sees the same wishes in the same
order and takes or refuses each by the same rule: that is what makes names unique and the first
user the only first one, without asking anybody. Whoever wishes for something reads its own record
back to learn which.
"""

from __future__ import annotations

from collections import OrderedDict

import msgspec

from tiercel_schemas.accounts import RoleGrant, TokenSaved, UserSaved
from tiercel_schemas.codec import decode

#: Outcomes of wishes that stay known, for those who wait for theirs.
OUTCOMES_MAX = 10_000


class User(msgspec.Struct, frozen=True):
    """A user as the last change left it; `version` counts the changes taken."""

    username: str
    password_hash: str
    roles: tuple[RoleGrant, ...]
    disabled: bool
    version: int
    created_us: int


class Token(msgspec.Struct, frozen=True):
    """An API token that was not taken back."""

    token_id: str
    username: str
    name: str
    description: str
    secret_hash: str
    roles: tuple[RoleGrant, ...]
    created_us: int
    expires_us: int | None


class Accounts:
    """The state of the accounts topic. Written by one thread, read by any."""

    def __init__(self) -> None:
        self.users: dict[str, User] = {}
        self.tokens: dict[str, Token] = {}
        #: change id -> why it was refused; None: it was taken.
        self.outcomes: OrderedDict[str, str | None] = OrderedDict()

    def apply(self, change: UserSaved | TokenSaved) -> None:
        """Take one change, or refuse it; its outcome stays known for a while."""
        if isinstance(change, UserSaved):
            outcome = self._save_user(change)
        else:
            outcome = self._save_token(change)
        self.outcomes[change.change_id] = outcome
        if len(self.outcomes) > OUTCOMES_MAX:
            self.outcomes.popitem(last=False)

    def _save_user(self, change: UserSaved) -> str | None:
        known = self.users.get(change.username)
        version = 0 if known is None else known.version
        if change.is_first and self.users:
            return "There is a user already: log in instead."
        if change.expected_version != version:
            if change.expected_version == 0:
                return f"There is a user {change.username} already."
            return f"The user {change.username} has been changed meanwhile."
        if self._is_last_admin(change):
            return "Expected an administrator to remain, but this is the last one."
        if change.deleted:
            self.users.pop(change.username, None)
            for token in [t for t in self.tokens.values() if t.username == change.username]:
                del self.tokens[token.token_id]
            return None
        self.users[change.username] = User(
            change.username,
            change.password_hash,
            change.roles,
            change.disabled,
            version + 1,
            change.at_us if known is None else known.created_us,
        )
        return None

    def _is_last_admin(self, change: UserSaved) -> bool:
        """Whether the change would leave nobody who may manage users."""
        if not self.users or (_is_admin(change.roles) and not (change.disabled or change.deleted)):
            return False
        others = (user for name, user in self.users.items() if name != change.username)
        return not any(_is_admin(user.roles) and not user.disabled for user in others)

    def _save_token(self, change: TokenSaved) -> str | None:
        if change.revoked:
            token = self.tokens.get(change.token_id)
            if token is None or token.username != change.username:
                return f"There is no token {change.token_id}."
            del self.tokens[change.token_id]
            return None
        if change.username not in self.users:
            return f"There is no user {change.username}."
        if change.token_id in self.tokens:
            return f"There is a token {change.token_id} already."
        self.tokens[change.token_id] = Token(
            change.token_id,
            change.username,
            change.name,
            change.description,
            change.secret_hash,
            change.roles,
            change.at_us,
            change.expires_us,
        )
        return None


def change_of(value: bytes | None) -> UserSaved | TokenSaved | None:
    """The change that a record of the accounts topic holds; None: it holds another record.

    Raises:
        UnreadableRecord: it holds none that can be read.
    """
    change = decode(value)
    return change if isinstance(change, UserSaved | TokenSaved) else None


def _is_admin(roles: tuple[RoleGrant, ...]) -> bool:
    return any(grant.role == "admin" and not grant.namespace for grant in roles)
