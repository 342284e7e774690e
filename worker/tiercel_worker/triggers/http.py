"""The HTTP trigger: asks an address again and again, and starts when the answer is right."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from tiercel_engine.flow.base import Text
from tiercel_engine.plugin.base import RunnableTask
from tiercel_engine.plugin.context import RunContext
from tiercel_engine.plugin.polling import Answer, PollingTrigger, Wish
from tiercel_worker.tasks.http import HttpRequest
from tiercel_worker.tasks.http_options import HttpOptions, SslOptions

ANY_SUCCESS = "{{ response.statusCode < 400 }}"


class HttpLook(HttpRequest):
    """One look of an HTTP trigger."""

    TYPE: ClassVar[str] = "tiercel.http.Look"
    INTERNAL: ClassVar[bool] = True
    ALIASES: ClassVar[tuple[str, ...]] = ()

    response_condition: str | bool = Field(ANY_SUCCESS, alias="responseCondition")

    def run(self, context: RunContext) -> dict[str, Any]:  # type: ignore[override]
        # The condition sees the body even when the execution gets it sealed.
        answer, body = self.asked(context)
        response = {"statusCode": answer.code, "body": body, "headers": answer.headers}
        verdict = context.render(str(self.response_condition), {"response": response})
        if verdict.strip() not in ("true", "1"):
            return Answer().outputs()
        variables = answer.model_dump(by_alias=True, exclude_none=True)
        return Answer((Wish(variables),)).outputs()


class HttpTrigger(PollingTrigger):
    """Asks an HTTP address every `interval` and starts when `responseCondition` holds.

    Properties: those of `http.Request`; `interval` (PT60S); `responseCondition`, an expression that
    sees `response.statusCode`, `.body` and `.headers`. Executions see `trigger.code`, `.headers`,
    `.body` (or `.encryptedBody`) and `.uri`.
    """

    TYPE: ClassVar[str] = "io.kestra.plugin.core.http.Trigger"
    ALIASES: ClassVar[tuple[str, ...]] = ("io.kestra.plugin.fs.http.Trigger",)
    LOOKS: ClassVar[str] = HttpLook.TYPE

    uri: Text
    method: Text = "GET"
    params: dict[str, Any] | str | None = None
    body: Any = None
    form_data: dict[str, Any] | str | None = Field(None, alias="formData")
    content_type: Text | None = Field(None, alias="contentType")
    headers: dict[str, Any] | str | None = None
    options: HttpOptions | None = None
    ssl_options: SslOptions | None = Field(None, alias="sslOptions")
    allow_failed: bool | str = Field(False, alias="allowFailed")
    encrypt_body: bool | str = Field(False, alias="encryptBody")
    response_condition: str | bool = Field(ANY_SUCCESS, alias="responseCondition")


PLUGINS: tuple[type[RunnableTask | PollingTrigger], ...] = (HttpLook, HttpTrigger)
