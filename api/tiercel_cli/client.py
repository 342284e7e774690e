"""The HTTP client of the command line: one server, short blocking calls, two live streams.

Owns the spelling of requests and the meaning of error answers. Knows nothing about how anything
is shown. Standard library only, so that starting `tiercel` stays quick.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from tiercel_cli.event_stream import events_of
from tiercel_cli.multipart import Multipart
from tiercel_engine.errors import TiercelError

DEFAULT_SERVER = "http://127.0.0.1:8080"
#: Seconds that an ordinary call may take. Following has no limit but the connection's.
CALL_TIMEOUT_S = 60.0
#: Between two tries to go on with a stream that was cut off, and how many may fail in a row.
RECONNECT_S = 0.5
RECONNECTS_MAX = 20
#: Refusals after which it is tried again: the server stops, or is busy.
COME_BACK_STATUSES = (429, 502, 503, 504)

JsonObject = dict[str, Any]


class ServerUnreachable(TiercelError):
    """Nothing answers at the server's address."""


class ServerRefused(TiercelError):
    """The server answered with an error. `status` is the HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Client:
    """Calls one server. Cheap to make; every call has a connection of its own."""

    def __init__(self, server: str = DEFAULT_SERVER, timeout_s: float = CALL_TIMEOUT_S) -> None:
        """`server`: http(s)://host:port[/path]. Raises ValueError when it is no such address."""
        parts = urlsplit(server if "://" in server else f"http://{server}")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"Expected http://host:port, but the server was {server!r}.")
        self.server = f"{parts.scheme}://{parts.netloc}{parts.path}".rstrip("/")
        self._parts = parts
        self._timeout_s = timeout_s
        self._credentials = credentials_of(os.environ)

    # -- flows ---------------------------------------------------------------------------------

    def validate_flow(self, source: str) -> list[JsonObject]:
        """One verdict per YAML document; `constraints` is there when it does not hold."""
        return self._json("POST", "/flows/validate", yaml=source)  # type: ignore[no-any-return]

    def create_flow(self, source: str) -> JsonObject:
        return self._object("POST", "/flows", yaml=source)

    def update_flow(self, namespace: str, flow_id: str, source: str) -> JsonObject:
        return self._object("PUT", f"/flows/{path_of(namespace, flow_id)}", yaml=source)

    def flow(self, namespace: str, flow_id: str, revision: int | None = None) -> JsonObject:
        """The flow with its `source` text."""
        query = {"source": "true", "revision": revision}
        return self._object("GET", f"/flows/{path_of(namespace, flow_id)}", query)

    def flows(self, namespace: str | None, q: str | None, page: int, size: int) -> JsonObject:
        """One page: `results` and `total`."""
        query = {"namespace": namespace, "q": q, "page": page, "size": size}
        return self._object("GET", "/flows/search", query)

    # -- executions ----------------------------------------------------------------------------

    def create_execution(
        self,
        namespace: str,
        flow_id: str,
        inputs: Mapping[str, str] | None = None,
        files: Mapping[str, Path] | None = None,
        labels: Sequence[str] = (),
        revision: int | None = None,
        wait: bool = False,
        breakpoints: Sequence[str] = (),
    ) -> JsonObject:
        """Start a flow. `labels`: key:value texts. `wait`: answer when it has ended."""
        query = {"labels": list(labels), "revision": revision, "wait": "true" if wait else None}
        query["breakpoints"] = list(breakpoints)
        return self._object(
            "POST",
            f"/executions/{path_of(namespace, flow_id)}",
            query,
            parts=Multipart(inputs or {}, files or {}),
            timeout_s=None if wait else self._timeout_s,
        )

    def execution(self, execution_id: str) -> JsonObject:
        return self._object("GET", f"/executions/{path_of(execution_id)}")

    def executions(
        self,
        namespace: str | None,
        flow_id: str | None,
        states: Sequence[str],
        page: int,
        size: int,
    ) -> JsonObject:
        """One page, newest first: `results` and `total`."""
        query = {
            "namespace": namespace,
            "flowId": flow_id,
            "state": list(states),
            "page": page,
            "size": size,
            "sort": "state.startDate:desc",
        }
        return self._object("GET", "/executions/search", query)

    def kill(self, execution_id: str) -> None:
        self._json("DELETE", f"/executions/{path_of(execution_id)}/kill")

    def restart(self, execution_id: str, revision: int | None = None) -> JsonObject:
        path = f"/executions/{path_of(execution_id)}/restart"
        return self._object("POST", path, {"revision": revision})

    def replay(
        self,
        execution_id: str,
        task_run_id: str | None = None,
        revision: int | None = None,
        inputs: Mapping[str, str] | None = None,
    ) -> JsonObject:
        """Run a copy; `inputs` are other inputs than the execution's own."""
        query = {"taskRunId": task_run_id, "revision": revision}
        verb = "replay-with-inputs" if inputs else "replay"
        path = f"/executions/{path_of(execution_id)}/actions/{verb}"
        return self._object("POST", path, query, parts=Multipart(inputs or {}, {}))

    def act(
        self,
        execution_id: str,
        verb: str,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        form: Mapping[str, str] | None = None,
    ) -> JsonObject:
        """Do something to an execution; it is answered as it is then."""
        path = f"/executions/{path_of(execution_id)}/actions/{verb}"
        parts = Multipart(form, {}) if form else None
        return self._object("POST", path, query, document=body, parts=parts)

    def delete_execution(self, execution_id: str, logs: bool, metrics: bool, files: bool) -> None:
        """Delete an execution, with its log, metrics and files or without."""
        flags = {"deleteLogs": logs, "deleteMetrics": metrics, "deleteStorage": files}
        query = {name: str(flag).lower() for name, flag in flags.items()}
        self._json("DELETE", f"/executions/{path_of(execution_id)}", query)

    def logs(self, execution_id: str, min_level: str | None = None) -> list[JsonObject]:
        path = f"/logs/{path_of(execution_id)}"
        return self._json("GET", path, {"minLevel": min_level})  # type: ignore[no-any-return]

    def metrics(self, execution_id: str) -> list[JsonObject]:
        query = {"page": 1, "size": 1000}
        page = self._object("GET", f"/metrics/{path_of(execution_id)}", query)
        return list(page["results"])

    def evaluate(
        self, execution_id: str, expression: str, task_run_id: str | None = None
    ) -> JsonObject:
        """`result` or `error` of an expression in an execution, explained."""
        path = f"/executions/{path_of(execution_id)}/actions/eval"
        if task_run_id is not None:
            path += f"/{path_of(task_run_id)}"
        return self._object("POST", path, {"explain": "true"}, text=expression)

    def follow(self, execution_id: str) -> Iterator[JsonObject]:
        """The execution at each change, the last one ended."""
        for event_id, data in self._stream(f"/executions/{path_of(execution_id)}/follow"):
            if data:
                yield json.loads(data)
            if event_id == "end":
                return

    def follow_logs(self, execution_id: str, min_level: str | None = None) -> Iterator[JsonObject]:
        """Log lines, those there already first. Ends with the connection only."""
        query = {"minLevel": min_level}
        for _, data in self._stream(f"/logs/{path_of(execution_id)}/follow", query):
            if data:
                yield json.loads(data)

    def is_ready(self) -> bool:
        """Whether the server takes work."""
        try:
            with self._answer("GET", "/ready", timeout_s=5.0) as answer:
                answer.read()
                return True
        except (ServerUnreachable, ServerRefused):
            return False

    # -- triggers ------------------------------------------------------------------------------

    def triggers(
        self, namespace: str | None, flow_id: str | None, q: str | None, page: int, size: int
    ) -> JsonObject:
        """One page: `results` with `trigger` and `state`, and `total`."""
        query = {"namespace": namespace, "flowId": flow_id, "q": q, "page": page, "size": size}
        return self._object("GET", "/triggers/search", query)

    def next_dates(self, namespace: str, flow_id: str, trigger_id: str, count: int) -> JsonObject:
        path = f"/triggers/{path_of(namespace, flow_id, trigger_id)}/next"
        return self._object("GET", path, {"count": count})

    def set_trigger_disabled(
        self, namespace: str, flow_id: str, trigger_id: str, disabled: bool
    ) -> JsonObject:
        key = {"namespace": namespace, "flowId": flow_id, "triggerId": trigger_id}
        return self._object("PUT", "/triggers", document={**key, "disabled": disabled})

    def trigger_verb(self, namespace: str, flow_id: str, trigger_id: str, verb: str) -> JsonObject:
        """`unlock` or `restart`; the state that follows."""
        return self._object("POST", f"/triggers/{path_of(namespace, flow_id, trigger_id)}/{verb}")

    def start_backfill(
        self, namespace: str, flow_id: str, trigger_id: str, backfill: JsonObject
    ) -> JsonObject:
        key = {"namespace": namespace, "flowId": flow_id, "triggerId": trigger_id}
        return self._object("PUT", "/triggers", document={**key, "backfill": backfill})

    def backfill_verb(self, namespace: str, flow_id: str, trigger_id: str, verb: str) -> JsonObject:
        """`pause`, `unpause` or `delete`; the state that follows."""
        key = {"namespace": namespace, "flowId": flow_id, "triggerId": trigger_id}
        method = "POST" if verb == "delete" else "PUT"
        return self._object(method, f"/triggers/backfill/{verb}", document=key)

    # -- accounts ------------------------------------------------------------------------------

    def call(self, method: str, path: str, document: JsonObject | None = None) -> Any:
        """A call of `/users`, `/me` or `/auditlogs`, with a JSON body or none."""
        return self._json(method, path, document=document)

    # -- dead letters --------------------------------------------------------------------------

    def dead_letters(self, topic: str | None, size: int) -> JsonObject:
        """The newest first: `results` and `total`."""
        return self._object("GET", "/dead-letters", {"topic": topic, "size": size})

    def dead_letter(self, offset: int) -> JsonObject:
        return self._object("GET", f"/dead-letters/{offset}")

    def replay_dead_letter(self, offset: int) -> JsonObject:
        return self._object("POST", f"/dead-letters/{offset}/replay")

    # -- services ------------------------------------------------------------------------------

    def services(self, kind: str | None) -> JsonObject:
        """The services, at most 1,000: `results` and `total`."""
        named = None if kind is None else kind.upper()
        query = {"type": named, "size": 1_000, "sort": "type:asc"}
        return self._object("GET", "/instance/services/search", query)

    # -- the wire ------------------------------------------------------------------------------

    def _object(self, method: str, path: str, query: Any = None, **body: Any) -> JsonObject:
        answer = self._json(method, path, query, **body)
        if not isinstance(answer, dict):
            raise ServerRefused(200, f"Expected a JSON object, but it was {str(answer)[:200]!r}.")
        return answer

    def _json(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None = None,
        yaml: str | None = None,
        text: str | None = None,
        document: Any = None,
        parts: Multipart | None = None,
        timeout_s: float | None = CALL_TIMEOUT_S,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        headers = {"Accept": "application/json", **(headers or {})}
        body: bytes | Iterable[bytes] | None = None
        if yaml is not None:
            headers["Content-Type"] = "application/x-yaml"
            body = yaml.encode()
        elif text is not None:
            headers["Content-Type"] = "text/plain"
            body = text.encode()
        elif document is not None:
            headers["Content-Type"] = "application/json"
            body = json.dumps(document).encode()
        elif parts is not None and parts:
            headers |= parts.headers()
            body = parts
        target = "/api/v1" + path + query_of(query)
        with self._answer(method, target, body, headers, timeout_s) as answer:
            content = answer.read()
        return json.loads(content) if content else None

    @contextmanager
    def _answer(
        self,
        method: str,
        target: str,
        body: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float | None = CALL_TIMEOUT_S,
    ) -> Iterator[http.client.HTTPResponse]:
        secure = self._parts.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        connection = kind(self._parts.hostname or "", self._parts.port, timeout=timeout_s)
        try:
            path = self._parts.path.rstrip("/") + target
            sent = {**self._credentials, **(headers or {})}
            connection.request(method, path, body=body, headers=sent)
            answer = connection.getresponse()
            if answer.status >= 400:
                raise ServerRefused(answer.status, _reason(answer))
            yield answer
        except (OSError, http.client.HTTPException) as error:
            raise ServerUnreachable(
                f"Cannot reach the server at {self.server} ({error}). Start one with "
                "`tiercel server`, or name another with --server or TIERCEL_SERVER."
            ) from error
        finally:
            connection.close()

    def _stream(
        self, path: str, query: Mapping[str, Any] | None = None
    ) -> Iterator[tuple[str, str]]:
        """Server-sent events as (id, data). Goes on behind the last one when it is cut off."""
        target, last, failures = "/api/v1" + path + query_of(query), "", 0
        while True:
            try:
                for event_id, data in self._events(target, last):
                    last, failures = event_id, 0
                    yield event_id, data
                lost: TiercelError = ServerUnreachable(f"{self.server} closed the stream.")
            except (ServerUnreachable, ServerRefused) as error:
                if isinstance(error, ServerRefused) and error.status not in COME_BACK_STATUSES:
                    raise
                lost = error
            failures += 1
            if not last or failures > RECONNECTS_MAX:
                raise lost
            time.sleep(RECONNECT_S)

    def _events(self, target: str, last: str) -> Iterator[tuple[str, str]]:
        """The events of one connection."""
        headers = {"Accept": "text/event-stream", **({"Last-Event-ID": last} if last else {})}
        with self._answer("GET", target, headers=headers, timeout_s=None) as answer:
            yield from events_of(answer)


def credentials_of(environment: Mapping[str, str]) -> dict[str, str]:
    """The header that says who calls: `TIERCEL_TOKEN`, else `TIERCEL_USER` and its password."""
    token, user = environment.get("TIERCEL_TOKEN"), environment.get("TIERCEL_USER")
    if token:
        return {"Authorization": f"Bearer {token}"}
    if user:
        text = f"{user}:{environment.get('TIERCEL_PASSWORD', '')}"
        return {"Authorization": f"Basic {base64.b64encode(text.encode()).decode()}"}
    return {}


def path_of(*segments: str) -> str:
    return "/".join(quote(segment, safe="") for segment in segments)


def query_of(query: Mapping[str, Any] | None) -> str:
    given = {name: value for name, value in (query or {}).items() if value not in (None, [])}
    return "?" + urlencode(given, doseq=True) if given else ""


def _reason(answer: http.client.HTTPResponse) -> str:
    """The message of an error answer, with one line per violation that adds to it."""
    content = answer.read().decode(errors="replace")
    try:
        document = json.loads(content)
    except ValueError:
        return content.strip() or f"HTTP {answer.status} {answer.reason}"
    if not isinstance(document, dict):
        return content
    message = str(document.get("message") or f"HTTP {answer.status} {answer.reason}")
    errors = (document.get("_embedded") or {}).get("errors") or []
    more = [str(e.get("message")) for e in errors if str(e.get("message")) not in message]
    return "\n".join([message, *more])
