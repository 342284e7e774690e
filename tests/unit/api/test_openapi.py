"""The OpenAPI document says what the handlers do."""

from __future__ import annotations

import re

from tiercel_api.app import ROUTES
from tiercel_api.openapi import operations
from tiercel_api.openapi.document import document, name_of, operation_count, page
from tiercel_api.openapi.reading import query_of, reads_filters
from tiercel_api.routes import executions, flows, system

ALL = (*ROUTES, *system.API_ROUTES)
DOCUMENT = document(ALL, "1.2.3")


def test_every_route_is_an_operation_with_a_name_of_its_own() -> None:
    assert operation_count(DOCUMENT) == len({(m, re.sub(r":[^}]*}", "}", p)) for m, p, _ in ALL})
    names = [
        operation["operationId"]
        for methods in DOCUMENT["paths"].values()
        for operation in methods.values()
    ]
    assert len(names) == len(set(names))


def test_every_parameter_that_some_handler_reads_is_described_and_no_other() -> None:
    read = frozenset[str]().union(*(query_of(handler) for _, _, handler in ALL))
    assert read - operations.PARAMETERS.keys() == set(), "describe them in openapi/operations.py"
    assert operations.PARAMETERS.keys() - read == set(), "no handler reads these any more"


def test_what_handlers_read_is_found_in_their_code() -> None:
    assert query_of(flows.get_flow) >= {"revision", "allowDeleted", "source"}
    assert query_of(executions.create_execution) >= {"revision", "wait", "labels", "scheduleDate"}
    assert query_of(executions.search_executions) >= {"page", "size", "sort"}
    assert reads_filters(executions.search_executions)
    assert not reads_filters(flows.get_flow)


def test_the_tables_name_handlers_that_there_are() -> None:
    names = {name_of(handler, path) for _, path, handler in ALL}
    outside = {"sessions.login", "sessions.get_page", "health.get_prometheus", "system.ping"}
    assert (operations.BODIES.keys() | operations.ANSWERS.keys()) - outside <= names


def test_every_operation_says_what_it_does() -> None:
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            assert operation["summary"].strip(), f"{method} {path} lacks a docstring"


def test_path_parameters_stand_in_their_path() -> None:
    for path, methods in DOCUMENT["paths"].items():
        for operation in methods.values():
            names = {p["name"] for p in operation["parameters"] if p["in"] == "path"}
            assert names == set(re.findall(r"{(\w+)}", path))


def test_the_page_runs_nothing_and_quotes_what_it_shows() -> None:
    text = page(DOCUMENT)
    assert "<script" not in text
    assert "/executions/{namespace}/{id}" in text
