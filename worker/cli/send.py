"""`customer-context send`: produces commands and events from JSON lines."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

from worker.cli.context import bootstrap_of, catalogue_of, settings_of
from worker.cli.errors import CommandFailed
from worker.cli.line_source import Line, numbered_lines
from worker.cli.output import emit, flush, json_line, say, stderr
from worker.cli.running import run
from worker.cli.sending import Outcome, Sending
from worker.kafka.admin import topic_names
from worker.kafka.producer import producing
from worker.kafka.reader import TopicReader, reading
from worker.settings import Settings


class _Result(msgspec.Struct, rename="camel"):
    command_id: str
    customer_id: str
    outcome: str


_read_result = msgspec.json.Decoder(_Result).decode


def register(app: typer.Typer) -> None:
    """Add `send` to the console script."""
    app.command(
        "send",
        epilog="Examples: customer-context send orders.jsonl · cat commands.jsonl | customer-context send --wait",
    )(send)


def send(
    context: typer.Context,
    file: Annotated[
        Path | None,
        typer.Argument(help="A file of JSON lines. Without it, or with -, standard input is read."),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Print each command's result. Exit with 1 if one was rejected.")
    ] = False,
    timeout: Annotated[
        float,
        typer.Option(
            min=0.1, metavar="SECONDS", help="With --wait: give up after this many seconds without a result."
        ),
    ] = 30.0,
) -> None:
    """Produce commands and events from lines of JSON, plain or as CloudEvents.

    One field tells what a line is. A command has a commandType, a return has a returnId. A payment has a paymentId, an
    order has a totalAmount. The key is the customerId, or the orderId for a payment without a customerId. A line of no
    known kind is reported by its number. The other lines are sent, and the exit code is 1.
    """
    settings = settings_of(context)
    bootstrap = bootstrap_of(settings)
    with _opened(file) as descriptor:
        outcome = Outcome()
        try:
            run(_send(settings, bootstrap, descriptor, outcome, timeout if wait else None))
        finally:
            counts = ", ".join(f"{count} to {topic}" for topic, count in sorted(outcome.sent.items()))
            say(f"Sent {outcome.sent.total()}{': ' if counts else '.'}{counts}")
    if not outcome.good:
        raise typer.Exit(1)


@contextmanager
def _opened(file: Path | None) -> Iterator[int]:
    """The descriptor to read lines from. Raises CommandFailed."""
    if file is None or str(file) == "-":
        if sys.stdin is None:
            raise CommandFailed("Standard input is closed; name a FILE, or send the lines through a pipe.")
        if sys.stdin.isatty():
            say("Lines are read from the terminal; Ctrl-D ends them.")
        yield sys.stdin.fileno()
        return
    try:
        stream = file.open("rb")
    except OSError as error:
        raise CommandFailed(f"{file} cannot be read: {error.strerror}.") from error
    with stream:
        yield stream.fileno()


async def _send(
    settings: Settings, bootstrap: str, descriptor: int, outcome: Outcome, patience_s: float | None
) -> None:
    client = settings.kafka_client(bootstrap)
    catalogue = catalogue_of(settings)
    existing = await topic_names(client)
    async with AsyncExitStack() as stack:
        results: TopicReader | None = None
        if patience_s is not None:  # from before the first command, or its result would be missed
            every_partition = range(catalogue.partitions)
            results = await stack.enter_async_context(
                reading(client, [catalogue.results.name], every_partition, from_beginning=False)
            )
        producer = await stack.enter_async_context(producing(client))
        progress = stack.enter_context(_progress())
        sending = Sending(producer, catalogue, outcome, progress, existing, waits=results is not None)
        async with _results(results, outcome, progress, patience_s) as printing:
            async for lines in _lines(descriptor):
                await sending.send(lines)
                if printing.done():
                    break  # whoever reads the results has gone
            await sending.finish()


async def _lines(descriptor: int) -> AsyncIterator[list[Line]]:
    try:
        async for lines in numbered_lines(descriptor):
            yield lines
    except OSError as error:
        raise CommandFailed(f"The input cannot be read: {error.strerror}.") from error


def _progress() -> Progress:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    return Progress(*columns, console=stderr, transient=True, disable=not stderr.is_terminal)


@asynccontextmanager
async def _results(
    reader: TopicReader | None, outcome: Outcome, progress: Progress, patience_s: float | None
) -> AsyncIterator[asyncio.Future[None]]:
    """Print results while lines are sent; none without a reader. The block ends when no result is missing."""
    sent_all = asyncio.Event()
    if reader is None or patience_s is None:
        yield asyncio.get_running_loop().create_future()
        return
    printing = asyncio.create_task(_print_results(reader, outcome, progress, patience_s, sent_all))
    try:
        yield printing
        sent_all.set()
        await printing
    finally:
        printing.cancel()
        await asyncio.gather(printing, return_exceptions=True)


async def _print_results(
    reader: TopicReader, outcome: Outcome, progress: Progress, patience_s: float, sent_all: asyncio.Event
) -> None:
    task = progress.add_task("results", total=None)
    last = time.monotonic()
    async for records in reader.follow():
        for record in records:
            if _is_awaited(record.value, outcome):
                emit(json_line(record.value))
                progress.advance(task)
                last = time.monotonic()
        flush()
        if not sent_all.is_set():
            last = time.monotonic()
        elif not outcome.awaited:
            return
        elif time.monotonic() - last > patience_s:
            waiting = outcome.awaited.total()
            say(f"No result of {waiting} commands after {patience_s:g} s; is a worker running?", style="red")
            return


def _is_awaited(value: bytes | None, outcome: Outcome) -> bool:
    """Whether this is the result of a command that was sent; counts it."""
    try:
        result = _read_result(value or b"")
    except msgspec.DecodeError:
        return False  # nothing that the worker wrote
    if not outcome.answered((result.customer_id, result.command_id)):
        return False
    outcome.rejected += result.outcome != "APPLIED"
    return True
