"""Templates that a decision needs, rendered in the executor, or by a worker beforehand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from tiercel_engine.errors import InvalidExpression, UserError
from tiercel_engine.execution.model import Evaluated, answer_key
from tiercel_engine.execution.plan import ROOT, Plan
from tiercel_engine.execution.step import Step
from tiercel_engine.execution.templates import open_template
from tiercel_engine.execution.variables import flow_variables, job_variables
from tiercel_engine.execution.world import World
from tiercel_engine.expression.analysis import NOTHING, References, analyse
from tiercel_engine.expression.faults import Fault
from tiercel_engine.expression.operators import loosely_true
from tiercel_engine.expression.quick import BlockingExpression, QuickRenderer
from tiercel_engine.expression.text import json_text, output_text
from tiercel_engine.flow.task import Task
from tiercel_engine.plugin.dialects import expression_dialect
from tiercel_engine.plugin.flowables import Template
from tiercel_schemas.common import Payload

#: Where a value lies in storage, in the JSON text of variables.
CLAIM = b'"$claim":'
#: The one key of an answer that is kept encrypted; below it stands what `World.unseal` opens.
SEALED = "$sealed"
#: Of a template that goes to a worker, with variables of its own: it becomes part of an event.
SENT_CHARS_MAX = 200_000
#: What an error says in the place of its words, when they may hold a secret.
HIDDEN = "The value of an expression does not fit; it was made of a secret and is not shown here."


class NeedsWorker(Exception):
    """A worker has to render this first. Nothing was decided yet.

    Attributes:
        template: a template, or a map or list of them.
        typed: whether a single print keeps its type.
        opens_secrets: whether sealed inputs are opened for it.
        scope: the variables, when they are not those of whoever asks.
    """

    def __init__(
        self, template: Any, typed: bool, opens_secrets: bool, scope: Payload | None = None
    ) -> None:
        super().__init__(template)
        self.template, self.typed, self.scope = template, typed, scope
        self.opens_secrets = opens_secrets


class TemplateRendering:
    """Renders with the variables of one task run, or of the flow itself (`ROOT`).

    Variables are put together at the first template. Each method raises `NeedsWorker` for a
    template that reads the world, may run long, or needs values behind claim checks or sealed
    inputs, unless the state knows what it gave.

    Args:
        attempt: of the run, when it is not submitted yet.
        refers: what the flow's own templates refer to.
        opens_secrets: whether sealed inputs are needed open; they are passed on sealed otherwise.
    """

    def __init__(
        self,
        step: Step,
        plan: Plan,
        world: World,
        run_id: str,
        task: Task | None,
        attempt: int | None = None,
        opens_secrets: bool = True,
        refers: References = NOTHING,
    ) -> None:
        self._step, self._plan, self._world = step, plan, world
        self._run_id, self._task, self._attempt = run_id, task, attempt
        self._opens_secrets, self._refers = opens_secrets, refers
        self._variables: dict[str, Any] | None = None
        self._has_claims = False
        self._saw_secret = False

    def variables(self) -> dict[str, Any]:
        """What its templates see."""
        return self._all()

    def open_template(self, task: Template) -> None:
        """Put a template's tasks into the plan in hand. Raises TaskError: it cannot be."""
        open_template(self._step, self._plan, self._world, task)

    def text(self, template: str) -> str:
        return output_text(self._rendered(template, typed=False))

    def value(self, template: Any) -> Any:
        return self._rendered(template, typed=True)

    def truthy(self, template: Any) -> bool:
        if template is None:
            return False
        text = self.text(template) if isinstance(template, str) else output_text(template)
        return loosely_true(text)

    def value_in(self, template: Any, variables: dict[str, Any]) -> Any:
        """A template's value with other variables than those of the run."""
        known = self._answer(template, typed=True)
        if known is not None:
            return self._taken(known)
        try:
            return self._renderer().value(template, variables)
        except BlockingExpression:
            raise self._need(template, True, json_payload(variables)) from None

    def told(self, error: Exception) -> str:
        """The words of an error, unless a secret may be in them."""
        return HIDDEN if self._saw_secret else str(error)

    def _rendered(self, template: Any, *, typed: bool) -> Any:
        if isinstance(template, str) and "{" not in template:
            return template
        known = self._answer(template, typed=typed)
        if known is not None:
            return self._taken(known)
        variables = self._all()
        if self._must_leave(template):
            raise self._need(template, typed)
        renderer = self._renderer()
        render: Callable[..., Any] = renderer.value if typed else renderer.text
        try:
            return render(template, variables)
        except BlockingExpression:
            raise self._need(template, typed) from None

    def _renderer(self) -> QuickRenderer:
        return self._world.renderer.with_dialect(expression_dialect(self._plan.dialect))

    def _need(self, template: Any, typed: bool, scope: Payload | None = None) -> NeedsWorker:
        """Raises InvalidExpression: it is too large to be part of an event."""
        chars = len(msgspec.json.encode(template)) + len((scope and scope.json) or "")
        if chars > SENT_CHARS_MAX:
            raise InvalidExpression(
                f"Expected an expression that a worker renders for the executor to take at most "
                f"{SENT_CHARS_MAX} characters, but it takes {chars}: compute it in a task."
            )
        opens_secrets = self._opens_secrets and scope is None
        return NeedsWorker(template, typed, opens_secrets, scope)

    def _answer(self, template: Any, *, typed: bool) -> Evaluated | None:
        known = self._step.execution.evaluated.get(self._run_id)
        if known is None:
            return None
        return known.get(answer_key(msgspec.json.encode(template).decode(), typed))

    def _taken(self, answer: Evaluated) -> Any:
        self._saw_secret = self._saw_secret or answer.is_secret
        if answer.value is None:
            raise InvalidExpression(answer.error or "The expression gave nothing.")
        value = msgspec.json.decode(answer.value.json or "null")
        if answer.is_secret and isinstance(value, dict) and value.keys() == {SEALED}:
            return msgspec.json.decode(self._opened(value[SEALED]))
        return value

    def _opened(self, sealed: Mapping[str, Any]) -> str:
        if self._world.unseal is None:
            raise InvalidExpression(
                "Expected the executor to have the encryption_key of its workers, but it has none."
            )
        try:
            return self._world.unseal(sealed)
        except UserError as error:
            raise InvalidExpression(str(error)) from None

    def _must_leave(self, template: Any) -> bool:
        """Whether the template reads what only a worker can see."""
        if not self._has_claims and not (self._opens_secrets and self._plan.secret_inputs):
            return False
        refers = analyse(template)
        if self._has_claims and (refers.paths or refers.dynamic):
            return True
        return self._opens_secrets and self._plan.reads_secret(refers)

    def _all(self) -> dict[str, Any]:
        if self._variables is None:
            x = self._step.execution
            if self._task is None:
                variables = flow_variables(x, self._plan, self._refers)
            else:
                run = x.task_runs[self._run_id]
                if self._attempt is not None:
                    run = msgspec.structs.replace(run, attempt=self._attempt)
                refers = self._plan.references(self._task)
                variables = job_variables(x, self._plan, self._task, run, refers)
            text = msgspec.json.encode(variables)
            self._has_claims = CLAIM in text
            self._variables = msgspec.json.decode(text)
        assert self._variables is not None
        return self._variables


def flow_rendering(step: Step, plan: Plan, world: World, refers: References) -> TemplateRendering:
    """Renders what belongs to the flow itself. `refers`: what its templates refer to."""
    return TemplateRendering(step, plan, world, ROOT, None, refers=refers)


def json_payload(value: Any) -> Payload:
    """A rendered value as it goes into events; the language has numbers and dates of its own.

    Raises:
        InvalidExpression: it is nested too deeply, or too long.
    """
    try:
        return Payload(json=json_text(value))
    except Fault as fault:
        raise InvalidExpression(fault.message) from fault
