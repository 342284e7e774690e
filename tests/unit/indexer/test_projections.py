"""Events -> rows, without a database."""

from __future__ import annotations

import msgspec
import pytest
from tests.read_model_harness import MS, START_US, created, ended, started, state

from tiercel_engine.indexer.documents import Attempt, StateDocument, TaskRunDocument
from tiercel_engine.indexer.fold import fold, missing_task_runs
from tiercel_engine.indexer.projections import BrokenHistory
from tiercel_engine.indexer.rows import Rows
from tiercel_schemas import events as e
from tiercel_schemas.common import Payload


def batch(first_seq: int, *events: e.Event, at_ms: int = 0) -> e.EventBatch:
    return e.EventBatch("one", first_seq, START_US + at_ms * MS, "Test", events)


def states(document: StateDocument) -> list[str]:
    return [change.state for change in document.histories]


def dates(document: StateDocument) -> list[str]:
    return [change.date.removeprefix("2023-11-14T22:13:") for change in document.histories]


def attempts(document: TaskRunDocument) -> list[Attempt]:
    assert isinstance(document.attempts, list)
    return document.attempts


@pytest.fixture
def rows() -> Rows:
    """An execution that runs one task run."""
    rows = Rows()
    fold(rows, batch(1, created(), state("RUNNING"), e.TaskRunCreated("run", "log")))
    fold(rows, batch(4, e.AttemptSubmitted("run", 1, 1)))
    return rows


def test_events_seen_before_change_nothing(rows: Rows) -> None:
    again = batch(1, created(flow_id="another"), state("RUNNING"))

    assert not fold(rows, again)
    assert rows.executions["one"].document.flow_id == "hello"
    assert rows.executions["one"].seq == 4


def test_a_batch_that_was_seen_in_part_brings_the_rest(rows: Rows) -> None:
    assert fold(rows, batch(4, e.AttemptSubmitted("run", 1, 1), started("run", 5), at_ms=5))

    assert states(rows.task_runs["one", "run"].document.state) == ["CREATED", "RUNNING"]
    assert rows.executions["one"].seq == 5


def test_a_gap_says_what_is_missing_and_what_to_do(rows: Rows) -> None:
    with pytest.raises(BrokenHistory, match=r"event 5 of execution one.*6.*tiercel index rebuild"):
        fold(rows, batch(6, state("SUCCESS")))


def test_a_log_that_lacks_the_creation_is_broken() -> None:
    with pytest.raises(BrokenHistory, match="event 1"):
        fold(Rows(), batch(2, state("RUNNING")))
    for first in (state("RUNNING"), e.TaskRunCreated("run", "log")):
        with pytest.raises(BrokenHistory, match="begin with its creation"):
            fold(Rows(), batch(1, first))


def test_an_event_of_a_task_run_that_nothing_created_is_broken(rows: Rows) -> None:
    with pytest.raises(BrokenHistory, match="task run ghost"):
        fold(rows, batch(5, started("ghost", 1)))


def test_an_event_of_a_task_run_changes_no_other_row(rows: Rows) -> None:
    # given
    fold(rows, batch(5, *(e.TaskRunCreated(f"run-{n}", "log") for n in range(100))))
    rows.changed_executions.clear()
    rows.changed_task_runs.clear()

    # when
    fold(rows, batch(105, started("run-7", 1)))

    # then
    assert list(rows.changed_executions) == []
    assert list(rows.changed_task_runs) == [("one", "run-7")]


def test_a_retry_starts_over_and_keeps_the_attempt_before(rows: Rows) -> None:
    # when
    fold(rows, batch(5, started("run", 10), at_ms=11))
    failed = ended("run", 10, 20, "FAILED")
    fold(rows, batch(6, failed, e.RetryScheduled("run", START_US + 50 * MS), at_ms=25))
    fold(rows, batch(8, e.AttemptSubmitted("run", 2, 1), at_ms=50))
    fold(rows, batch(9, started("run", 60, attempt=2), at_ms=61))
    fold(rows, batch(10, ended("run", 60, 70, attempt=2), at_ms=71))

    # then
    run = rows.task_runs["one", "run"].document
    assert states(run.state) == [
        *("CREATED", "RUNNING", "FAILED", "RETRYING"),
        *("CREATED", "RUNNING", "SUCCESS"),
    ]
    assert [states(a.state)[-1] for a in attempts(run)] == ["FAILED", "SUCCESS"]
    assert dates(attempts(run)[1].state) == ["20.060Z", "20.060Z", "20.070Z"]


def test_a_lost_workers_attempt_starts_over_without_being_a_second_one(rows: Rows) -> None:
    # when
    fold(rows, batch(5, started("run", 10), at_ms=11))
    fold(rows, batch(6, e.AttemptSubmitted("run", 1, 2), at_ms=20_000))
    fold(rows, batch(7, started("run", 20_100, epoch=2), at_ms=20_101))

    # then
    run = rows.task_runs["one", "run"].document
    assert states(run.state) == ["CREATED", "RUNNING"]
    assert dates(attempts(run)[0].state) == ["40.100Z", "40.100Z"]
    assert len(attempts(run)) == 1


def test_a_submission_is_noted_once_between_two_states(rows: Rows) -> None:
    # when: sent again unstarted, started, sent again, retried
    fold(rows, batch(5, e.AttemptSubmitted("run", 1, 2), at_ms=5))
    fold(rows, batch(6, started("run", 10, epoch=2), e.AttemptSubmitted("run", 1, 3), at_ms=11))
    failed = ended("run", 10, 20, "FAILED")
    fold(rows, batch(8, failed, e.RetryScheduled("run", START_US + 50 * MS), at_ms=25))
    fold(rows, batch(10, e.AttemptSubmitted("run", 2, 1), at_ms=50))

    # then
    run = rows.task_runs["one", "run"].document
    assert states(run.state) == ["CREATED", "RUNNING", "FAILED", "RETRYING", "CREATED"]
    assert isinstance(run.submissions, list)
    noted = [(one.after, one.date[-7:]) for one in run.submissions]
    assert noted == [(1, ":13:20Z"), (5, "20.050Z")]


def test_a_submission_changes_no_row_of_a_running_task_run(rows: Rows) -> None:
    fold(rows, batch(5, started("run", 10), at_ms=11))
    rows.changed_task_runs.clear()

    fold(rows, batch(6, e.AttemptSubmitted("run", 1, 2), at_ms=20_000))

    assert list(rows.changed_task_runs) == []


def test_an_attempt_that_ends_unstarted_is_an_attempt_all_the_same(rows: Rows) -> None:
    fold(rows, batch(5, ended("run", 10, 20, "KILLED"), at_ms=25))

    run = rows.task_runs["one", "run"].document
    assert states(run.state) == ["CREATED", "KILLED"]
    assert states(attempts(run)[0].state) == ["CREATED", "RUNNING", "KILLED"]


def test_an_attempt_ends_with_its_task_run_when_nobody_else_ends_it(rows: Rows) -> None:
    # given
    fold(rows, batch(5, started("run", 10), e.TaskRunStateChanged("run", "KILLING"), at_ms=15))

    # when
    fold(rows, batch(7, e.TaskRunStateChanged("run", "KILLED"), at_ms=20))

    # then
    run = rows.task_runs["one", "run"].document
    assert states(run.state) == ["CREATED", "RUNNING", "KILLING", "KILLED"]
    assert dates(attempts(run)[0].state) == ["20.010Z", "20.010Z", "20.020Z"]
    assert attempts(run)[0].state.duration == "PT0.01S"


def test_an_attempt_that_never_started_leaves_no_trace(rows: Rows) -> None:
    fold(rows, batch(5, e.TaskRunStateChanged("run", "KILLED"), e.AttemptSubmitted("run", 2, 1)))
    fold(rows, batch(7, started("run", 10, attempt=2), ended("run", 10, 20, attempt=2), at_ms=20))

    run = rows.task_runs["one", "run"].document
    assert [states(a.state)[-1] for a in attempts(run)] == ["SUCCESS"]


def test_a_task_run_may_end_otherwise_than_its_attempt(rows: Rows) -> None:
    end = e.AttemptEnded(
        "run", 1, 1, "FAILED", START_US, START_US, task_run_state="WARNING", error="no"
    )

    fold(rows, batch(5, started("run", 0), end))

    run = rows.task_runs["one", "run"].document
    assert states(run.state)[-1] == "WARNING"
    assert states(attempts(run)[0].state)[-1] == "FAILED"


def test_a_restart_counts_and_takes_the_outputs_back(rows: Rows) -> None:
    # given
    outputs = e.ExecutionOutputsSet(Payload(json='{"a":1}'))
    fold(rows, batch(5, started("run", 1), ended("run", 1, 2, "FAILED"), outputs, state("FAILED")))

    # when
    fold(rows, batch(9, e.ExecutionRestarted(2, 7), e.TaskRunStateChanged("run", "RESTARTED")))
    fold(rows, batch(11, e.AttemptSubmitted("run", 2, 1), state("RUNNING")))

    # then
    execution = rows.executions["one"].document
    assert states(execution.state) == ["CREATED", "RUNNING", "FAILED", "RESTARTED", "RUNNING"]
    assert execution.metadata.attempt_number == 2
    assert execution.flow_revision == 7
    assert not isinstance(execution.outputs, bytes | dict | list)
    run = rows.task_runs["one", "run"].document
    assert states(run.state) == ["CREATED", "RUNNING", "FAILED", "RESTARTED"]


def test_a_history_never_goes_back_however_wrong_a_workers_clock_is(rows: Rows) -> None:
    # when: started a minute before it was created, ended an hour after its end was decided
    fold(rows, batch(5, started("run", -60_000), at_ms=5))
    fold(rows, batch(6, ended("run", -60_000, 3_600_000), at_ms=9))

    # then
    assert dates(rows.task_runs["one", "run"].document.state) == ["20Z", "20Z", "20.009Z"]


def test_only_task_runs_that_are_not_at_hand_are_asked_for(rows: Rows) -> None:
    seen = batch(4, e.AttemptSubmitted("elsewhere", 1, 1))
    new = batch(
        5,
        e.TaskRunCreated("made", "log"),
        e.AttemptSubmitted("made", 1, 1),
        started("run", 1),
        ended("wanted", 1, 2),
        e.TaskRunRemoved("wanted"),
        state("SUCCESS"),
    )

    assert missing_task_runs(rows, [seen, new]) == [("one", "wanted")]


@pytest.mark.parametrize(
    ("trigger", "parent"),
    [
        (None, None),
        ('{"id":"t","variables":{"executionId":"up"}}', "up"),
        ('{"id":"t","variables":{"executionId":7}}', None),
        ('{"id":"t","variables":{"body":{"executionId":"up"}}}', None),
        ('{"id":"executionId","variables":null}', None),
        ('{"id":"t","executionId":"up"}', None),
    ],
)
def test_the_execution_that_started_this_one_stands_in_the_trigger(
    trigger: str | None, parent: str | None
) -> None:
    rows = Rows()

    fold(rows, batch(1, created(trigger=trigger)))

    assert rows.executions["one"].trigger_execution_id == parent


def test_a_pause_shows_in_the_history_and_leaves_what_it_was_resumed_with(rows: Rows) -> None:
    # when
    fold(rows, batch(5, started("run", 10), e.TaskRunPaused("run", START_US), at_ms=20))
    outputs = Payload(json='{"onResume":{"ok":true}}')
    fold(rows, batch(7, e.TaskRunResumed("run", "RUNNING", outputs), at_ms=30))

    # then
    run = rows.task_runs["one", "run"].document
    assert states(run.state) == ["CREATED", "RUNNING", "PAUSED", "RUNNING"]
    assert run.outputs == msgspec.Raw(outputs.json.encode() if outputs.json else b"")


def test_a_child_execution_is_an_attempt(rows: Rows) -> None:
    # when
    fold(rows, batch(5, e.ChildStarted("run", 1, "child"), at_ms=10))
    failed = e.AttemptEnded("run", 1, 1, "FAILED", START_US + 10 * MS, START_US + 20 * MS)
    fold(rows, batch(6, failed, e.RetryScheduled("run", START_US + 50 * MS), at_ms=20))
    fold(rows, batch(8, e.ChildStarted("run", 2, "another"), at_ms=50))

    # then
    run = rows.task_runs["one", "run"].document
    assert states(run.state) == [
        *("CREATED", "RUNNING", "FAILED", "RETRYING"),
        *("CREATED", "RUNNING"),
    ]
    assert [states(a.state)[-1] for a in attempts(run)] == ["FAILED", "RUNNING"]


def test_a_loop_shows_how_often_it_went_round(rows: Rows) -> None:
    # when
    fold(rows, batch(5, e.IterationStarted("run", 1, Payload(json='{"iterationCount":1}'))))
    fold(rows, batch(6, e.TaskRunCreated("inner", "poll", "run", iteration=1)))
    fold(rows, batch(7, e.IterationScheduled("run", 2, START_US)))
    again = e.IterationStarted("run", 2, Payload(json='{"iterationCount":2}'))
    fold(rows, batch(8, e.TaskRunRemoved("inner"), again))

    # then
    assert rows.task_runs["one", "run"].document.outputs == msgspec.Raw(b'{"iterationCount":2}')
    assert ("one", "inner") not in rows.task_runs


def test_variables_that_tasks_set_show_until_they_are_taken_out(rows: Rows) -> None:
    first = e.VariablesSet({"place": '{"city":"Oslo"}', "count": "3"})
    fold(rows, batch(5, first, e.VariablesSet({"count": "4"}, ("place", "never"))))

    assert rows.executions["one"].document.variables == {"count": msgspec.Raw(b"4")}


def test_the_ends_of_many_executions_are_counted_while_they_run(rows: Rows) -> None:
    # given
    outputs = Payload(json='{"numberOfBatches":5}')
    fold(rows, batch(5, e.TaskRunCreated("items", "each_items")))
    document = rows.task_runs["one", "items"].document

    def shown() -> object:
        return msgspec.json.decode(document.outputs)["iterations"]

    # when, then
    fold(rows, batch(6, e.FanOutStarted("items", 1, 5, outputs), e.ItemsStarted("items", 0, 5)))
    assert shown() == {"CREATED": 0, "RUNNING": 5}
    fold(rows, batch(8, e.ItemEnded("items", 3, "SUCCESS"), e.ItemEnded("items", 0, "FAILED")))
    assert shown() == {"CREATED": 0, "RUNNING": 3, "SUCCESS": 1, "FAILED": 1}
    fold(rows, batch(10, e.ItemsLeft("items", "KILLING", 0, 4, 3)))
    assert shown() == {"CREATED": 0, "RUNNING": 0, "SUCCESS": 1, "FAILED": 1, "KILLING": 3}
    fold(rows, batch(11, e.ItemsRestarted("items", "FAILED", 0, 0, 1)))
    assert shown() == {"CREATED": 0, "RUNNING": 1, "SUCCESS": 1, "KILLING": 3}
    assert msgspec.json.decode(document.outputs)["numberOfBatches"] == 5
    assert len(attempts(document)) == 1
