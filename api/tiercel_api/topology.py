"""A flow as a graph: nodes, edges and clusters as the topology view draws them.

Follows Kestra's shape: the flow and every flowable are a cluster with a start and an end node; a
flowable's own node stands between its start and its children. With an execution there is a node
per task run, so that each value of an each has its own. Uids are derived from the place in the
flow, so the same flow always gives the same graph.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from tiercel_engine.flow.model import Flow
from tiercel_engine.flow.task import Task
from tiercel_engine.plugin import flowables
from tiercel_engine.plugin.base import FlowableTask
from tiercel_engine.plugin.child_flows import Subflow
from tiercel_engine.repository.base import JsonObject
from tiercel_schemas.ids import derive_id

_JAVA = "io.kestra.core.models.hierarchies."
SEQUENTIAL, PARALLEL, DYNAMIC = "SEQUENTIAL", "PARALLEL", "DYNAMIC"
CHOICE, ERROR = "CHOICE", "ERROR"
#: Nodes of one graph; a larger one cannot be drawn anyway.
NODES_MAX = 20_000
_EACHES = (flowables.ForEach, flowables.EachSequential, flowables.EachParallel)

#: Finds the flow that a Subflow's node stands for: (uid, task, its task run) -> None: unopened.
Expand = Callable[[str, Task, JsonObject | None], Flow | None]


class TooManyNodes(ValueError):
    """The execution has more task runs than a graph can show."""


@dataclass(slots=True)
class Graph:
    """Nodes and edges in the order in which they are made."""

    nodes: list[JsonObject] = field(default_factory=list)
    edges: list[JsonObject] = field(default_factory=list)
    clusters: list[JsonObject] = field(default_factory=list)

    def add(self, node: JsonObject) -> None:
        if len(self.nodes) >= NODES_MAX:
            raise TooManyNodes(f"Expected at most {NODES_MAX} nodes, but there are more.")
        self.nodes.append(node)

    def link(self, source: str, target: str, kind: str = "", value: str | None = None) -> None:
        relation = {"relationType": kind} if kind else {}
        if value is not None:
            relation["value"] = value
        self.edges.append({"source": source, "target": target, "relation": relation})

    def document(self) -> JsonObject:
        """The graph as the API answers it."""
        return {"nodes": self.nodes, "edges": self.edges, "clusters": self.clusters}


@dataclass(slots=True)
class _Cluster:
    """The start, the end and what lies between: `inside` names the cluster's own nodes."""

    uid: str
    start: str
    end: str
    kind: str
    entry: str
    parents: tuple[str, ...]
    is_error: bool
    inside: list[str]


class _Runs:
    """Task runs of an execution by task and flowable around them."""

    def __init__(self, runs: Iterable[JsonObject]) -> None:
        self._runs: dict[tuple[str, str], list[JsonObject]] = defaultdict(list)
        self._by_id: dict[str, JsonObject] = {}
        for run in runs:
            self._runs[run["taskId"], run.get("parentTaskRunId") or ""].append(run)
            self._by_id[run["id"]] = run

    def of(self, task: Task, around: JsonObject | None) -> Sequence[JsonObject | None]:
        """The task's runs there; one None when there is none."""
        return self._runs.get((task.id, around["id"] if around else "")) or [None]

    def values(self, run: JsonObject) -> list[str]:
        """Values of the eaches around a run, its own last; a run inherits its nearest each's."""
        found: list[str] = []
        at: JsonObject | None = run
        while at is not None:
            value = at.get("value")
            if value is not None and (not found or found[0] != value):
                found.insert(0, value)
            at = self._by_id.get(at.get("parentTaskRunId") or "")
        return found


class _Drawing:
    def __init__(self, runs: _Runs | None, expand: Expand, outline: bool) -> None:
        self.graph = Graph()
        self._runs = runs
        self._expand = expand
        self._outline = outline

    # -- clusters ------------------------------------------------------------------------------

    def flow(self, flow: Flow, cluster: _Cluster) -> None:
        """Everything of a flow: triggers, tasks, error handlers and the like."""
        if flow.triggers:
            self._triggers(flow, cluster)
        self._list(cluster, flow.tasks, SEQUENTIAL, None)
        self._list(cluster, flow.errors, ERROR, None)
        self._list(cluster, flow.finally_, SEQUENTIAL, None)
        self._list(cluster, flow.after_execution, SEQUENTIAL, None)

    def open(
        self,
        uid: str,
        kind: str = "",
        around: _Cluster | None = None,
        is_error: bool = False,
    ) -> _Cluster:
        """A cluster with its two ends."""
        start, end = (f"{uid}.{derive_id(uid, name)}" for name in ("start", "end"))
        parents: tuple[str, ...] = ()
        if around is not None and around.parents is not None and around.uid != "root":
            parents = (*around.parents, f"cluster_{around.uid}")
        cluster = _Cluster(uid, start, end, kind, start, parents, is_error, [start, end])
        for one, name in ((start, "GraphClusterRoot"), (end, "GraphClusterEnd")):
            self.graph.add({"uid": one, "type": _JAVA + name, "error": is_error})
        return cluster

    def close(self, cluster: _Cluster, node: JsonObject | None, type_: str) -> None:
        """List a cluster among those of the graph."""
        outside: JsonObject = {"uid": f"cluster_{cluster.uid}", "type": _JAVA + type_}
        outside["error"] = cluster.is_error
        if cluster.kind:
            outside["relationType"] = cluster.kind
        if node is not None:
            outside["taskNode"] = node
        self.graph.clusters.append(
            {
                "cluster": outside,
                "nodes": cluster.inside,
                "parents": list(cluster.parents),
                "start": cluster.start,
                "end": cluster.end,
            }
        )

    def _triggers(self, flow: Flow, root: _Cluster) -> None:
        cluster = self.open(f"{root.uid}.Triggers", around=root)
        for written, trigger in zip(
            flow.properties.get("triggers") or (), flow.triggers, strict=False
        ):
            uid = f"{cluster.uid}.{trigger.id}"
            shown = {"id": trigger.id, "type": trigger.type} if self._outline else written
            declared = {"triggerDeclaration": shown, "uid": uid}
            self.graph.add({**declared, "type": _JAVA + "GraphTrigger", "error": False})
            cluster.inside.append(uid)
            self.graph.link(cluster.start, uid)
            self.graph.link(uid, cluster.end)
        self.graph.link(cluster.end, root.start)
        self.close(cluster, None, "GraphCluster")

    # -- lists of tasks ------------------------------------------------------------------------

    def _list(
        self,
        cluster: _Cluster,
        tasks: Sequence[Task],
        kind: str,
        around: JsonObject | None,
        value: str | None = None,
    ) -> None:
        """Draw a list of tasks behind the cluster's entry, and link its end."""
        previous, is_first = cluster.entry, True
        for task in tasks:
            is_last = task is tasks[-1]
            for run in self._of(task, around):
                start, end = self._task(task, run, cluster, kind)
                is_own = kind != ERROR and (is_first or PARALLEL in (kind, cluster.kind))
                relation = cluster.kind if is_own or cluster.kind == DYNAMIC else kind
                relation = ERROR if kind == ERROR else relation
                shown = value if run is None else run.get("value")
                self.graph.link(previous, start, relation, shown)
                if kind != PARALLEL:
                    previous = end
                if kind == PARALLEL or is_last:
                    self.graph.link(end, cluster.end)
                is_first = False

    def _of(self, task: Task, around: JsonObject | None) -> Sequence[JsonObject | None]:
        return [None] if self._runs is None else self._runs.of(task, around)

    def _task(
        self, task: Task, run: JsonObject | None, cluster: _Cluster, kind: str
    ) -> tuple[str, str]:
        """Draw a task; (where it is entered, where it is left)."""
        own_value = run.get("value") if run is not None and cluster.kind == DYNAMIC else None
        uid = f"{cluster.uid}.{task.id}" + (f"_{own_value}" if own_value is not None else "")
        is_error = cluster.is_error or kind == ERROR
        lists = task.child_lists()
        if isinstance(task, Subflow):
            return self._subflow(task, run, uid, cluster, is_error)
        if not isinstance(task, FlowableTask) or not any(lists.values()):
            self._node(task, run, uid, kind, is_error, "GraphTask")
            cluster.inside.append(uid)
            return uid, uid
        inner = self.open(uid, _kind(task), cluster, is_error)
        node = self._enter(task, run, inner, "GraphTask")
        self._children(task, run, inner, lists)
        self.close(inner, node, "GraphCluster")
        return inner.start, inner.end

    def _enter(self, task: Task, run: JsonObject | None, inner: _Cluster, type_: str) -> JsonObject:
        node = self._node(task, run, inner.uid, inner.kind, inner.is_error, type_)
        self.graph.link(inner.start, inner.uid)
        inner.inside.append(inner.uid)
        inner.entry = inner.uid
        return node

    def _children(
        self, task: Task, run: JsonObject | None, inner: _Cluster, lists: dict[str, list[Task]]
    ) -> None:
        ends = {name: lists[name] for name in ("errors", "finally") if name in lists}
        main = {name: tasks for name, tasks in lists.items() if name not in ends}
        if isinstance(task, flowables.Dag):
            self._dag(task, run, inner)
        elif inner.kind == CHOICE:
            for name, tasks in sorted(main.items(), key=lambda item: item[0] != "defaults"):
                label = name.partition(".")[2] or name
                self._list(inner, tasks, SEQUENTIAL, run, label)
        else:
            for tasks in main.values():
                self._list(inner, tasks, _inside(task), run)
        self._list(inner, ends.get("errors", ()), ERROR, run)
        self._list(inner, ends.get("finally", ()), SEQUENTIAL, run)

    def _dag(self, dag: flowables.Dag, run: JsonObject | None, inner: _Cluster) -> None:
        places: dict[str, tuple[str, str]] = {}
        needed = {name for member in dag.tasks for name in member.depends_on}
        for member in dag.tasks:
            (own, *_) = self._of(member.task, run)
            places[member.task.id] = self._task(member.task, own, inner, PARALLEL)
        for member in dag.tasks:
            start, end = places[member.task.id]
            if not member.depends_on:
                self.graph.link(inner.entry, start, PARALLEL)
            for name in member.depends_on:
                if name in places:
                    self.graph.link(places[name][1], start, PARALLEL)
            if member.task.id not in needed:
                self.graph.link(end, inner.end)

    def _subflow(
        self, task: Task, run: JsonObject | None, uid: str, cluster: _Cluster, is_error: bool
    ) -> tuple[str, str]:
        flow = self._expand(uid, task, run)
        if flow is None:
            self._node(task, run, uid, SEQUENTIAL, is_error, "SubflowGraphTask")
            cluster.inside.append(uid)
            return uid, uid
        inner = self.open(uid, SEQUENTIAL, cluster, is_error)
        node = self._enter(task, run, inner, "SubflowGraphTask")
        runs, self._runs = self._runs, None
        self.flow(flow, inner)
        self._runs = runs
        self.close(inner, node, "SubflowGraphCluster")
        return inner.start, inner.end

    def _node(
        self,
        task: Task,
        run: JsonObject | None,
        uid: str,
        kind: str,
        is_error: bool,
        type_: str,
    ) -> JsonObject:
        shown = {"id": task.id, "type": task.type} if self._outline else task.properties
        node: JsonObject = {"uid": uid, "type": _JAVA + type_, "error": is_error, "task": shown}
        if run is not None and self._runs is not None:
            node["taskRun"] = run
            node["values"] = self._runs.values(run)
        node["relationType"] = kind
        self.graph.add(node)
        return node


def _kind(task: Task) -> str:
    """How a flowable's children belong together."""
    if isinstance(task, _EACHES):
        return DYNAMIC
    if isinstance(task, flowables.If | flowables.Switch):
        return CHOICE
    if isinstance(task, flowables.Parallel | flowables.Dag):
        return PARALLEL
    return SEQUENTIAL


def _inside(task: Task) -> str:
    """How the tasks of a flowable's list follow each other."""
    if isinstance(task, flowables.ForEach):
        return SEQUENTIAL if task.concurrency_limit == 1 else PARALLEL
    if isinstance(task, flowables.Parallel | flowables.EachParallel):
        return PARALLEL
    return SEQUENTIAL


def draw(
    flow: Flow,
    runs: Iterable[JsonObject] | None = None,
    expand: Expand = lambda *_: None,
    outline: bool = False,
) -> JsonObject:
    """The graph of a flow, or of an execution of it.

    Args:
        runs: the execution's task runs; None: the flow alone.
        expand: which Subflows to open.
        outline: tasks and triggers show their id and type only.

    Raises:
        TooManyNodes: it cannot be drawn.
    """
    drawing = _Drawing(None if runs is None else _Runs(runs), expand, outline)
    root = drawing.open("root")
    drawing.flow(flow, root)
    return drawing.graph.document()
