"""`customer-context send`: produces commands and events from JSON lines."""

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, BinaryIO

import msgspec
import typer
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

from worker.cli.context import bootstrap_of, catalogue_of, settings_of, stderr
from worker.cli.errors import CommandFailed
from worker.cli.lines import Addressed, UnknownLine, address
from worker.logs import safe_text
from worker.producing import producing
from worker.settings import Settings
from worker.topic_reader import TopicReader, reading
from worker.topics import Catalogue

_IN_FLIGHT = 1_000


@dataclass
class _Outcome:
    """What became of the lines. awaited: deliveries of (customerId, commandId) whose result is not there yet."""

    sent: Counter[str] = field(default_factory=Counter)
    unsent: int = 0
    rejected: int = 0
    awaited: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def good(self) -> bool:
        return not (self.unsent or self.rejected or self.awaited.total())


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
    stream = _open(file)
    try:
        outcome = asyncio.run(_send(settings, bootstrap, stream, timeout if wait else None))
    finally:
        stream.close()
    counts = ", ".join(f"{count} to {topic}" for topic, count in sorted(outcome.sent.items()))
    stderr.print(f"Sent {outcome.sent.total()}{': ' if counts else '.'}{counts}", markup=False)
    if not outcome.good:
        raise typer.Exit(1)


def _open(file: Path | None) -> BinaryIO:
    if file is None or str(file) == "-":
        return sys.stdin.buffer
    try:
        return file.open("rb")
    except OSError as error:
        raise CommandFailed(f"{file} cannot be read: {error.strerror}.") from error


async def _send(settings: Settings, bootstrap: str, stream: BinaryIO, patience_s: float | None) -> _Outcome:
    client = settings.kafka_client(bootstrap)
    catalogue = catalogue_of(settings)
    outcome = _Outcome()
    async with AsyncExitStack() as stack:
        results: TopicReader | None = None
        if patience_s is not None:  # from before the first command, or its result would be missed
            every_partition = range(catalogue.partitions)
            results = await stack.enter_async_context(
                reading(client, [catalogue.results.name], every_partition, from_beginning=False)
            )
        producer = await stack.enter_async_context(producing(client))
        progress = stack.enter_context(_progress())
        await _produce(producer, catalogue, stream, outcome, progress, waits=results is not None)
        if results is not None and patience_s is not None:
            await _print_results(results, outcome, progress, patience_s)
    return outcome


def _progress() -> Progress:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    return Progress(*columns, console=stderr, transient=True, disable=not stderr.is_terminal)


async def _produce(
    producer: AIOKafkaProducer,
    catalogue: Catalogue,
    stream: BinaryIO,
    outcome: _Outcome,
    progress: Progress,
    *,
    waits: bool,
) -> None:
    lines = _lines(stream)
    task = progress.add_task("sending", total=None)
    slots = asyncio.Semaphore(_IN_FLIGHT)

    async def deliver(number: int, message: Addressed) -> None:
        try:
            await producer.send_and_wait(message.topic.name, message.value, key=message.key.encode())
            outcome.sent[message.topic.name] += 1
            progress.advance(task)
        except KafkaError as error:
            _report(outcome, number, f"not sent: {safe_text(error)}")
            if message.command_id is not None and message.customer_id is not None and waits:
                outcome.awaited[message.customer_id, message.command_id] -= 1
        finally:
            slots.release()

    async with asyncio.TaskGroup() as deliveries:
        while (numbered := await asyncio.to_thread(next, lines, None)) is not None:
            number, line = numbered
            try:
                message = address(line, catalogue)
            except UnknownLine as error:
                _report(outcome, number, str(error))
                continue
            if waits and message.topic is catalogue.commands:
                if message.command_id is None or message.customer_id is None:
                    _report(outcome, number, "no commandId, so no result would come")
                    continue
                outcome.awaited[message.customer_id, message.command_id] += 1
            await slots.acquire()
            deliveries.create_task(deliver(number, message))


def _lines(stream: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Lines that are not blank with their number, from 1."""
    for number, line in enumerate(stream, start=1):
        text = line.strip()
        if text:
            yield number, text


def _report(outcome: _Outcome, number: int, why: str) -> None:
    outcome.unsent += 1
    stderr.print(f"line {number}: {why}", style="yellow", markup=False)


async def _print_results(
    reader: TopicReader, outcome: _Outcome, progress: Progress, patience_s: float
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
