"""The command line `tiercel`: its commands, and what each error means for the exit code."""

from __future__ import annotations

import signal
import sys
from contextlib import suppress
from typing import Annotated

import typer

from tiercel_cli import (
    account,
    dashboard,
    dead_letters,
    execution_verbs,
    expression,
    flow,
    namespace_files,
    pairs,
    plugins,
    service,
    trigger,
)
from tiercel_cli.client import ServerRefused, ServerUnreachable
from tiercel_cli.kafka_broker import LocalBroker
from tiercel_cli.options import examples
from tiercel_cli.output import ExitCode, print_error, print_line
from tiercel_cli.roles import add_role_commands, rebuild_index
from tiercel_engine.errors import TiercelError

EXIT_CODES = """Exit codes:

  0  done, or the execution ended SUCCESS or WARNING

  1  the execution ended FAILED, a flow or an expression does not hold, a server stopped on an
  error

  2  the command line, a local file or a setting does not hold

  3  the execution ended KILLED or CANCELLED

  4  no server answers

  5  the server refused

  130  Ctrl-C"""

app = typer.Typer(
    name="tiercel",
    help="Tiercel runs workflows written as YAML flows; the log is the truth.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)
index_app = typer.Typer(help="The read model.", no_args_is_help=True)
dev_app = typer.Typer(help="Tools for developers.", no_args_is_help=True)
add_role_commands(app)
app.add_typer(flow.app, name="flow")
app.add_typer(execution_verbs.executions, name="execution")
app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(trigger.app, name="trigger")
app.add_typer(dashboard.app, name="dashboard")
app.add_typer(pairs.app, name="kv")
app.add_typer(namespace_files.app, name="files")
app.add_typer(account.user_app, name="user")
app.add_typer(account.token_app, name="token")
app.add_typer(expression.app, name="expression")
app.add_typer(plugins.app, name="plugins")
app.add_typer(service.app, name="service")
app.add_typer(index_app, name="index")
app.add_typer(dev_app, name="dev")


index_app.command(
    "rebuild",
    epilog=examples(
        "tiercel index rebuild --data .tiercel",
        "tiercel index rebuild --kafka localhost:9092 --database postgresql://db/tiercel",
    ),
)(rebuild_index)


@dev_app.command(epilog=examples("tiercel dev kafka", "tiercel server --kafka localhost:9092"))
def kafka(
    port: Annotated[int, typer.Option(help="Port of the broker.")] = 9092,
) -> None:
    """Run a Kafka broker on this machine until Ctrl-C, with nothing installed by hand."""
    # SIGTERM ends it as Ctrl-C does: the broker must not outlive this command.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt), LocalBroker(port=port) as broker:
        print_line(f"Kafka at {broker.bootstrap}. Ctrl-C stops it and drops what it holds.")
        broker.wait()


def main() -> None:
    """Run the command line; exit with an `ExitCode`."""
    try:
        app()
    except ServerUnreachable as error:
        print_error(str(error))
        sys.exit(ExitCode.UNREACHABLE)
    except ServerRefused as error:
        print_error(str(error))
        sys.exit(ExitCode.REFUSED)
    except TiercelError as error:
        print_error(str(error))
        sys.exit(ExitCode.USAGE)


if __name__ == "__main__":
    main()
