"""`customer-context events`: prints published events."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated

import typer
from aiokafka import ConsumerRecord

from worker.cli.context import bootstrap_of, catalogue_of, settings_of
from worker.cli.event_lines import customer_of, pretty
from worker.cli.output import Screen, emit, flush, json_line
from worker.cli.running import run
from worker.kafka.reader import partition_of, reading
from worker.settings import Settings


def register(app: typer.Typer) -> None:
    """Add `events` to the console script."""
    app.command(
        "events",
        epilog="Examples: customer-context events --follow · customer-context events --customer c-1 --json",
    )(events)


def events(
    context: typer.Context,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Print each event as it is published, until Ctrl-C.")
    ] = False,
    customer: Annotated[str | None, typer.Option(metavar="ID", help="Only this customer's events.")] = None,
    from_beginning: Annotated[
        bool,
        typer.Option("--from-beginning", help="With --follow: start with the oldest event in the topic."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON lines, on a terminal too.")] = False,
) -> None:
    """Print committed events, in order per customer.

    Without --follow, it prints all events in the topic and exits. With --follow, it prints those that come from now on.
    A terminal gets readable lines; a pipe, or --json, gets the event's JSON.
    """
    settings = settings_of(context)
    bootstrap = bootstrap_of(settings)
    with suppress(KeyboardInterrupt):
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
    screen = Screen()
    raw = as_json or not screen.is_terminal
    client = settings.kafka_client(bootstrap)
    async with reading(client, [catalogue.events.name], partitions, from_beginning=oldest) as reader:
        async for records in reader.follow() if follow else reader.to_the_end():
            for record in records:
                if record.value is not None and customer in (None, customer_of(record.key)):
                    _print_one(record, screen, raw=raw)
            flush()


def _print_one(record: ConsumerRecord, screen: Screen, *, raw: bool) -> None:
    if raw:
        emit(json_line(record.value))
    else:
        screen.print(pretty(record.value), no_wrap=True, overflow="ellipsis")
