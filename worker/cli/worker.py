"""`customer-context worker`: the worker alone."""

import os
import signal
import threading
import time
from typing import Annotated

import typer

from worker.cli.context import kafka_of, settings_of
from worker.cli.errors import CommandFailed
from worker.settings import ConfigurationError

_LOOK_EVERY_S = 0.5


def register(app: typer.Typer) -> None:
    app.command(
        "worker", epilog="Example: CUSTOMER_CONTEXT_BOOTSTRAP_SERVERS=kafka:9092 customer-context worker"
    )(worker)


def worker(
    context: typer.Context,
    with_parent: Annotated[
        bool,
        typer.Option(
            "--with-parent", "--stop-with-stdin", hidden=True, help="Stop when the parent process ends."
        ),
    ] = False,
) -> None:
    """Run one worker against the configured Kafka until SIGTERM or Ctrl-C.

    Without BOOTSTRAP_SERVERS it uses the embedded Kafka that runs on DATA_DIR, or starts one that ends with it.
    """
    settings = settings_of(context)
    if with_parent:
        threading.Thread(target=_stop_after, args=(os.getppid(),), daemon=True).start()
    # Here, because they bring Faust in, which no other command needs.
    from worker.app import run
    from worker.engine.guard import UnknownVersion
    from worker.wire.rules_file import RulesFileError

    try:
        with kafka_of(settings) as bootstrap:
            code = run(settings, bootstrap)
    except RulesFileError as error:
        raise ConfigurationError(str(error)) from error
    except UnknownVersion as error:
        raise CommandFailed(str(error)) from error
    raise typer.Exit(code)


def _stop_after(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK_EVERY_S)
    os.kill(os.getpid(), signal.SIGTERM)
