"""The state of an execution, as far as deciding needs it.

Everything here follows from the events alone. Histories and finished attempts are kept by the
read model; what stands here is what `process` and `advance` look at, so that memory per task run
stays small. Structures are persistent: an older state is never changed by a newer one, so a
dropped Step costs nothing.
"""

from __future__ import annotations

import msgspec
from immutables import Map

from tiercel_engine.execution.fan_out_state import FanOut
from tiercel_schemas.common import Breakpoint, Label, LoopRun, Payload, ReplyTo
from tiercel_schemas.state import SEVERITY, State, is_terminated

#: (parent task run id, or "" for the flow itself; branch): one list of tasks that runs.
BlockKey = tuple[str, str]

#: Between the name of a list and the number of a time through it: "tasks#3".
ITERATION_MARK = "#"

#: In the place of a branch, what a task run itself is asked for once it may: to begin, `runIf` and
#: all; or to start its next attempt, or to open.
BEGIN = "?begin"
START = "?start"

NO_PAYLOAD = Payload()
#: `Execution.slot` of one that has the slot that it asked for.
HELD = "HELD"


class TaskRun(msgspec.Struct, frozen=True, gc=False):
    """One run of one task.

    Attributes:
        parent_id: the flowable's task run that it belongs to, "" for the flow itself.
        branch: which list of the parent: tasks, errors, finally ...
        value: value of the nearest each.
        path: values of all eaches around it, outermost first.
        attempt: attempts submitted so far; the newest attempt's number.
        epoch: lease of the newest attempt.
        worker_id: who holds the lease; None while no worker has started it.
        submitted_us: when the newest job was sent.
        first_started_us: start of the first attempt.
        ended_us: end of the newest attempt.
        due_us: while RETRYING, when the next attempt is due; while PAUSED, when it goes on by
            itself; while a loop waits, when it goes round again.
        after_pause: while PAUSED, what it becomes at `due_us`; once resumed, what it goes on as:
            RUNNING, or the state that it ends with. None: it never paused.
        child_id: the execution that its newest attempt started and waits for.
        started_us: when it did; for a loop, when it first went round.
        loop_id: the nearest loop around it, "" for none.
        interrupts_as: a task inside has failed, the others are stopped and end in this state.
        is_session: a worker has opened a folder for the tasks inside, and waits for them.
        folder_state: how that folder was closed; None: it is open, or never was.
        next_iteration: while a loop waits, which time comes next.
    """

    id: str
    task_id: str
    parent_id: str
    branch: str
    state: str
    created_us: int
    value: str | None = None
    iteration: int | None = None
    path: tuple[str, ...] = ()
    attempt: int = 0
    epoch: int = 0
    worker_id: str | None = None
    submitted_us: int = 0
    first_started_us: int | None = None
    ended_us: int | None = None
    due_us: int | None = None
    after_pause: str | None = None
    child_id: str | None = None
    started_us: int = 0
    loop_id: str = ""
    next_iteration: int = 0
    interrupts_as: str | None = None
    is_session: bool = False
    folder_state: str | None = None
    outputs: Payload | None = None

    def block_keys(self) -> tuple[BlockKey, ...]:
        """The lists that count it: its own, and all times through that list together."""
        branch, mark, _ = self.branch.partition(ITERATION_MARK)
        if mark:
            return (self.parent_id, branch), (self.parent_id, self.branch)
        return ((self.parent_id, branch),)

    @property
    def is_leased(self) -> bool:
        """Whether a job for its newest attempt is out, started or not."""
        return self.submitted_us > 0


class Block(msgspec.Struct, frozen=True, gc=False):
    """Counters over the task runs of one list of tasks.

    Attributes:
        created: task runs made.
        live: those that have not ended.
        failed, killed, cancelled, warned: those in these states now.
        iterations: times through the list that have begun, when it is gone through many times.
        last_id: the newest task run.
    """

    created: int = 0
    live: int = 0
    failed: int = 0
    killed: int = 0
    cancelled: int = 0
    warned: int = 0
    iterations: int = 0
    last_id: str = ""

    @property
    def is_broken(self) -> bool:
        """Whether nothing new of the list starts any more."""
        return bool(self.failed or self.killed or self.cancelled)

    def worst(self) -> str:
        """What the list ends with: its worst member."""
        if self.killed:
            return State.KILLED
        if self.cancelled:
            return State.CANCELLED
        if self.failed:
            return State.FAILED
        if self.warned:
            return State.WARNING
        return State.SUCCESS


EMPTY_BLOCK = Block()

#: Which counter of its block a task run's state feeds.
COUNTERS = {
    State.FAILED: "failed",
    State.KILLED: "killed",
    State.CANCELLED: "cancelled",
    State.WARNING: "warned",
}


class Evaluation(msgspec.Struct, frozen=True, gc=False):
    """A template that is out to a worker. It has a lease, as the newest attempt of a run has.

    Attributes:
        id: its owner: a task run, or "" for the flow itself.
        epoch: its lease.
        template: JSON: the template, or a map or list of them.
        typed: whether a single print keeps its type.
        asked: what the owner is asked for once the answer is there.
        scope: variables to render with, when they are not the owner's.
        opens_secrets: whether sealed inputs are opened for it.
        submitted_us: when the newest job was sent.
        worker_id: who holds the lease; None while no worker has started it.
    """

    id: str
    epoch: int
    template: str
    typed: bool
    asked: str
    scope: Payload | None
    opens_secrets: bool
    submitted_us: int
    worker_id: str | None = None
    attempt: int = 0

    @property
    def is_leased(self) -> bool:
        return True

    @property
    def key(self) -> str:
        """Under which its answer is found."""
        return answer_key(self.template, self.typed)


class Evaluated(msgspec.Struct, frozen=True, gc=False):
    """What a template gave, or why it gave nothing. `is_secret`: it must stand in no log."""

    value: Payload | None
    error: str | None
    is_secret: bool = False


def answer_key(template: str, typed: bool) -> str:
    """`template`: as JSON."""
    return f"{'typed' if typed else 'text'} {template}"


#: Failures of its task runs that an execution remembers, the newest ones, and characters of each.
ERRORS_MAX = 50
ERROR_CHARS_MAX = 2_048


class ErrorLine(msgspec.Struct, frozen=True, gc=False):
    """Why an attempt, or a flowable, failed."""

    task_run_id: str
    attempt: int
    at_us: int
    message: str
    task_id: str = ""
    value: str | None = None


class Execution(msgspec.Struct, frozen=True, gc=False):
    """One execution. `sequence` is the number of its last event; 0 means that it does not exist.

    Attributes:
        task_runs: by id.
        blocks: counters per list of tasks.
        runs_of_task: task id -> newest task run id.
        valued_runs: task id -> path of each values -> newest task run id with that path.
        values: flowable's task run id -> the values that it goes through.
        leased: task runs with a job out; "" for one of the flow itself.
        evaluations: templates that are out to workers, by owner.
        evaluated: owner -> `answer_key` -> what its templates gave.
        retrying: task runs that wait for their next attempt.
        paused: task runs that wait to be resumed.
        waiting: task runs that wait for an execution that they started, or to go round again.
        members: task run id of a loop, or of what may stop its tasks -> task runs inside (a loop's:
            of its present time), without those of an inner one of these.
        fan_outs: task run id -> the many executions that it starts.
        loop: which time through a Loop of its flow it is.
        reply_to: the task run that waits for this execution's end.
        depth: how many executions are around it, each started by a task of the next.
        variables: those that tasks have set: name -> JSON text, None for one that was taken out.
            The flow's own show through where there is none.
        exit: a task ended the execution: once nothing runs, it ends in this state.
        ended_us: when it took its final state.
        after: lists of the flow that are to follow the end; none once they have.
        breakpoints: tasks that it is suspended before.
        slot: ASKED or HELD, when its flow limits how many run at once.
        deadlines: promises of the flow that have a time, and when that is, microseconds.
        violated: promises of the flow that it has broken.
        is_held: somebody paused the execution, or a breakpoint suspends it: nothing starts, even
            what is due.
        original_created_us: when the first of a chain was created; None: this is it.
        awaits_copy: the task runs that it takes over are still on their way.
        is_deleted: nobody is to see it any more.
        unasked: lists a member of which ended while nothing could start, or for which one command
            had no room; they are asked when the execution goes on.
        errors: the last failures of its task runs, at most `ERRORS_MAX`.
    """

    id: str
    sequence: int = 0
    tenant: str = "main"
    namespace: str = ""
    flow_id: str = ""
    flow_revision: int = 0
    state: str = ""
    created_us: int = 0
    inputs: Payload = NO_PAYLOAD
    labels: tuple[Label, ...] = ()
    trigger: Payload = NO_PAYLOAD
    parent_id: str | None = None
    original_id: str = ""
    scheduled_us: int | None = None
    kind: str = "NORMAL"
    trace_parent: str | None = None
    attempt_number: int = 1
    original_created_us: int | None = None
    awaits_copy: bool = False
    is_deleted: bool = False
    outputs: Payload | None = None
    task_runs: Map[str, TaskRun] = Map()
    blocks: Map[BlockKey, Block] = Map()
    runs_of_task: Map[str, str] = Map()
    valued_runs: Map[str, Map[tuple[str, ...], str]] = Map()
    values: Map[str, tuple[str, ...]] = Map()
    leased: Map[str, None] = Map()
    evaluations: Map[str, Evaluation] = Map()
    evaluated: Map[str, Map[str, Evaluated]] = Map()
    retrying: Map[str, None] = Map()
    paused: Map[str, None] = Map()
    waiting: Map[str, None] = Map()
    members: Map[str, Map[str, None]] = Map()
    unasked: Map[BlockKey, None] = Map()
    errors: tuple[ErrorLine, ...] = ()
    variables: Map[str, str | None] = Map()
    exit: str = ""
    ended_us: int | None = None
    after: tuple[str, ...] = ()
    fan_outs: Map[str, FanOut] = Map()
    slot: str = ""
    breakpoints: tuple[Breakpoint, ...] = ()
    deadlines: tuple[tuple[str, int], ...] = ()
    violated: tuple[str, ...] = ()
    is_held: bool = False
    reply_to: ReplyTo | None = None
    loop: LoopRun | None = None
    depth: int = 0

    @property
    def exists(self) -> bool:
        return self.sequence > 0

    @property
    def is_ended(self) -> bool:
        """Whether its state is final. Tasks may follow even so; see `is_over`."""
        return is_terminated(self.state)

    @property
    def goes_on(self) -> bool:
        """Whether something of it may start."""
        if self.state in (State.RUNNING, State.RETRYING):
            return not self.exit
        return self.is_closing

    @property
    def is_closing(self) -> bool:
        """Whether it has ended, and tasks run that follow its end."""
        return bool(self.after) and self.is_ended

    @property
    def is_over(self) -> bool:
        """Whether it has ended, and what followed its end, too."""
        return self.is_ended and not self.after

    @property
    def is_idle(self) -> bool:
        """Whether nothing of it would go on by itself, but for paused task runs."""
        return not (self.is_active or self.retrying)

    @property
    def is_active(self) -> bool:
        """Whether an attempt of it is under way."""
        return bool(self.leased or self.waiting)

    def lease(self, run_id: str) -> TaskRun | Evaluation | None:
        """What the job is for that is out for a task run, or for the flow itself.

        On the way to workers and back the execution's id stands for the flow.
        """
        run_id = "" if run_id == self.id else run_id
        return self.evaluations.get(run_id) or self.task_runs.get(run_id)

    def runs_in_order(self) -> list[TaskRun]:
        """Every task run in the order of creation, which persistent maps do not keep."""
        return [self.task_runs[run_id] for run_id in sorted(self.task_runs)]

    def breaks_before(self, task_id: str, value: str | None) -> bool:
        """Whether a run of a task is not to begin by itself. What follows the end always is."""
        return not self.is_closing and any(
            one.task_id == task_id and (one.value is None or one.value == value)
            for one in self.breakpoints
        )

    def block(self, parent_id: str, branch: str) -> Block:
        """The counters of one list of tasks."""
        return self.blocks.get((parent_id, branch), EMPTY_BLOCK)


def severity(state: str) -> int:
    """How bad a final state is, for comparing."""
    return SEVERITY.get(State(state), 0)
