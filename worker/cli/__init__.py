"""The console script `customer-context`.

Rules:
- Results go to standard output, everything else to standard error.
- Exit codes: 0 done; 1 failed or rejected; 2 wrong usage or settings; 130 after Ctrl-C; 141 if the reader of a pipe has
  gone, as after SIGPIPE. A worker that ends itself has the engine's codes (worker.engine.exits).
- An expected failure is one sentence, never a traceback.
"""

import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from aiokafka.errors import KafkaError
from typer.core import TyperGroup
from typer.exceptions import TyperException

from worker import release
from worker.broker import BrokerError
from worker.cli.errors import CommandFailed
from worker.cli.output import OutputFailed, ReaderGone, emit, flush, say
from worker.engine import patches
from worker.kafka.admin import TopicError
from worker.kafka.reader import NoSuchTopic
from worker.observability.logs import safe_text
from worker.settings import PREFIX, ConfigurationError

FAILED, WRONG_USAGE, READER_GONE = 1, 2, 141

_COMMANDS = (
    "demo",
    "worker",
    "broker",
    "topics",
    "send",
    "events",
    "dead-letters",
    "inputs-lost",
    "verify",
    "doctor",
    "explain",
    "what-if",
)
_MARKUP: Final = "markdown"


class _Commands(TyperGroup):
    """The console's commands. Only the module of the command is imported, because all together take seconds."""

    def list_commands(self, _: Any) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, context: Any, name: str) -> Any:
        if name not in _COMMANDS:
            self.commands.update((each, self.get_command(context, each)) for each in _COMMANDS)  # to suggest
        elif name not in self.commands:
            alone = typer.Typer(rich_markup_mode=_MARKUP)
            import_module(f"{__name__}.{name.replace('-', '_')}").register(alone)
            self.commands.update(typer.main.get_group(alone).commands)
        return self.commands.get(name)


app = typer.Typer(
    cls=_Commands,
    name="customer-context",
    help="Customers, reward points and membership levels, kept exactly once from Kafka topics.",
    epilog="Settings are environment variables with the prefix CUSTOMER_CONTEXT_, or a file of them (--env-file).",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=_MARKUP,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        emit(f"{release.NAME} {release.version()} ({release.commit()})")
        raise typer.Exit


@app.callback()
def customer_context(
    context: typer.Context,
    env_file: Annotated[
        Path | None,
        typer.Option(
            "--env-file",
            metavar="FILE",
            help="Also read settings from this file. Environment variables override it.",
        ),
    ] = None,
    _version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_print_version,
            is_eager=True,
            help="Print the release and the commit, and exit.",
        ),
    ] = False,
) -> None:
    """Run before every command: keep --env-file for it, and install the patches that Kafka clients need."""
    context.obj = env_file
    patches.install_clients()


def main() -> None:
    """Run the command of sys.argv; the entry point of the console script."""
    _open_closed_outputs()
    try:
        code = _ended()
        flush()
    except ReaderGone:
        code = READER_GONE
        _discard(sys.stdout.fileno(), sys.stderr.fileno())
    except OutputFailed as error:
        code = FAILED
        _discard(sys.stdout.fileno())
        say(str(error), style="red")
    sys.exit(code)


def _ended() -> int:
    """Run the command and report what went wrong. Returns the exit code."""
    try:
        return app(standalone_mode=False) or 0
    except TyperException as error:
        return _wrong_usage(error)
    except ConfigurationError as error:
        say(str(error), style="red")
        return WRONG_USAGE
    except (CommandFailed, BrokerError, TopicError, NoSuchTopic) as error:
        say(str(error), style="red")
    except KafkaError as error:
        say(
            f"Kafka cannot be reached or refused: {safe_text(error)}. Are {PREFIX}BOOTSTRAP_SERVERS, user and password "
            "right? `customer-context doctor` looks for the cause.",
            style="red",
        )
    return FAILED


def _wrong_usage(error: TyperException) -> int:
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else app.info.name
    if error.message:  # without one it has printed the help
        say(f"{error.format_message()}\n`{command} --help` lists its arguments and options.", style="red")
    return WRONG_USAGE


def _open_closed_outputs() -> None:
    """Give a process that was started with a closed standard output or error a place to write to."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115 - for as long as the process lives
        getattr(sys, name).reconfigure(errors="backslashreplace")  # for what a terminal's encoding lacks


def _discard(*descriptors: int) -> None:
    """Discard buffered output that nobody reads. Python would try to write it at its end."""
    for descriptor in descriptors:
        os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
