"""`customer-context worker`: the worker alone, as one process or several."""

import asyncio
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Annotated

import structlog
import typer

from worker.cli.context import env_file_of, kafka_of, settings_of
from worker.cli.errors import CommandFailed
from worker.cli.output import write_log
from worker.doctor.machine import unbindable
from worker.engine.exits import ENDS_WITHIN_S, ExitCode, die, stop_before_the_start
from worker.processes.crew import crew
from worker.processes.place import Place, decode
from worker.settings import ConfigurationError, Settings

log = structlog.get_logger(__name__)


def register(app: typer.Typer) -> None:
    """Add `worker` to the console script."""
    app.command(
        "worker", epilog="Example: CUSTOMER_CONTEXT_BOOTSTRAP_SERVERS=kafka:9092 customer-context worker"
    )(worker)


def worker(
    context: typer.Context,
    processes: Annotated[
        str | None,
        typer.Option(
            metavar="N",
            help="How many processes to run, which share WEB_PORT; auto: one for each core. Default: PROCESSES.",
        ),
    ] = None,
    stop_with_stdin: Annotated[
        bool, typer.Option("--stop-with-stdin", hidden=True, help="Stop when standard input ends.")
    ] = False,
    process: Annotated[
        int | None,
        typer.Option(
            hidden=True,
            help="Run this process of a worker. Its place is the first line of standard input, and it stops when that ends.",
        ),
    ] = None,
) -> None:
    """Run a worker against the configured Kafka until SIGTERM or Ctrl-C.

    Without BOOTSTRAP_SERVERS it uses the embedded Kafka that runs on DATA_DIR, or starts one that ends with it.
    """
    signal.signal(signal.SIGTERM, stop_before_the_start)
    settings = settings_of(context, **({} if processes is None else {"processes": processes}))
    place = None if process is None else _given_place()
    several = place is None and settings.processes > 1
    for port in settings.ports if several else (settings.own_port(process),):
        _check_port(settings, port, "WEB_PORT")
    if several and settings.metrics_port is not None:
        _check_port(settings, settings.metrics_port, "METRICS_PORT")
    if stop_with_stdin or place is not None:
        threading.Thread(target=_stop_when_stdin_ends, daemon=True).start()
    with kafka_of(settings) as bootstrap:
        if several:
            code = asyncio.run(_run_several(settings, bootstrap, env_file_of(context)))
        else:
            code = _run_one(settings, bootstrap, place)
    raise typer.Exit(code)


def _check_port(settings: Settings, port: int, name: str) -> None:
    """Raise CommandFailed if the port cannot be bound. Faust would say it with a traceback, after it has joined the group.

    name: of the setting.
    """
    unbound = unbindable(settings.web_host, port, name)
    if unbound is not None:
        raise CommandFailed(f"{unbound.what} {unbound.advice}")


def _run_one(settings: Settings, bootstrap: str, place: Place | None) -> int:
    """Run a worker in this process. Returns its exit code."""
    # Here, because they bring Faust in, which no other command needs.
    from worker.app.run import run
    from worker.engine.patches.guard import UnknownVersion
    from worker.wire.rules_file import RulesFileError

    try:
        return run(settings, bootstrap, place)
    except RulesFileError as error:
        raise ConfigurationError(str(error)) from error
    except UnknownVersion as error:
        raise CommandFailed(str(error)) from error


async def _run_several(settings: Settings, bootstrap: str, env_file: Path | None) -> int:
    """Run the processes of a worker under a supervisor. Returns its exit code."""
    given = {
        "BOOTSTRAP_SERVERS": bootstrap,
        "LOG_FORMAT": settings.log_format or ("console" if sys.stderr.isatty() else "json"),
    }
    async with crew(settings, given, env_file, write_log, _process_ended) as (supervisor, url):
        log.info("processes start", url=url, processes=settings.processes)
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, supervisor.stop)
        return await supervisor.run()


def _process_ended(number: int, code: int, pause_s: float) -> None:
    log.error("a process has ended and is started again", process=number, exit_code=code, pause_s=pause_s)


def _given_place() -> Place:
    """The place that the supervisor writes first."""
    line = sys.stdin.buffer.readline()
    if not line:  # the supervisor has gone
        raise SystemExit(0)
    return decode(line)


def _stop_when_stdin_ends(ends_within_s: float = ENDS_WITHIN_S) -> None:
    """Wait until standard input ends, and stop this process. End it at once if it has not ended in time."""
    while os.read(sys.stdin.fileno(), 1_024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(ends_within_s)
    die(ExitCode.SHUTDOWN_DEADLINE, "standard input has ended, and shutdown took too long")
