"""How HTTP tasks send their requests: the properties `options`, and what they come to."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

from pydantic import AliasChoices, Field

from tiercel_engine.errors import TaskError
from tiercel_engine.flow.base import Part, Text
from tiercel_engine.plugin.context import RunContext
from tiercel_engine.storage.uri import is_file_uri
from tiercel_worker.http_client import (
    CONNECT_TIMEOUT_S,
    READ_TIMEOUT_S,
    Login,
    Options,
    Proxy,
)
from tiercel_worker.task_runner.files import OWN_PREFIX
from tiercel_worker.tasks.properties import flag, seconds, text_list, whole

AUTH_TYPES = ("BASIC", "BEARER", "DIGEST")
#: What `proxy.type` may be -> the scheme of the proxy; none for DIRECT.
PROXY_SCHEMES = {
    "DIRECT": None,
    "HTTP": "http",
    "SOCKS": "socks5",
    "SOCKS4": "socks4",
    "SOCKS5": "socks5",
}
PROXY_PORTS = {"http": 80, "socks4": 1080, "socks5": 1080}
#: What `logs` may ask for -> the level of the line that tells it.
LOGS = {
    "REQUEST_HEADERS": "DEBUG",
    "REQUEST_BODY": "TRACE",
    "RESPONSE_HEADERS": "DEBUG",
    "RESPONSE_BODY": "TRACE",
}
#: What `logLevel`, the older spelling, comes to.
LOG_LEVELS = {
    "INFO": ("RESPONSE_HEADERS",),
    "DEBUG": ("REQUEST_HEADERS", "RESPONSE_HEADERS"),
    "TRACE": tuple(LOGS),
}


class SslOptions(Part):
    """`insecureTrustAllCertificates`: leave certificates unchecked.

    The others are PEM, as text or the address of a file: `trustedCertificates` (what servers are
    checked against, instead of the system's), `clientCertificate` (with all that signed it),
    `clientKey` (may stand in the same text) and its `clientKeyPassword`.
    """

    insecure_trust_all_certificates: bool | str = Field(False, alias="insecureTrustAllCertificates")
    trusted_certificates: Text | None = Field(None, alias="trustedCertificates")
    client_certificate: Text | None = Field(None, alias="clientCertificate")
    client_key: Text | None = Field(None, alias="clientKey")
    client_key_password: Text | None = Field(None, alias="clientKeyPassword")

    def resolved(self, context: RunContext) -> ssl.SSLContext | bool:
        """What aiohttp takes. Raises TaskError."""
        is_trusting = flag(context, self.insecure_trust_all_certificates)
        if self.trusted_certificates is None and self.client_certificate is None:
            return not is_trusting
        trusted = _pem(context, self.trusted_certificates)
        try:
            tls = ssl.create_default_context(cadata=trusted)
            if is_trusting:
                tls.check_hostname = False
                tls.verify_mode = ssl.CERT_NONE
            if self.client_certificate is not None:
                self._show_certificate(context, tls)
        except (ssl.SSLError, ValueError) as error:
            raise TaskError(f"Expected certificates and keys in PEM, but {error}.") from None
        return tls

    def _show_certificate(self, context: RunContext, tls: ssl.SSLContext) -> None:
        path = context.working_directory() / f"{OWN_PREFIX}certificate"
        path.touch(0o600)
        try:
            texts = (_pem(context, pem) for pem in (self.client_certificate, self.client_key))
            path.write_text("\n".join(filter(None, texts)))
            # Without a password OpenSSL would ask for one at the terminal.
            tls.load_cert_chain(path, password=context.render(self.client_key_password or ""))
        finally:
            path.unlink()


class HttpOptions(Part):
    """How a request is sent, in the spelling of today (`timeout`, `auth`, `ssl`) and before."""

    timeout: dict[str, Any] | None = None
    auth: dict[str, Any] | None = None
    proxy: dict[str, Any] | None = None
    ssl: SslOptions | None = None
    follow_redirects: bool | str = Field(True, alias="followRedirects")
    allow_failed: bool | str | None = Field(None, alias="allowFailed")
    allowed_response_codes: list[int | str] | None = Field(None, alias="allowedResponseCodes")
    default_charset: Text = Field("UTF-8", alias="defaultCharset")
    connect_timeout: str | float | None = Field(None, alias="connectTimeout")
    read_timeout: str | float | None = Field(
        None, validation_alias=AliasChoices("readTimeout", "readIdleTimeout")
    )
    connection_pool_idle_timeout: Any = Field(None, alias="connectionPoolIdleTimeout")
    max_content_length: Any = Field(None, alias="maxContentLength")
    basic_auth_user: Text | None = Field(None, alias="basicAuthUser")
    basic_auth_password: Text | None = Field(None, alias="basicAuthPassword")
    proxy_type: Text | None = Field(None, alias="proxyType")
    proxy_address: Text | None = Field(None, alias="proxyAddress")
    proxy_port: int | str | None = Field(None, alias="proxyPort")
    proxy_username: Text | None = Field(None, alias="proxyUsername")
    proxy_password: Text | None = Field(None, alias="proxyPassword")
    log_level: Text | None = Field(None, alias="logLevel")
    logs: list[str] | str | None = None

    def resolved(self, context: RunContext, ssl_options: SslOptions | None) -> Options:
        """The options, rendered. `ssl_options`: of the task itself. Raises TaskError."""
        timeout = self.timeout or {}
        tls = self.ssl or ssl_options
        connect_s = seconds(context, timeout.get("connectTimeout", self.connect_timeout))
        read_s = seconds(context, timeout.get("readIdleTimeout", self.read_timeout))
        return Options(
            CONNECT_TIMEOUT_S if connect_s is None else connect_s,
            READ_TIMEOUT_S if read_s is None else read_s,
            flag(context, self.follow_redirects),
            proxy=self._proxy(context),
            tls=True if tls is None else tls.resolved(context),
            **self._auth(context),
        )

    def charset(self, context: RunContext) -> str:
        """Of texts that name none. Raises TaskError."""
        name = context.render(self.default_charset)
        try:
            "".encode(name)
        except LookupError:
            raise TaskError(f"Expected the name of a charset, but it was {name!r}.") from None
        return name

    def logged(self, context: RunContext) -> tuple[str, ...]:
        """What of requests and answers is to be logged, of LOGS. Raises TaskError."""
        if self.logs is None:
            return LOG_LEVELS.get(context.render(self.log_level or "").upper(), ())
        asked = tuple(name.upper() for name in text_list(context, self.logs, "logs"))
        if unknown := set(asked) - set(LOGS):
            raise TaskError(
                f"Expected logs to be some of {', '.join(LOGS)}, but {', '.join(unknown)}."
            )
        return asked

    def _auth(self, context: RunContext) -> dict[str, Any]:
        """What of Options opens doors."""
        auth = self.auth or {}
        kind = context.render(auth.get("type", "BASIC")).upper()
        if kind not in AUTH_TYPES:
            raise TaskError(f"Expected auth of type {' or '.join(AUTH_TYPES)}, but it was {kind}.")
        if kind == "BEARER":
            return {"authorization": f"Bearer {context.render(auth.get('token') or '')}"}
        user = auth.get("username", self.basic_auth_user)
        if user is None:
            return {}
        password = auth.get("password", self.basic_auth_password) or ""
        login = Login(context.render(user), context.render(password))
        return {"digest": login} if kind == "DIGEST" else {"authorization": login.basic()}

    def _proxy(self, context: RunContext) -> Proxy | None:
        proxy = self.proxy or {}
        kind = context.render(proxy.get("type", self.proxy_type or "HTTP")).upper()
        if kind not in PROXY_SCHEMES:
            raise TaskError(
                f"Expected a proxy of type {', '.join(PROXY_SCHEMES)}, but it was {kind}."
            )
        scheme, address = PROXY_SCHEMES[kind], proxy.get("address", self.proxy_address)
        if address is None or scheme is None:
            return None
        port = whole(context, proxy.get("port", self.proxy_port)) or PROXY_PORTS[scheme]
        user = proxy.get("username", self.proxy_username)
        password = proxy.get("password", self.proxy_password) or ""
        login = None if user is None else Login(context.render(user), context.render(password))
        return Proxy(scheme, context.render(address), port, login)


def _pem(context: RunContext, given: str | None) -> str | None:
    """The text, which may lie in a file."""
    text = None if given is None else context.render(given).strip()
    if text is None or not is_file_uri(text):
        return text
    path: Path = context.working_directory() / f"{OWN_PREFIX}pem"
    context.fetch_stored(text, path)
    try:
        return path.read_text("ascii")
    finally:
        path.unlink()
