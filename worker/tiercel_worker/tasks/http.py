"""Tasks that send HTTP requests."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from tiercel_engine.errors import TaskError
from tiercel_engine.flow.base import Text
from tiercel_engine.plugin.base import RunnableTask
from tiercel_engine.plugin.context import RunContext
from tiercel_engine.storage.uri import file_name, is_file_uri
from tiercel_worker.http_client import Answer, Part, Request, fetch
from tiercel_worker.task_runner.files import OWN_PREFIX
from tiercel_worker.tasks.http_options import LOGS, HttpOptions, SslOptions
from tiercel_worker.tasks.properties import flag, text_map

#: An answer that becomes an output is no larger than this.
BODY_BYTES_MAX = 16 << 20
#: How much of a failure's answer its message tells.
BODY_CHARS_SHOWN = 1_000
#: Headers whose values no log shows.
SECRET_HEADERS = ("authorization", "proxy-authorization", "cookie", "set-cookie")

_FILE_NAME = re.compile(r"""filename\*?=(?:UTF-8'')?"?([^";]+)""", re.IGNORECASE)


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
        options = self.options.resolved(context, self.ssl_options)
        logs = self.options.logged(context)
        _log(context, logs, "REQUEST", _told(request), request.headers, request.body)
        answer = fetch(context, request, options, target, bytes_max)
        status = f"\n    status: {answer.code}"
        _log(context, logs, "RESPONSE", status, answer.headers, _start(target))
        context.metric("response.length", answer.size_bytes, "counter", {"request": request.uri})
        self._check(context, request, answer, target)
        return answer, target

    def charset(self, context: RunContext, answer: Answer) -> str:
        """Of an answer's text: the one it names, where that is known, or the default."""
        try:
            "".encode(answer.charset or "")
        except LookupError:
            return self.options.charset(context)
        return answer.charset or ""

    def _request(self, context: RunContext) -> Request:
        headers = text_map(context, self.headers, "headers")
        content_type = None if self.content_type is None else context.render(self.content_type)
        form, body = self._form(context), None
        is_multipart = (content_type or "").lower().startswith("multipart/form-data")
        if form is None and self.body is not None:
            body = self._body(context).encode(self.options.charset(context), "replace")
            content_type = content_type or "application/json"
        if content_type is not None and form is None:
            headers.setdefault("Content-Type", content_type)
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
            start = _start(body).decode(self.charset(context, answer), "replace")
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
    file), `contentType`, `headers`, `options`, `encryptBody`. Options: `timeout` (`connectTimeout`,
    `readIdleTimeout`), `auth` (`type` BASIC, BEARER or DIGEST, `username`, `password`, `token`),
    `proxy` (`type` HTTP, SOCKS, SOCKS4 or DIRECT, `address`, `port`, `username`, `password`),
    `ssl` (`trustedCertificates`, `clientCertificate`, `clientKey`, `clientKeyPassword`: PEM, or the
    address of a file of it; `insecureTrustAllCertificates`), `followRedirects` (20 at most),
    `allowFailed`, `allowedResponseCodes`, `defaultCharset`, `logs` (of REQUEST_HEADERS,
    REQUEST_BODY, RESPONSE_HEADERS, RESPONSE_BODY). A status of 400 and more fails the task unless
    `allowFailed`. Outputs: `uri`, `code`, `headers` (name to
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
        return self.asked(context)[0]

    def asked(self, context: RunContext) -> tuple[RequestOutput, str]:
        """What the task gives, and the body as it came, sealed or not."""
        answer, path = self.answer(context, BODY_BYTES_MAX)
        text = path.read_bytes().decode(self.charset(context, answer), "replace")
        is_sealed = flag(context, self.encrypt_body)
        form = None if self.form_data is None else text_map(context, self.form_data, "formData")
        output = RequestOutput(
            uri=answer.uri,
            code=answer.code,
            headers=answer.headers,
            body=None if is_sealed else text,
            encryptedBody=dict(context.seal(text)) if is_sealed else None,
            formData=form,
        )
        return output, text


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


def _start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(BODY_CHARS_SHOWN)


def _told(request: Request) -> str:
    return f"\n    method: {request.method}\n    uri: {request.uri}"


def _log(
    context: RunContext,
    asked: Sequence[str],
    what: str,
    start: str,
    headers: Mapping[str, Any],
    body: bytes | None,
) -> None:
    """Tell of a request or an answer what was asked for. Who may enter stays unsaid."""
    if f"{what}_HEADERS" in asked:
        lines = [
            f"\n    {name}: {'********' if name.lower() in SECRET_HEADERS else text}"
            for name, value in headers.items()
            for text in ([value] if isinstance(value, str) else value)
        ]
        context.logger.log(
            LOGS[f"{what}_HEADERS"],
            f"{what.lower()}:{start}\n{what.lower()} headers:{''.join(lines)}",
        )
    if f"{what}_BODY" in asked:
        text = (body or b"")[:BODY_CHARS_SHOWN].decode("utf-8", "replace")
        context.logger.log(LOGS[f"{what}_BODY"], f"{what.lower()} payload:\n    {text}")


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
