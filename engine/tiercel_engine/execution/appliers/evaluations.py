"""Events of templates that workers render for the executor."""

from __future__ import annotations

from immutables import Map
from msgspec.structs import replace

from tiercel_engine.execution.appliers.runs import dropped
from tiercel_engine.execution.model import Evaluated, Evaluation, Execution
from tiercel_schemas import events as e
from tiercel_schemas.state import State


def evaluation_submitted(x: Execution, event: e.EvaluationSubmitted, at_us: int) -> Execution:
    evaluation = Evaluation(
        id=event.task_run_id,
        epoch=event.epoch,
        template=event.template,
        typed=event.typed,
        asked=event.asked,
        scope=event.scope,
        opens_secrets=event.opens_secrets,
        submitted_us=at_us,
    )
    return replace(
        x,
        sequence=x.sequence + 1,
        evaluations=x.evaluations.set(evaluation.id, evaluation),
        leased=x.leased.set(evaluation.id, None),
    )


def evaluation_started(x: Execution, event: e.EvaluationStarted, at_us: int) -> Execution:
    held = replace(x.evaluations[event.task_run_id], worker_id=event.worker_id)
    return replace(x, sequence=x.sequence + 1, evaluations=x.evaluations.set(held.id, held))


def evaluation_ended(x: Execution, event: e.EvaluationEnded, at_us: int) -> Execution:
    evaluation = x.evaluations[event.task_run_id]
    evaluated, unasked = x.evaluated, x.unasked
    if event.value is not None or event.error is not None:
        known = evaluated.get(evaluation.id, Map())
        answer = Evaluated(event.value, event.error, event.secret)
        evaluated = evaluated.set(evaluation.id, known.set(evaluation.key, answer))
        if x.state in (State.PAUSED, State.BREAKPOINT):
            unasked = unasked.set((evaluation.id, evaluation.asked), None)
    return replace(
        x,
        sequence=x.sequence + 1,
        evaluations=x.evaluations.delete(evaluation.id),
        leased=dropped(x.leased, evaluation.id),
        evaluated=evaluated,
        unasked=unasked,
    )
