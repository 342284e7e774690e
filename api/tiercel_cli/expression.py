"""`tiercel expression`: eval, list.

The language is imported when an expression is evaluated here and not before: it brings the data
of its dates and locales, which would make every other command slower.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from tiercel_cli.options import SERVER_DEFAULT, Json, Server, connect, examples
from tiercel_cli.output import (
    ExitCode,
    print_error,
    print_json,
    print_line,
    print_note,
    print_table,
)
from tiercel_engine.clock import SystemClock, to_datetime

app = typer.Typer(help="Expressions: eval, list.", no_args_is_help=True)

#: Seconds that one expression may take offline.
RENDER_S = 30.0
#: What is shown of a text that differs.
SHOWN_CHARS_MAX = 2_000

Expression = Annotated[
    str | None,
    typer.Argument(metavar="EXPRESSION", help="The expression; - reads standard input."),
]
Execution = Annotated[
    str | None, typer.Option(help="Id of an execution on the server: with its variables.")
]
TaskRun = Annotated[
    str | None, typer.Option(help="Id of a task run of it: as that task sees them.")
]
Variables = Annotated[
    Path | None,
    typer.Option(exists=True, dir_okay=False, help="JSON file of variables, without a server."),
]
Batch = Annotated[
    Path | None,
    typer.Option(
        exists=True, dir_okay=False, help="File of expressions with known answers, to check."
    ),
]


@app.command(
    "eval",
    epilog=examples(
        "tiercel expression eval '{{ 1 + 2 }}'",
        "tiercel expression eval '{{ inputs.name | upper }}' --variables variables.json",
        "tiercel expression eval '{{ outputs.count.lines }}' --execution 3mSiK5vGbTnOwb6LQ0pWYd",
        "tiercel expression eval --batch cases.jsonl",
    ),
)
def evaluate(
    expression: Expression = None,
    execution: Execution = None,
    task_run: TaskRun = None,
    variables: Variables = None,
    batch: Batch = None,
    server: Server = SERVER_DEFAULT,
    as_json: Json = False,
) -> None:
    """Show what an expression gives: value, type, the variables in reach. Exit code 1: nothing.

    With --batch: check a file of expressions, print those that differ and a count. Exit code 1
    when any differs.
    """
    _check_usage(expression, execution, task_run, variables, batch)
    if batch is not None:
        raise typer.Exit(_run_batch(batch, as_json))
    assert expression is not None
    template = sys.stdin.read() if expression == "-" else expression
    if execution is not None:
        answer = connect(server).evaluate(execution, template, task_run)
    else:
        answer = _offline(template, {} if variables is None else _read_object(variables))
    if as_json:
        print_json(answer)
    else:
        _print_answer(answer)
    raise typer.Exit(ExitCode.FAILED if "error" in answer else ExitCode.OK)


@app.command("list", epilog=examples("tiercel expression list", "tiercel expression list upper"))
def list_names(
    part: Annotated[
        str, typer.Argument(metavar="[PART]", help="Only names that hold this.", show_default=False)
    ] = "",
    as_json: Json = False,
) -> None:
    """List the functions, filters and tests of the language."""
    from tiercel_engine.expression.library import LOADED
    from tiercel_engine.expression.table import REQUIRED, TABLE

    assert LOADED, "importing the library fills the table of names"
    rows: list[dict[str, Any]] = [
        {
            "kind": row.kind,
            "name": row.name,
            "parameters": [
                {"name": p.name, "required": p.default is REQUIRED} for p in row.parameters
            ],
            "doc": row.doc,
        }
        for _, row in sorted(TABLE.items(), key=lambda item: (item[0][0], item[0][1].lower()))
        if part.lower() in row.name.lower()
    ]
    if as_json:
        print_json(rows)
        return
    print_table(("KIND", "NAME", "MEANING"), [(r["kind"], _signature(r), r["doc"]) for r in rows])


def _signature(row: dict[str, Any]) -> str:
    names = [p["name"] if p["required"] else f"{p['name']}?" for p in row["parameters"]]
    return f"{row['name']}({', '.join(names)})" if names else str(row["name"])


def _check_usage(
    expression: str | None,
    execution: str | None,
    task_run: str | None,
    variables: Path | None,
    batch: Path | None,
) -> None:
    if sum(source is not None for source in (execution, variables, batch)) > 1:
        raise typer.BadParameter("Expected one of --execution, --variables and --batch.")
    if task_run is not None and execution is None:
        raise typer.BadParameter("Expected --execution beside it.", param_hint="--task-run")
    if (expression is None) == (batch is None):
        raise typer.BadParameter("Expected an expression, or --batch FILE, and not both.")


def _read_object(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except ValueError as error:
        raise typer.BadParameter(f"{path}: {error}", param_hint="--variables") from None
    if not isinstance(value, dict):
        raise typer.BadParameter(f"Expected a JSON object in {path}.", param_hint="--variables")
    return value


def _offline(template: str, variables: dict[str, Any]) -> dict[str, Any]:
    """The same answer as the server's, from here."""
    from tiercel_api.evaluation import evaluate as evaluated
    from tiercel_api.evaluation import explained
    from tiercel_engine.expression.context import RenderContext
    from tiercel_engine.sandbox.jq import JqSandbox

    clock = SystemClock()
    deadline_us = clock.now_us() + int(RENDER_S * 1_000_000)
    context = RenderContext(
        now=lambda: to_datetime(clock.now_us()),
        rng=random.SystemRandom(),
        expired=lambda: clock.now_us() > deadline_us,
        run_jq=JqSandbox(),
    )
    return explained(evaluated(template, variables, context), variables)


def _print_answer(answer: dict[str, Any]) -> None:
    """The value on standard output; all that is about it on standard error."""
    if "error" in answer:
        print_error(answer["error"])
        if answer.get("stackTrace"):
            print_note(answer["stackTrace"])
    else:
        typer.echo(answer["result"])
        print_note(f"type: {answer['type']}")
    if answer.get("note"):
        print_note(answer["note"])
    if answer["variables"]:
        print_note("variables in reach:")
        width = max(len(row["name"]) for row in answer["variables"])
        for row in answer["variables"]:
            print_note(f"  {row['name']:<{width}}  {row['type']}")


def _run_batch(path: Path, as_json: bool) -> ExitCode:
    from tiercel_cli.expression_cases import check, read_cases

    passed = 0
    failed: list[dict[str, Any]] = []
    with path.open("rb") as lines:
        for case in read_cases(lines):
            outcome = check(case)
            if outcome.holds:
                passed += 1
                continue
            failed.append(
                {
                    "line": case.line,
                    "template": case.template,
                    "expected": outcome.expected,
                    "got": outcome.got,
                }
            )
            if not as_json:
                _print_difference(path, failed[-1])
    if as_json:
        print_json({"passed": passed, "failed": len(failed), "differing": failed})
    else:
        print_line(f"{passed} passed, {len(failed)} failed")
    return ExitCode.FAILED if failed else ExitCode.OK


def _print_difference(path: Path, row: dict[str, Any]) -> None:
    print_line(Text(f"{path}:{row['line']}: {row['template']}", style="bold"))
    for name in ("expected", "got"):
        print_line(f"  {name + ':':<9} {str(row[name])[:SHOWN_CHARS_MAX]}")
