"""`customer-context send`: produces commands and events from JSON lines."""

import sys
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

from worker.cli.context import bootstrap_of, catalogue_of, settings_of, stderr
from worker.cli.errors import CommandFailed
from worker.cli.line_source import numbered_lines
from worker.cli.running import run
from worker.cli.sending import Outcome, Sending
from worker.producing import producing
from worker.settings import Settings
from worker.topic_reader import TopicReader, reading


class _Result(msgspec.Struct, rename="camel"):
    command_id: str
    customer_id: str
    outcome: str


_read_result = msgspec.json.Decoder(_Result).decode


def register(app: typer.Typer) -> None:
    app.command(
        "send",
        epilog="Examples: customer-context send orders.jsonl · cat commands.jsonl | customer-context send --wait",
    )(send)


def send(
    context: typer.Context,
    file: Annotated[
        Path | None, typer.Argument(help="JSON lines; without it, or with -, standard input.")
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Print each command's result; exit 1 when one was rejected.")
    ] = False,
    timeout: Annotated[
        float,
        typer.Option(
            min=0.1, metavar="SECONDS", help="With --wait: give up when no result came for so long."
        ),
    ] = 30.0,
) -> None:
    """Produce commands and events, one JSON object a line, plain or as CloudEvents.

    A line is a command when it has a commandType, a return when it has a returnId, a payment when it has a paymentId,
    an order when it has a totalAmount. Each goes to its topic under its customerId (a payment without one under its
    orderId). A line that cannot be told apart is reported by its number, the others are sent, and the exit code is 1.
    """
    settings = settings_of(context)
    bootstrap = bootstrap_of(settings)
    with _opened(file) as descriptor:
        outcome = run(_send(settings, bootstrap, descriptor, timeout if wait else None))
    counts = ", ".join(f"{count} to {topic}" for topic, count in sorted(outcome.sent.items()))
    stderr.print(f"Sent {outcome.sent.total()}{': ' if counts else '.'}{counts}", markup=False)
    if not outcome.good:
        raise typer.Exit(1)


@contextmanager
def _opened(file: Path | None) -> Iterator[int]:
    if file is None or str(file) == "-":
        yield sys.stdin.fileno()
        return
    try:
        with file.open("rb") as stream:
            yield stream.fileno()
    except OSError as error:
        raise CommandFailed(f"{file} cannot be read: {error.strerror}.") from error


async def _send(settings: Settings, bootstrap: str, descriptor: int, patience_s: float | None) -> Outcome:
    client = settings.kafka_client(bootstrap)
    catalogue = catalogue_of(settings)
    outcome = Outcome()
    async with AsyncExitStack() as stack:
        results: TopicReader | None = None
        if patience_s is not None:  # from before the first command, or its result would be missed
            every_partition = range(catalogue.partitions)
            results = await stack.enter_async_context(
                reading(client, [catalogue.results.name], every_partition, from_beginning=False)
            )
        producer = await stack.enter_async_context(producing(client))
        progress = stack.enter_context(_progress())
        sending = Sending(producer, catalogue, outcome, progress, waits=results is not None)
        async for lines in numbered_lines(descriptor):
            await sending.send(lines)
        await sending.finish()
        if results is not None and patience_s is not None:
            await _print_results(results, outcome, progress, patience_s)
    return outcome


def _progress() -> Progress:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    return Progress(*columns, console=stderr, transient=True, disable=not stderr.is_terminal)


async def _print_results(
    reader: TopicReader, outcome: Outcome, progress: Progress, patience_s: float
) -> None:
    task = progress.add_task("results", total=outcome.awaited.total())
    last = time.monotonic()
    if not outcome.awaited.total():
        return
    async for records in reader.follow():
        for record in records:
            result = _read_result(record.value)
            if outcome.awaited[result.customer_id, result.command_id] > 0:
                outcome.awaited[result.customer_id, result.command_id] -= 1
                outcome.rejected += result.outcome != "APPLIED"
                typer.echo(record.value.decode())
                progress.advance(task)
                last = time.monotonic()
        if not outcome.awaited.total():
            return
        if time.monotonic() - last > patience_s:
            waiting = outcome.awaited.total()
            stderr.print(
                f"No result of {waiting} commands after {patience_s:g} s; is a worker running?", style="red"
            )
            return
