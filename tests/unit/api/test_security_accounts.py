"""Users and tokens: what the accounts topic folds to."""

from __future__ import annotations

from itertools import count
from typing import Any

from tiercel_api.security.accounts import OUTCOMES_MAX, Accounts
from tiercel_schemas.accounts import RoleGrant, TokenSaved, UserSaved

ADMIN = (RoleGrant(role="admin"),)
VIEWER = (RoleGrant(role="viewer", namespace="house"),)
_numbers = count(1)


def saved(accounts: Accounts, username: str, **fields: Any) -> str | None:
    """Ask for a user; returns why it was refused."""
    change_id = f"change-{next(_numbers)}"
    accounts.apply(UserSaved(change_id=change_id, at_us=1, actor="", username=username, **fields))
    return accounts.outcomes[change_id]


def token_saved(accounts: Accounts, token_id: str, username: str, **fields: Any) -> str | None:
    change_id = f"change-{next(_numbers)}"
    accounts.apply(
        TokenSaved(
            change_id=change_id, at_us=1, actor="", token_id=token_id, username=username, **fields
        )
    )
    return accounts.outcomes[change_id]


def with_admin() -> Accounts:
    accounts = Accounts()
    assert saved(accounts, "ada", roles=ADMIN, is_first=True) is None
    return accounts


def test_of_two_first_users_the_log_s_first_one_is_taken() -> None:
    accounts = with_admin()
    assert saved(accounts, "eve", roles=ADMIN, is_first=True) is not None
    assert set(accounts.users) == {"ada"}


def test_a_name_is_given_once() -> None:
    accounts = with_admin()
    assert saved(accounts, "ada", roles=VIEWER) == "There is a user ada already."


def test_of_two_changes_to_one_version_the_first_is_taken() -> None:
    accounts = with_admin()
    saved(accounts, "bob", roles=VIEWER)
    assert saved(accounts, "bob", roles=(), expected_version=1) is None
    assert saved(accounts, "bob", roles=VIEWER, expected_version=1) is not None
    assert accounts.users["bob"].roles == ()


def test_the_last_administrator_stays() -> None:
    accounts = with_admin()
    saved(accounts, "bob", roles=VIEWER)
    for fields in ({"deleted": True}, {"disabled": True, "roles": ADMIN}, {"roles": VIEWER}):
        assert saved(accounts, "ada", expected_version=1, **fields) is not None
    assert saved(accounts, "bob", roles=ADMIN, expected_version=1) is None
    assert saved(accounts, "ada", roles=VIEWER, expected_version=1) is None


def test_a_deleted_user_s_tokens_go_too() -> None:
    accounts = with_admin()
    saved(accounts, "bob", roles=VIEWER)
    assert token_saved(accounts, "t1", "bob") is None
    saved(accounts, "bob", deleted=True, expected_version=1)
    assert accounts.tokens == {}
    assert token_saved(accounts, "t2", "bob") == "There is no user bob."


def test_a_token_is_revoked_by_its_owner_alone() -> None:
    accounts = with_admin()
    saved(accounts, "bob", roles=VIEWER)
    token_saved(accounts, "t1", "bob")
    assert token_saved(accounts, "t1", "ada", revoked=True) == "There is no token t1."
    assert token_saved(accounts, "t1", "bob", revoked=True) is None


def test_outcomes_are_bounded() -> None:
    accounts = Accounts()
    for _ in range(OUTCOMES_MAX + 5):
        token_saved(accounts, "t", "nobody")
    assert len(accounts.outcomes) == OUTCOMES_MAX
