"""What must hold before the API listens: nobody reaches it from elsewhere without a login."""

from __future__ import annotations

import ipaddress
import secrets as system_secrets
import ssl

from tiercel_api.security.access import ROLES
from tiercel_api.security.accounts import Accounts, change_of
from tiercel_api.security.secrets import check_credentials, hash_password
from tiercel_engine.clock import Clock
from tiercel_engine.config import Settings
from tiercel_engine.errors import InvalidInput, InvalidSettings
from tiercel_engine.eventlog.base import EventLog, NewRecord
from tiercel_engine.telemetry.logging import get_logger
from tiercel_schemas.accounts import RoleGrant, UserSaved
from tiercel_schemas.codec import UnreadableRecord, encode
from tiercel_schemas.topics import Topics

APPEND_TIMEOUT_S = 10.0

log = get_logger()


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def make_safe(settings: Settings, event_log: EventLog, topics: Topics, clock: Clock) -> None:
    """Make the first user that the settings name, and refuse to be open to the network.

    Raises:
        InvalidSettings: the address is no loopback one and there is no user; says what to do.
    """
    accounts = _accounts(event_log, topics.accounts.name)
    if not accounts.users and settings.admin_user is not None:
        _make_first_user(settings, settings.admin_user, event_log, topics.accounts.name, clock)
    elif not accounts.users and not is_loopback(settings.host):
        raise InvalidSettings(
            f"Without a user anybody who reaches {settings.host} could run commands here. Set "
            "admin_user and admin_password (TIERCEL_ADMIN_USER, TIERCEL_ADMIN_PASSWORD) for the "
            "first start, or listen on 127.0.0.1."
        )
    if not is_loopback(settings.host) and settings.tls_certificate is None:
        log.warning("passwords_travel_in_the_clear", hint="set tls_certificate, or use a TLS proxy")


def tls_context(settings: Settings) -> ssl.SSLContext | None:
    """The server's TLS; None: plain HTTP. Raises InvalidSettings: the files do not hold."""
    if settings.tls_certificate is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(settings.tls_certificate, settings.tls_key)
    except (OSError, ssl.SSLError) as error:
        raise InvalidSettings(
            f"Expected tls_certificate and tls_key to be a certificate and its key in PEM, but "
            f"they do not load: {error}"
        ) from None
    return context


def _accounts(event_log: EventLog, topic: str) -> Accounts:
    accounts = Accounts()
    for record in event_log.read(topic, 0, 0):
        try:
            change = change_of(record.value)
        except UnreadableRecord:
            continue
        if change is not None:
            accounts.apply(change)
    return accounts


def _make_first_user(
    settings: Settings, username: str, event_log: EventLog, topic: str, clock: Clock
) -> None:
    if settings.admin_password is None:
        raise InvalidSettings("admin_user needs admin_password (TIERCEL_ADMIN_PASSWORD).")
    password = settings.admin_password.get_secret_value()
    try:
        check_credentials(username, password)
    except InvalidInput as error:
        faults = "; ".join(f"{v.path} {v.message}" for v in error.violations)
        raise InvalidSettings(f"admin_user, admin_password: {faults}.") from None
    change = UserSaved(
        change_id=system_secrets.token_hex(16),
        at_us=clock.now_us(),
        actor="settings",
        username=username,
        password_hash=hash_password(password),
        roles=(RoleGrant(role=max(ROLES, key=lambda role: ROLES[role])),),
        is_first=True,
    )
    appender = event_log.appender()
    try:
        appender.append(NewRecord(topic, username, encode(change)))
        appender.flush(APPEND_TIMEOUT_S)
    finally:
        appender.close()
    log.info("first_user_made", username=username)
