"""Tasks that send HTTP requests."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit

import msgspec
from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from tiercel_engine.errors import TaskError
from tiercel_engine.flow.base import Part as FlowPart
from tiercel_engine.flow.base import Text
from tiercel_engine.plugin.base import RunnableTask
from tiercel_engine.plugin.context import RunContext
from tiercel_engine.storage.uri import file_name, is_file_uri
from tiercel_worker.http_client import (
    CONNECT_TIMEOUT_S,
    READ_TIMEOUT_S,
    Answer,
    Options,
    Part,
    Request,
    fetch,
)
from tiercel_worker.task_runner.files import OWN_PREFIX
from tiercel_worker.tasks.properties import flag, seconds, text_map, whole

#: An answer that becomes an output is no larger than this.
BODY_BYTES_MAX = 16 << 20
#: How much of a failure's answer its message tells.
BODY_CHARS_SHOWN = 1_000

_FILE_NAME = re.compile(r"""filename\*?=(?:UTF-8'')?"?([^";]+)""", re.IGNORECASE)


class SslOptions(FlowPart):
    """`insecureTrustAllCertificates`: leave certificates unchecked."""

    insecure_trust_all_certificates: bool | str = Field(False, alias="insecureTrustAllCertificates")


class HttpOptions(FlowPart):
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
    log_level: Any = Field(None, alias="logLevel")
    logs: Any = None


class HttpTask(RunnableTask):
    """The properties that all HTTP tasks have."""

    uri: Text
    method: Text = "GET"
    params: dict[str, Any] | str | None = None
    body: Any = None
    form_data: dict[str, Any] | str | None = Field(None, alias="formData")
    content_type: Text | None = Field(None, alias="contentType")
    headers: dict[str, Any] | str | None = None
    options: HttpOptions = Field(default_factory=HttpOptions.model_construct)
    ssl_options: SslOptions | None = Field(None, alias="sslOptions")
    allow_failed: bool | str = Field(False, alias="allowFailed")

    def answer(self, context: RunContext, bytes_max: int) -> tuple[Answer, Path]:
        """Send the request; the answer and the file that holds its body.

        Raises:
            TaskError: no answer, or one that tells a failure where none is allowed.
        """
        target = context.working_directory() / f"{OWN_PREFIX}answer"
        request = self._request(context)
        answer = fetch(context, request, self._options(context), target, bytes_max)
        context.metric("response.length", answer.size_bytes, "counter", {"request": request.uri})
        self._check(context, request, answer, target)
        return answer, target

    def _request(self, context: RunContext) -> Request:
        headers = text_map(context, self.headers, "headers")
        content_type = None if self.content_type is None else context.render(self.content_type)
        form, body = self._form(context), None
        is_multipart = (content_type or "").lower().startswith("multipart/form-data")
        if form is None and self.body is not None:
            body = self._body(context).encode()
            content_type = content_type or "application/json"
        if content_type is not None and form is None:
            headers.setdefault("Content-Type", content_type)
        bearer = self._bearer(context)
        if bearer is not None:
            headers.setdefault("Authorization", bearer)
        return Request(
            context.render(self.method).upper(),
            context.render(self.uri),
            {name: _header(value) for name, value in headers.items() if value is not None},
            {k: _header(v) for k, v in text_map(context, self.params, "params").items()} or None,
            body,
            form,
            is_multipart,
        )

    def _body(self, context: RunContext) -> str:
        if isinstance(self.body, str):
            return context.render(self.body)
        return msgspec.json.encode(context.render_value(self.body)).decode()

    def _form(self, context: RunContext) -> list[Part] | None:
        if self.form_data is None:
            return None
        return [
            self._part(context, name, value, index)
            for index, (name, value) in enumerate(
                text_map(context, self.form_data, "formData").items()
            )
        ]

    @staticmethod
    def _part(context: RunContext, name: str, value: Any, index: int) -> Part:
        """An address, or a map of its `name` and `content`, is sent as a file."""
        own_name = None
        if isinstance(value, Mapping) and "content" in value:
            own_name, value = value.get("name"), value["content"]
        if not is_file_uri(value):
            return Part(name, text=value if isinstance(value, str) else _json(value))
        path = context.working_directory() / f"{OWN_PREFIX}part-{index}"
        context.fetch_stored(value, path)
        return Part(name, path=path, file_name=own_name or file_name(value))

    def _options(self, context: RunContext) -> Options:
        given = self.options
        timeout = given.timeout or {}
        ssl = given.ssl or self.ssl_options
        proxy, proxy_auth = self._proxy(context)
        connect_s = seconds(context, timeout.get("connectTimeout", given.connect_timeout))
        read_s = seconds(context, timeout.get("readIdleTimeout", given.read_timeout))
        return Options(
            CONNECT_TIMEOUT_S if connect_s is None else connect_s,
            READ_TIMEOUT_S if read_s is None else read_s,
            flag(context, given.follow_redirects),
            self._auth(context),
            proxy,
            proxy_auth,
            ssl is not None and flag(context, ssl.insecure_trust_all_certificates),
        )

    def _auth(self, context: RunContext) -> tuple[str, str] | None:
        given = self.options
        auth = given.auth or {}
        kind = str(auth.get("type", "BASIC")).upper()
        if auth and kind not in ("BASIC", "BEARER"):
            raise TaskError(f"Expected auth of type BASIC or BEARER, but it was {kind}.")
        user = auth.get("username", given.basic_auth_user)
        if kind == "BEARER" or user is None:
            return None
        return context.render(user), context.render(
            auth.get("password", given.basic_auth_password) or ""
        )

    def _bearer(self, context: RunContext) -> str | None:
        auth = self.options.auth or {}
        if str(auth.get("type", "")).upper() != "BEARER":
            return None
        return f"Bearer {context.render(auth.get('token') or '')}"

    def _proxy(self, context: RunContext) -> tuple[str | None, tuple[str, str] | None]:
        given, proxy = self.options, self.options.proxy or {}
        kind = str(proxy.get("type", given.proxy_type or "HTTP")).upper()
        address = proxy.get("address", given.proxy_address)
        if address is None or kind == "DIRECT":
            return None, None
        if kind != "HTTP":
            raise TaskError(f"Expected a proxy of type HTTP, but it was {kind}.")
        port = whole(context, proxy.get("port", given.proxy_port)) or 80
        user = proxy.get("username", given.proxy_username)
        password = proxy.get("password", given.proxy_password) or ""
        login = None if user is None else (context.render(user), context.render(password))
        return f"http://{context.render(address)}:{port}", login

    def _check(self, context: RunContext, request: Request, answer: Answer, body: Path) -> None:
        codes = self.options.allowed_response_codes
        if codes is not None:
            is_fine = answer.code in [int(context.render(code)) for code in codes]
        else:
            allowed = self.options.allow_failed
            is_fine = answer.code < 400 or flag(
                context, self.allow_failed if allowed is None else allowed
            )
        if not is_fine:
            with body.open("rb") as file:
                start = file.read(BODY_CHARS_SHOWN).decode(_charset(answer), "replace")
            raise TaskError(
                f"Request '{request.uri}' failed with status code '{answer.code}'"
                + (f" and body:\n{start}" if start else "")
            )


class RequestOutput(BaseModel):
    """What came back.

    Attributes:
        uri: that answered, after redirects.
        headers: name -> values.
        body: as text; none when it is encrypted.
    """

    model_config = ConfigDict(populate_by_name=True)

    uri: str
    code: int
    headers: dict[str, list[str]]
    body: str | None = None
    encrypted_body: dict[str, Any] | None = Field(None, alias="encryptedBody")
    form_data: dict[str, Any] | None = Field(None, alias="formData")


class HttpRequest(HttpTask):
    """Send an HTTP request and keep its answer as outputs.

    Properties: `uri`, `method` (GET), `params`, `body` or `formData` (an address in it is sent as a
    file), `contentType`, `headers`, `options` (`timeout`, `auth` of type BASIC or BEARER, `proxy`,
    `ssl`, `followRedirects`, `allowFailed`, `allowedResponseCodes`), `encryptBody`. A status of 400
    and more fails the task unless `allowFailed`. Outputs: `uri`, `code`, `headers` (name to
    values), `body`, or `encryptedBody`. Metrics: `response.length`.

    Example:
        ```yaml
        id: ask
        namespace: docs.tasks
        tasks:
          - id: health
            type: io.kestra.plugin.core.http.Request
            uri: "{{ kestra.url ?? 'http://localhost:8080' }}/ping"
            options:
              timeout:
                readIdleTimeout: PT10S
        ```
    """

    TYPE: ClassVar[str] = "io.kestra.plugin.core.http.Request"
    ALIASES: ClassVar[tuple[str, ...]] = ("io.kestra.plugin.fs.http.Request",)
    OUTPUTS: ClassVar[type[BaseModel] | None] = RequestOutput

    encrypt_body: bool | str = Field(False, alias="encryptBody")

    def run(self, context: RunContext) -> RequestOutput:
        answer, path = self.answer(context, BODY_BYTES_MAX)
        text = path.read_bytes().decode(_charset(answer), "replace")
        is_sealed = flag(context, self.encrypt_body)
        form = None if self.form_data is None else text_map(context, self.form_data, "formData")
        return RequestOutput(
            uri=answer.uri,
            code=answer.code,
            headers=answer.headers,
            body=None if is_sealed else text,
            encryptedBody=dict(context.seal(text)) if is_sealed else None,
            formData=form,
        )


class DownloadOutput(BaseModel):
    """`uri`: of the file; `length`: in bytes."""

    uri: str
    code: int
    length: int
    headers: dict[str, list[str]]


class Download(HttpTask):
    """Download a file into internal storage, of whatever size.

    Properties: those of `http.Request` without `encryptBody`, and `failOnEmptyResponse` (true).
    Outputs: `uri` (the file's address), `code`, `length` in bytes, `headers`. Metrics:
    `response.length`.

    Example:
        ```yaml
        id: get
        namespace: docs.tasks
        tasks:
          - id: page
            type: io.kestra.plugin.core.http.Download
            uri: "{{ kestra.url ?? 'http://localhost:8080' }}/ping"
        ```
    """

    TYPE: ClassVar[str] = "io.kestra.plugin.core.http.Download"
    ALIASES: ClassVar[tuple[str, ...]] = ("io.kestra.plugin.fs.http.Download",)
    OUTPUTS: ClassVar[type[BaseModel] | None] = DownloadOutput

    fail_on_empty_response: bool | str = Field(True, alias="failOnEmptyResponse")

    def run(self, context: RunContext) -> DownloadOutput:
        answer, path = self.answer(context, sys.maxsize)
        if answer.size_bytes == 0:
            if flag(context, self.fail_on_empty_response):
                raise TaskError(f"Expected an answer with a body from {answer.uri}, but none came.")
            context.logger.log("WARN", f"The answer of {answer.uri} was empty.")
        return DownloadOutput(
            uri=context.store_file(path, _name(answer)),
            code=answer.code,
            length=answer.size_bytes,
            headers=answer.headers,
        )


def _charset(answer: Answer) -> str:
    try:
        "".encode(answer.charset)
    except LookupError:
        return "utf-8"
    return answer.charset


def _header(value: Any) -> Any:
    return [str(item) for item in value] if isinstance(value, list) else str(value)


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _name(answer: Answer) -> str:
    """The name that the server gives the file, else the last part of its address."""
    disposition = next(
        (values[0] for n, values in answer.headers.items() if n.lower() == "content-disposition"),
        "",
    )
    match = _FILE_NAME.search(disposition)
    text = match.group(1) if match else urlsplit(answer.uri).path
    name = re.split(r"[/\\]", unquote(text).strip().rstrip("/"))[-1].replace("\0", "")
    return name[:255] if name not in ("", ".", "..") else "download"


PLUGINS = (HttpRequest, Download)
