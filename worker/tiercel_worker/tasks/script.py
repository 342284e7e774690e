"""Tasks that run shell commands, and programs of Node.js."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import ClassVar

from pydantic import AliasChoices, Field

from tiercel_engine.plugin.context import RunContext
from tiercel_worker.task_runner import files
from tiercel_worker.tasks.command import CommandTask, as_list, render


class ShellCommands(CommandTask):
    """Run shell commands.

    Properties: `commands`, and those of every command task: taskRunner, beforeCommands,
    interpreter, failFast, env, inputFiles, outputFiles, warningOnStdErr. In templates
    `{{ workingDir }}` and `{{ outputDir }}` are folders; every file in the latter is kept.
    A kestra:/// address in a command becomes the path of a local copy.
    Outputs: `exitCode`, `vars`, `outputFiles`.

    Example:
        ```yaml
        id: count
        namespace: docs.tasks
        tasks:
          - id: lines
            type: io.kestra.plugin.scripts.shell.Commands
            inputFiles:
              names.txt: |
                Ada
                Grace
            outputFiles: ["*.sorted"]
            commands:
              - sort names.txt > names.sorted
              - echo '::{"outputs":{"count":2}}::'
        ```
    """

    TYPE: ClassVar[str] = "io.kestra.plugin.scripts.shell.Commands"

    commands: list[str] | str

    def lines(self, context: RunContext, folder: Path) -> list[str]:
        return [render(context, line, folder) for line in as_list(context, self.commands)]


class ShellScript(CommandTask):
    """Run a shell script.

    Properties: `script`, its text, and those of every command task. Outputs: `exitCode`, `vars`,
    `outputFiles`.

    Example:
        ```yaml
        id: weather
        namespace: docs.tasks
        tasks:
          - id: report
            type: io.kestra.plugin.scripts.shell.Script
            env:
              PLACE: Oslo
            script: |
              echo "It rains in $PLACE"
              echo '::{"metrics":[{"name":"drops","type":"counter","value":12}]}::'
        ```
    """

    TYPE: ClassVar[str] = "io.kestra.plugin.scripts.shell.Script"

    script: str

    def lines(self, context: RunContext, folder: Path) -> list[str]:
        return [render(context, self.script, folder)]


class NodeCommands(ShellCommands):
    """Run commands that use Node.js, which the worker's machine must have.

    Properties: `commands`, and those of every command task. Outputs: `exitCode`, `vars`,
    `outputFiles`.

    Example:
        ```yaml
        id: squares-js
        namespace: docs.tasks
        tasks:
          - id: compute
            type: io.kestra.plugin.scripts.node.Commands
            inputFiles:
              main.js: |
                console.log([0, 1, 2, 3].map((n) => n * n).join(" "))
            commands:
              - node main.js
        ```
    """

    TYPE: ClassVar[str] = "io.kestra.plugin.scripts.node.Commands"


class NodeScript(CommandTask):
    """Run a JavaScript with Node.js, which the worker's machine must have.

    Properties: `script`, its text, and those of every command task. Outputs: `exitCode`, `vars`,
    `outputFiles`.

    Example:
        ```yaml
        id: primes-js
        namespace: docs.tasks
        tasks:
          - id: find
            type: io.kestra.plugin.scripts.node.Script
            script: |
              const primes = [2, 3, 5, 7];
              console.log("::" + JSON.stringify({ outputs: { primes } }) + "::");
        ```
    """

    TYPE: ClassVar[str] = "io.kestra.plugin.scripts.node.Script"

    script: str

    def lines(self, context: RunContext, folder: Path) -> list[str]:
        path = folder / f"{files.SCRIPT_STEM}.js"
        path.write_text(files.localized(context, render(context, self.script, folder), folder))
        return [shlex.join(["node", str(path)])]


class OldNode(NodeCommands):
    """Run Node.js; the oldest name of `node.Commands`: runs main.js of its input files.

    Properties and outputs: those of `io.kestra.plugin.scripts.node.Commands`.

    Example:
        ```yaml
        id: older-js
        namespace: docs.tasks
        tasks:
          - id: hello
            type: io.kestra.core.tasks.scripts.Node
            inputFiles:
              main.js: console.log("hello")
        ```
    """

    TYPE: ClassVar[str] = "io.kestra.core.tasks.scripts.Node"
    WARNS: ClassVar[bool] = True

    commands: list[str] | str = Field(["node main.js"])


class OldBash(ShellCommands):
    """Run shell commands; the oldest name of `shell.Commands`, whose stderr means WARNING.

    Properties and outputs: those of `io.kestra.plugin.scripts.shell.Commands`.

    Example:
        ```yaml
        id: old
        namespace: docs.tasks
        tasks:
          - id: hello
            type: io.kestra.core.tasks.scripts.Bash
            commands:
              - echo hello
        ```
    """

    TYPE: ClassVar[str] = "io.kestra.core.tasks.scripts.Bash"
    WARNS: ClassVar[bool] = True

    interpreter: list[str] | str = Field(["/bin/sh"])
    interpreter_args: list[str] | str = Field(["-c"], alias="interpreterArgs")
    fail_fast: bool | str = Field(
        True, validation_alias=AliasChoices("failFast", "exitOnFailed", "fail_fast")
    )

    def _command(self, context: RunContext, text: str, folder: Path) -> list[str]:
        arguments = [context.render(part) for part in as_list(context, self.interpreter_args)]
        return [*super()._command(context, text, folder)[:-1], *arguments, text]
