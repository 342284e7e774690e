"""Every call of `kestrapy`'s TriggersApi, through the unchanged package, against one server."""

from __future__ import annotations

from typing import Any

import pytest
from kestrapy import (
    DeleteTriggersByQueryRequest,
    KestraClient,
    TriggerControllerApiTriggerId,
    TriggerControllerSetDisabledRequest,
)
from kestrapy.exceptions import (
    BadRequestException,
    ConflictException,
    NotFoundException,
    UnprocessableEntityException,
)
from tests.acceptance.kestrapy_coverage import drives
from tests.acceptance.running import RunningServer, eventually

T = "main"
NS = "kestrapy.triggers"
#: A start of one of these waits, and so holds its trigger.
FLOW = """id: {flow_id}
namespace: {namespace}
tasks:
  - id: hold
    type: io.kestra.plugin.core.flow.Pause
triggers:
  - id: tick
    type: io.kestra.plugin.core.trigger.Schedule
    cron: "0 0 1 1 *"
"""
SECONDLY = FLOW.replace("0 0 1 1 *", "* * * * * *") + "    withSeconds: true\n"
BACKFILL = {"start": "2000-01-01T00:00:00Z", "end": "2001-06-01T00:00:00Z"}


@pytest.fixture(scope="module")
def client(embedded_server: RunningServer) -> Any:
    return KestraClient(host=embedded_server.url, timeout=60)


@pytest.fixture(scope="module")
def api(client: Any) -> Any:
    return client.triggers


def key(namespace: str, flow_id: str = "yearly") -> dict[str, str]:
    return {"namespace": namespace, "flowId": flow_id, "triggerId": "tick"}


def model(namespace: str, flow_id: str = "yearly") -> Any:
    return TriggerControllerApiTriggerId(namespace=namespace, flow_id=flow_id, trigger_id="tick")


def where(field: str, value: Any, operation: str = "EQUALS") -> dict[str, Any]:
    return {"field": field, "operation": operation, "value": value}


@pytest.fixture
def saved(embedded_server: RunningServer, api: Any, namespace: str) -> str:
    """The namespace of two flows, `yearly` and `other`, whose triggers are known."""
    for flow_id in ("yearly", "other"):
        embedded_server.save(FLOW.format(flow_id=flow_id, namespace=namespace))
    count(api, 2, where("namespace", namespace))
    return namespace


def count(api: Any, number: int, *filters: dict[str, Any]) -> list[Any]:
    """The triggers found, once there are so many."""
    found = eventually(
        lambda: api.search_triggers(T, page=1, size=10, filters=list(filters)),
        lambda page: page["total"] == number,
    )
    return list(found["results"])


@pytest.fixture
def locked(embedded_server: RunningServer, api: Any, namespace: str) -> str:
    """The namespace of a flow whose trigger waits for its execution to end."""
    embedded_server.save(SECONDLY.format(flow_id="yearly", namespace=namespace))
    count(api, 1, where("namespace", namespace), where("locked", True))
    return namespace


@drives("search_triggers", "search_triggers_for_flow")
def test_triggers_are_searched(api: Any, saved: str) -> None:
    mine = where("namespace", saved)

    found = api.search_triggers(T, page=1, size=10, sort=["flowId:asc"], filters=[mine])

    assert [row["state"]["flowId"] for row in found["results"]] == ["other", "yearly"]
    assert found["results"][0]["trigger"]["cron"] == "0 0 1 1 *"
    count(api, 1, mine, where("flowId", "yea", "STARTS_WITH"))
    count(api, 1, mine, where("QUERY", "yearly"))
    count(api, 2, mine, where("triggerId", ["tick", "tock"], "IN"))
    count(api, 2, mine, where("triggerState", "ENABLED"))
    count(api, 0, mine, where("locked", True))
    count(api, 2, mine, where("nextExecutionDate", "2020-01-01T00:00:00Z", "GREATER_THAN"))
    dated = api.search_triggers(
        T,
        filters=[mine, where("startDate", "2020-01-01T00:00:00Z", "GREATER_THAN")],
        date_filter="LAST_TRIGGERED_DATE",
    )
    assert dated["total"] == 0
    of_flow = api.search_triggers_for_flow(T, saved, "yearly", page=1, size=5, q="tick")
    assert [row["triggerId"] for row in of_flow["results"]] == ["tick"]
    with pytest.raises(UnprocessableEntityException):
        api.search_triggers(T, filters=[where("state", "FAILED")])


@drives("export_triggers")
def test_triggers_are_exported_as_csv(api: Any, saved: str) -> None:
    lines = api.export_triggers(T, filters=[where("namespace", saved)]).splitlines()

    assert lines[0].startswith("namespace,flowId,triggerId")
    assert [line.split(",")[:3] for line in lines[1:]] == [
        [saved, "other", "tick"],
        [saved, "yearly", "tick"],
    ]


@drives("disable_trigger_by_id", "disabled_triggers_by_ids", "disabled_triggers_by_query")
def test_triggers_are_disabled_and_enabled(api: Any, saved: str) -> None:
    off = (where("namespace", saved), where("triggerState", "DISABLED"))

    assert api.disable_trigger_by_id(T, {**key(saved), "disabled": True})["disabled"] is True
    count(api, 1, *off)
    both = [model(saved), model(saved, "other")]
    asked = TriggerControllerSetDisabledRequest(triggers=both, disabled=True)
    assert api.disabled_triggers_by_ids(T, asked)["count"] == 2
    count(api, 2, *off)
    answer = api.disabled_triggers_by_query(T, disabled=False, filters=[off[0]])
    assert answer["count"] == 2
    count(api, 0, *off)
    gone = TriggerControllerSetDisabledRequest(triggers=[model(saved, "no")], disabled=True)
    with pytest.raises(UnprocessableEntityException) as error:
        api.disabled_triggers_by_ids(T, gone)
    assert "trigger not found" in error.value.body


@drives("unlock_trigger")
def test_a_locked_trigger_is_unlocked(api: Any, locked: str) -> None:
    assert api.disable_trigger_by_id(T, {**key(locked), "disabled": True})["locked"] is True

    assert api.unlock_trigger(T, locked, "yearly", "tick")["locked"] is False

    with pytest.raises(ConflictException):
        api.unlock_trigger(T, locked, "yearly", "tick")
    with pytest.raises(NotFoundException):
        api.unlock_trigger(T, locked, "nobody", "tick")


@drives("unlock_triggers_by_ids", "unlock_triggers_by_query")
def test_those_that_are_locked_are_unlocked(api: Any, locked: str) -> None:
    # Disabled, it does not start again at once.
    api.disable_trigger_by_id(T, {**key(locked), "disabled": True})

    assert api.unlock_triggers_by_ids(T, [model(locked)])["count"] == 1
    assert api.unlock_triggers_by_ids(T, [model(locked)])["count"] == 0
    assert api.unlock_triggers_by_query(T, filters=[where("namespace", locked)])["count"] == 0


@drives("restart_trigger")
def test_a_trigger_is_restarted(api: Any, locked: str) -> None:
    api.disable_trigger_by_id(T, {**key(locked), "disabled": True})

    assert api.restart_trigger(T, locked, "yearly", "tick")["locked"] is False

    with pytest.raises(NotFoundException):
        api.restart_trigger(T, locked, "yearly", "nobody")


@drives("delete_trigger", "delete_triggers_by_ids", "delete_triggers_by_query")
def test_what_a_flow_declares_cannot_be_deleted(api: Any, saved: str) -> None:
    with pytest.raises(ConflictException) as error:
        api.delete_trigger(T, saved, "yearly", "tick")
    assert "because the flow still declares it" in error.value.body

    assert api.delete_triggers_by_ids(T, [model(saved)])["totalItems"] == 0
    query = DeleteTriggersByQueryRequest(filters=[where("namespace", saved)])
    assert api.delete_triggers_by_query(T, query)["totalItems"] == 0
    count(api, 2, where("namespace", saved))
    with pytest.raises(NotFoundException):
        api.delete_trigger(T, saved, "yearly", "nobody")


@drives("create_backfill", "pause_backfill", "unpause_backfill", "delete_backfill")
def test_a_backfill_is_paused_resumed_and_dropped(api: Any, saved: str) -> None:
    begun = api.create_backfill(T, {**key(saved), "backfill": BACKFILL})

    assert begun["backfill"]["currentDate"] == "2000-01-01T00:00:00Z"
    assert api.pause_backfill(T, key(saved))["backfill"]["paused"] is True
    assert api.unpause_backfill(T, key(saved))["backfill"]["paused"] is False
    assert "backfill" not in api.delete_backfill(T, key(saved))
    for call in (api.pause_backfill, api.unpause_backfill, api.delete_backfill):
        with pytest.raises(BadRequestException):
            call(T, key(saved))


@drives("pause_backfill_by_ids", "unpause_backfill_by_ids", "delete_backfill_by_ids")
@drives("pause_backfill_by_query", "unpause_backfill_by_query", "delete_backfill_by_query")
def test_many_backfills_are_paused_resumed_and_dropped(api: Any, saved: str) -> None:
    mine = [where("namespace", saved)]
    both = [model(saved), model(saved, "other")]
    api.create_backfill(T, {**key(saved), "backfill": BACKFILL})

    # The other one has none, and is not counted.
    assert api.pause_backfill_by_ids(T, both)["count"] == 1
    assert api.unpause_backfill_by_query(T, filters=mine)["count"] == 1
    assert api.pause_backfill_by_query(T, filters=mine)["count"] == 1
    assert api.unpause_backfill_by_ids(T, both)["count"] == 1
    assert api.delete_backfill_by_ids(T, both)["count"] == 1
    assert api.delete_backfill_by_query(T, filters=mine)["count"] == 0
    api.create_backfill(T, {**key(saved), "backfill": BACKFILL})
    assert api.delete_backfill_by_query(T, filters=mine)["count"] == 1
