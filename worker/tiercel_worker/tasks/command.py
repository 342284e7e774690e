"""What all tasks have that run commands and scripts.

Commands run as processes of the worker, with its rights: only trusted flows belong on a worker.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import msgspec
from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from tiercel_engine.errors import TaskError
from tiercel_engine.plugin.base import RunnableTask, TaskResult
from tiercel_engine.plugin.context import RunContext
from tiercel_schemas.state import State
from tiercel_worker.task_runner import files
from tiercel_worker.task_runner.process import follow
from tiercel_worker.task_runner.protocol import Printed
from tiercel_worker.task_runner.spawner import SPAWNER, Child

PROCESS = "io.kestra.plugin.core.runner.Process"
#: A command of more bytes than one argument can hold is run from a file.
ARGUMENT_BYTES_MAX = 100_000
#: Variables of the worker that commands do not see: its settings and its secrets.
PRIVATE_PREFIXES = ("TIERCEL_", "SECRET_")


class ScriptOutput(BaseModel):
    """What a command leaves.

    Attributes:
        exit_code: of the command.
        vars: outputs that it printed as `::{"outputs": {…}}::`.
        output_files: name -> kestra:/// address.
    """

    model_config = ConfigDict(populate_by_name=True)

    exit_code: int = Field(alias="exitCode")
    vars: dict[str, Any]
    output_files: dict[str, str] = Field(alias="outputFiles")


class CommandTask(RunnableTask):
    """The properties that all command and script tasks have.

    `taskRunner`: `{type: io.kestra.plugin.core.runner.Process}`, which is what runs when nothing
    is said. `beforeCommands` run first, in the same shell. `interpreter` gets the commands as one
    text. `failFast` stops at the first failing command. `env`, `inputFiles` (name: content or
    address), `namespaceFiles` (enabled, include, exclude, namespaces), `outputFiles` (globs).
    `warningOnStdErr`: a line on stderr makes the state WARNING.
    """

    OUTPUTS: ClassVar[type[BaseModel] | None] = ScriptOutput
    #: Whether a line on stderr makes a WARNING where neither author nor dialect say.
    WARNS: ClassVar[bool] = False

    task_runner: dict[str, Any] | None = Field(None, alias="taskRunner")
    runner: str | None = None
    docker: dict[str, Any] | None = Field(
        None, validation_alias=AliasChoices("docker", "dockerOptions")
    )
    container_image: str | None = Field(None, alias="containerImage")
    before_commands: list[str] | str | None = Field(None, alias="beforeCommands")
    interpreter: list[str] | str = Field(["/bin/sh", "-c"])
    fail_fast: bool | str = Field(True, alias="failFast")
    env: dict[str, Any] | str | None = None
    input_files: dict[str, Any] | str | None = Field(None, alias="inputFiles")
    output_files: list[str] | str | None = Field(
        None, validation_alias=AliasChoices("outputFiles", "outputsFiles", "output_files")
    )
    namespace_files: dict[str, Any] | None = Field(None, alias="namespaceFiles")
    output_directory: bool | None = Field(None, alias="outputDirectory")
    warning_on_std_err: bool | None = Field(None, alias="warningOnStdErr")
    target_os: str | None = Field(None, alias="targetOS")

    def lines(self, context: RunContext, folder: Path) -> list[str]:
        """The commands to run after `beforeCommands`, rendered."""
        raise NotImplementedError

    def run(self, context: RunContext) -> TaskResult:
        self._check_runner()
        folder = context.working_directory()
        (folder / files.OUTPUTS).mkdir()
        files.write_namespace_files(context, self.namespace_files, folder)
        files.write_inputs(context, self.input_files, folder)
        (folder / files.CONTEXT_FILE).write_bytes(msgspec.json.encode(plain(context.variables)))
        text = self._text(context, folder)
        printed = Printed(context)
        child = self._start(context, text, folder, self._environment(context, folder))
        code = follow(child, printed.take, context)
        if context.is_cancelled():
            raise TaskError("The command was stopped.")
        if code != 0:
            raise TaskError(f"Command failed with exit code {code}")
        globs = [render(context, glob, folder) for glob in as_list(context, self.output_files)]
        output = ScriptOutput(
            exitCode=code,
            vars=printed.vars,
            outputFiles=files.collect_outputs(context, globs, folder),
        )
        warned = printed.error_lines > 0 and self._warns(context)
        return TaskResult(output, State.WARNING if warned else State.SUCCESS)

    def _check_runner(self) -> None:
        asked = self.runner or str((self.task_runner or {}).get("type", PROCESS))
        if not (asked.upper() == "PROCESS" or asked.endswith(".Process")):
            raise TaskError(
                f"Expected a command for a local process, but its runner is {asked}. This version"
                f" runs no containers: set `taskRunner: {{type: {PROCESS}}}`."
            )

    def _start(
        self, context: RunContext, text: str, folder: Path, environment: Mapping[str, str]
    ) -> Child:
        """Start the commands. `text`: all of them, with what runs before."""
        return SPAWNER.start_command(self._command(context, text, folder), folder, environment)

    def _text(self, context: RunContext, folder: Path) -> str:
        before = [render(context, line, folder) for line in as_list(context, self.before_commands)]
        text = "\n".join([*before, *self.lines(context, folder)])
        if context.render(self.fail_fast) == "true":
            text = "set -e\n" + text
        return files.localized(context, text, folder)

    def _command(self, context: RunContext, text: str, folder: Path) -> list[str]:
        interpreter = [context.render(part) for part in as_list(context, self.interpreter)]
        if len(text.encode()) > ARGUMENT_BYTES_MAX and interpreter[-1:] == ["-c"]:
            path = folder / f"{files.SCRIPT_STEM}.sh"
            path.write_text(text)
            return [*interpreter[:-1], str(path)]
        return [*interpreter, text]

    def _environment(self, context: RunContext, folder: Path) -> dict[str, str]:
        own = {k: v for k, v in os.environ.items() if not k.startswith(PRIVATE_PREFIXES)}
        own["WORKING_DIR"] = str(folder)
        own["OUTPUT_DIR"] = str(folder / files.OUTPUTS)
        given = context.render_value(self.env) if isinstance(self.env, str) else self.env
        if isinstance(given, str):
            given = msgspec.json.decode(given)
        for name, value in (given or {}).items():
            if value is not None:
                own[context.render(name)] = render(context, value, folder)
        return own

    def _warns(self, context: RunContext) -> bool:
        if self.warning_on_std_err is not None:
            return self.warning_on_std_err
        return self.WARNS or context.dialect.stderr_warns


def render(context: RunContext, template: Any, folder: Path) -> str:
    """Text of a template that may also ask for its folders."""
    folders = {"workingDir": str(folder), "outputDir": str(folder / files.OUTPUTS)}
    return context.render(template, folders)


def as_list(context: RunContext, value: list[str] | str | None) -> list[str]:
    """A list of templates; one text may be a template that gives the list."""
    if value is None:
        return []
    if isinstance(value, list):
        return value
    given = context.render_value(value) if "{{" in value else value
    if isinstance(given, str) and given.lstrip().startswith("["):
        try:
            given = msgspec.json.decode(given)
        except msgspec.DecodeError:
            return [given]  # A command may start with a bracket.
    return [str(part) for part in given] if isinstance(given, list) else [str(given)]


def plain(value: Any) -> Any:
    """The variables with everything behind claim checks fetched."""
    if isinstance(value, dict) or hasattr(value, "items"):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value
