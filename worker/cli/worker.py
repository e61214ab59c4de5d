"""`customer-context worker`: the worker alone."""

import os
import signal
import sys
import threading
from typing import Annotated

import typer

from worker.cli.context import kafka_of, settings_of
from worker.cli.errors import CommandFailed
from worker.doctor.machine import unbindable
from worker.settings import ConfigurationError


def register(app: typer.Typer) -> None:
    """Add `worker` to the console script."""
    app.command(
        "worker", epilog="Example: CUSTOMER_CONTEXT_BOOTSTRAP_SERVERS=kafka:9092 customer-context worker"
    )(worker)


def worker(
    context: typer.Context,
    stop_with_stdin: Annotated[
        bool, typer.Option("--stop-with-stdin", hidden=True, help="Stop when standard input ends.")
    ] = False,
) -> None:
    """Run one worker against the configured Kafka until SIGTERM or Ctrl-C.

    Without BOOTSTRAP_SERVERS it uses the embedded Kafka that runs on DATA_DIR, or starts one that ends with it.
    """
    signal.signal(signal.SIGTERM, _stop_before_the_start)
    settings = settings_of(context)
    unbound = unbindable(settings.web_host, settings.web_port, "WEB_PORT")
    if unbound is not None:  # Faust would say it with a traceback, after it has joined the group
        raise CommandFailed(f"{unbound.what} {unbound.advice}")
    if stop_with_stdin:
        threading.Thread(target=_stop_when_stdin_ends, daemon=True).start()
    # Here, because they bring Faust in, which no other command needs.
    from worker.app.run import run
    from worker.engine.patches.guard import UnknownVersion
    from worker.wire.rules_file import RulesFileError

    try:
        with kafka_of(settings) as bootstrap:
            code = run(settings, bootstrap)
    except RulesFileError as error:
        raise ConfigurationError(str(error)) from error
    except UnknownVersion as error:
        raise CommandFailed(str(error)) from error
    raise typer.Exit(code)


def _stop_before_the_start(_signal: int, _frame: object) -> None:
    """End at a signal. Before Faust has handlers of its own, nothing has to be finished."""
    raise SystemExit(0)


def _stop_when_stdin_ends() -> None:
    while os.read(sys.stdin.fileno(), 1_024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
