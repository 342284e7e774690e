"""Tasks that run Python."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from pydantic import AliasChoices, Field

from tiercel_engine.plugin.context import RunContext
from tiercel_worker.task_runner import files
from tiercel_worker.task_runner.spawner import SPAWNER, Child
from tiercel_worker.tasks.command import CommandTask, as_list, render

#: Variables that an interpreter reads when it starts, and one that has started does not.
EARLY_PREFIXES = ("PYTHON", "LD_", "MALLOC_")
SCRIPT = f"{files.SCRIPT_STEM}.py"


class PythonTask(CommandTask):
    """What Python tasks have.

    `dependencies` are installed by pip before the commands run, into an environment of this
    attempt alone that also sees the packages of the worker's own Python.
    """

    dependencies: list[str] | str | None = Field(
        None, validation_alias=AliasChoices("dependencies", "requirements")
    )

    def _environment(self, context: RunContext, folder: Path) -> dict[str, str]:
        # What a script prints is seen at once.
        return {"PYTHONUNBUFFERED": "1", **super()._environment(context, folder)}

    def installs(self, context: RunContext, folder: Path) -> list[str]:
        """The commands that install what the task depends on."""
        names = [render(context, name, folder) for name in as_list(context, self.dependencies)]
        if not names:
            return []
        environment = f"{folder}/{files.OWN_PREFIX}venv"
        return [
            shlex.join([sys.executable, "-m", "venv", "--system-site-packages", environment]),
            f". {shlex.quote(environment)}/bin/activate",
            shlex.join(["pip", "install", "--quiet", *names]),
        ]


class PythonCommands(PythonTask):
    """Run commands that use Python, such as a module or a file.

    Properties: `commands`, `dependencies` (names for pip), and those of every command task.
    Outputs: `exitCode`, `vars`, `outputFiles`.

    Example:
        ```yaml
        id: squares
        namespace: docs.tasks
        tasks:
          - id: compute
            type: io.kestra.plugin.scripts.python.Commands
            inputFiles:
              main.py: |
                print([n * n for n in range(4)])
            commands:
              - python3 main.py
        ```
    """

    TYPE: ClassVar[str] = "io.kestra.plugin.scripts.python.Commands"

    commands: list[str] | str

    def lines(self, context: RunContext, folder: Path) -> list[str]:
        commands = [render(context, line, folder) for line in as_list(context, self.commands)]
        return [*self.installs(context, folder), *commands]


class PythonScript(PythonTask):
    """Run a Python script.

    Properties: `script`, its text, `dependencies` (names for pip), and those of every command
    task. It runs with the worker's own Python; use `python.Commands` for another one.
    Outputs: `exitCode`, `vars`, `outputFiles`.

    Example:
        ```yaml
        id: primes
        namespace: docs.tasks
        tasks:
          - id: find
            type: io.kestra.plugin.scripts.python.Script
            script: |
              import json
              primes = [n for n in range(2, 20) if all(n % d for d in range(2, n))]
              print("::" + json.dumps({"outputs": {"primes": primes}}) + "::")
        ```
    """

    TYPE: ClassVar[str] = "io.kestra.plugin.scripts.python.Script"

    script: str

    def lines(self, context: RunContext, folder: Path) -> list[str]:
        path = folder / SCRIPT
        path.write_text(files.localized(context, render(context, self.script, folder), folder))
        installs = self.installs(context, folder)
        return [*installs, shlex.join(["python" if installs else sys.executable, str(path)])]

    def _start(
        self, context: RunContext, text: str, folder: Path, environment: Mapping[str, str]
    ) -> Child:
        if self._is_warm():
            return SPAWNER.start_script(folder / SCRIPT, folder, environment)
        return super()._start(context, text, folder, environment)

    def _is_warm(self) -> bool:
        """Whether an interpreter that has started already can run it."""
        env = self.env or {}
        return (
            not self.dependencies
            and not self.before_commands
            and "interpreter" not in self.model_fields_set
            and not isinstance(env, str)
            and not any("{" in name or name.startswith(EARLY_PREFIXES) for name in env)
        )


class OldPython(PythonCommands):
    """Run Python; the oldest name of `python.Commands`: runs main.py of its input files.

    Properties and outputs: those of `io.kestra.plugin.scripts.python.Commands`, with
    `requirements` for `dependencies`.

    Example:
        ```yaml
        id: older
        namespace: docs.tasks
        tasks:
          - id: hello
            type: io.kestra.core.tasks.scripts.Python
            inputFiles:
              main.py: print("hello")
        ```
    """

    TYPE: ClassVar[str] = "io.kestra.core.tasks.scripts.Python"
    WARNS: ClassVar[bool] = True

    commands: list[str] | str = Field([shlex.join([sys.executable, "main.py"])])
