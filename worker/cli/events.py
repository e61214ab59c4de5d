"""`customer-context events`: prints published events."""

import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated

import typer
from aiokafka import ConsumerRecord
from rich.console import Console

from worker.cli.context import bootstrap_of, catalogue_of, settings_of
from worker.cli.event_lines import customer_of, pretty
from worker.cli.running import run
from worker.settings import Settings
from worker.topic_reader import partition_of, reading


def register(app: typer.Typer) -> None:
    app.command(
        "events",
        epilog="Examples: customer-context events --follow · customer-context events --customer c-1 --json",
    )(events)


def events(
    context: typer.Context,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what is published from now on, until Ctrl-C.")
    ] = False,
    customer: Annotated[str | None, typer.Option(metavar="ID", help="Only this customer's events.")] = None,
    from_beginning: Annotated[
        bool,
        typer.Option("--from-beginning", help="With --follow: start with the oldest event that is kept."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="JSON lines on a terminal too.")] = False,
) -> None:
    """Print published events, in order per customer; only what is committed.

    Without --follow: everything that is kept up to now, then the end. With --follow: what is published from now on.
    On a terminal a line for people, in a pipe or with --json the event as it stands on the topic.
    """
    settings = settings_of(context)
    bootstrap = bootstrap_of(settings)
    with suppress(KeyboardInterrupt, BrokenPipeError):
        run(
            _print(
                settings,
                bootstrap,
                customer,
                follow=follow,
                oldest=from_beginning or not follow,
                as_json=as_json,
            )
        )


async def _print(
    settings: Settings, bootstrap: str, customer: str | None, *, follow: bool, oldest: bool, as_json: bool
) -> None:
    catalogue = catalogue_of(settings)
    count = catalogue.partitions
    partitions: Sequence[int] = range(count) if customer is None else [partition_of(customer, count)]
    console = Console(highlight=False)
    raw = as_json or not console.is_terminal
    client = settings.kafka_client(bootstrap)
    async with reading(client, [catalogue.events.name], partitions, from_beginning=oldest) as reader:
        async for records in reader.follow() if follow else reader.to_the_end():
            for record in records:
                if record.value is not None and customer in (None, customer_of(record.key)):
                    _print_one(record, console, raw=raw)
            sys.stdout.flush()


def _print_one(record: ConsumerRecord, console: Console, *, raw: bool) -> None:
    if raw:
        sys.stdout.buffer.write(record.value + b"\n")
    else:
        console.print(pretty(record.value), no_wrap=True, overflow="ellipsis")
