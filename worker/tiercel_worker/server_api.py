"""The server's own HTTP API, as tasks ask it: for what only the read model or the executor knows.

Why by HTTP, see docs/adr/0008. Requests are bounded and tried again while the API is away or busy;
a kill of the task ends them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import msgspec

from tiercel_engine.errors import TaskError
from tiercel_worker.http_client import Answer, Cancellable, NoAnswer, Options, Part, Request, fetch

PREFIX = "/api/v1"
#: How often a request is sent, and the pauses between, the first one and what it grows by.
ATTEMPTS_MAX = 6
PAUSE_FIRST_S = 0.2
PAUSE_FACTOR = 2.0
CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 60.0
ANSWER_BYTES_MAX = 64 << 20
#: Answers after which the same request may succeed.
BUSY = frozenset({429, 502, 503, 504})


class ApiAddress(NamedTuple):
    """Where the API is, and what opens it.

    Attributes:
        authorization: header of that name; None: it asks for no login.
        is_local: whether it is on this machine, so that its certificate need not name it.
    """

    url: str
    authorization: str | None = None
    is_local: bool = False


#: Looked up each time: another process may have taken the API over.
FindApi = Callable[[], ApiAddress | None]


class ServerApi:
    """Asks the API on behalf of one attempt."""

    def __init__(self, attempt: Cancellable, find_api: FindApi) -> None:
        self._attempt = attempt
        self._find_api = find_api

    @property
    def is_known(self) -> bool:
        """Whether there is somebody to ask."""
        return self._find_api() is not None

    def call(
        self,
        method: str,
        path: str,
        query: Mapping[str, str | Sequence[str]] | None = None,
        body: Any = None,
        form: Mapping[str, str] | None = None,
        authorization: str | None = None,
    ) -> Any:
        """What a route answers, None when it answers nothing.

        Args:
            path: below /api/v1.
            body: sent as JSON.
            form: sent as a multipart form.
            authorization: in the place of the worker's own.

        Raises:
            TaskError: the API refuses, or did not answer as often as it was asked.
        """
        pause_s, reason = PAUSE_FIRST_S, "nobody knows its address"
        for _ in range(ATTEMPTS_MAX):
            found = self._find_api()
            if found is not None:
                address = found._replace(authorization=authorization or found.authorization)
                try:
                    answer, text = self._send(address, method, path, query, body, form)
                except NoAnswer as error:
                    reason = str(error)
                else:
                    if answer.code not in BUSY:
                        return _taken(method, path, answer, text)
                    reason = f"it answered {answer.code}"
            if self._attempt.wait_cancelled(pause_s):
                raise TaskError("The task was stopped.")
            pause_s *= PAUSE_FACTOR
        raise TaskError(
            f"Expected the server's API to answer, but {reason}. Where a worker runs on another"
            " machine than the API, set api_url to the API's address."
        )

    def _send(
        self,
        address: ApiAddress,
        method: str,
        path: str,
        query: Mapping[str, str | Sequence[str]] | None,
        body: Any,
        form: Mapping[str, str] | None,
    ) -> tuple[Answer, bytes]:
        headers = {} if body is None else {"Content-Type": "application/json"}
        if address.authorization is not None:
            headers["Authorization"] = address.authorization
        request = Request(
            method,
            f"{address.url.rstrip('/')}{PREFIX}{path}",
            headers,
            query,
            None if body is None else msgspec.json.encode(body),
            None if form is None else [Part(name, text=text) for name, text in form.items()],
            is_multipart=True,
        )
        options = Options(CONNECT_TIMEOUT_S, READ_TIMEOUT_S, tls=not address.is_local)
        with TemporaryDirectory(prefix="tiercel-api-") as folder:
            target = Path(folder) / "answer"
            answer = fetch(self._attempt, request, options, target, ANSWER_BYTES_MAX)
            return answer, target.read_bytes()


def _taken(method: str, path: str, answer: Answer, text: bytes) -> Any:
    try:
        value = msgspec.json.decode(text) if text else None
    except msgspec.DecodeError:
        value = None
    if answer.code < 400:
        return value
    said = value.get("message") if isinstance(value, dict) else None
    raise TaskError(
        f"The server answered {method} {path} with {answer.code}: {said or 'no reason'}"
    )
