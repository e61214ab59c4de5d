"""`customer-context topics`: creates and checks the topics."""

import json
import time
from collections.abc import Collection, Mapping
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

import tables
from worker.cli.context import bootstrap_of, catalogue_of, settings_of
from worker.cli.errors import CommandFailed
from worker.cli.output import Screen, emit, say, shown
from worker.cli.running import run
from worker.engine.isolation import ISOLATION
from worker.engine.unit import POSITIONS
from worker.kafka import acls
from worker.kafka.admin import TopicReport, check_topics, ensure_topics
from worker.kafka.topics import Catalogue, Topic
from worker.operations import lost_topics
from worker.operations.accepted_loss import accept
from worker.settings import ConfigurationError, Settings

_WIDE = 150


def all_topics(catalogue: Catalogue) -> tuple[Topic, ...]:
    """Every topic of an installation, with the changelogs of its tables."""
    needed = tables.needed(payment_join=catalogue.payment_join)
    return catalogue.all([table.name for table in (*needed, POSITIONS, ISOLATION)])


def register(app: typer.Typer) -> None:
    """Add `topics` to the console script."""
    app.command(
        "topics",
        epilog="Examples: customer-context topics --check --json · customer-context topics --print-acls",
    )(topics)


def topics(
    context: typer.Context,
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing. Exit with 1 if a topic is missing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    print_acls: Annotated[
        bool,
        typer.Option("--print-acls", help="Print the ACLs that a worker needs, without asking Kafka."),
    ] = False,
    accept_loss: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TOPIC",
            help="Go on after this input topic was lost: create it anew, and read it from its start.",
        ),
    ] = None,
    principal: Annotated[
        str | None,
        typer.Option(
            metavar="PRINCIPAL",
            help="With --print-acls: the principal to allow. Without it: User: and KAFKA_SASL_USERNAME.",
        ),
    ] = None,
) -> None:
    """Create the topics that are missing, and check the others.

    Another partition count than PARTITIONS is an error; another cleanup policy or retention is a warning.
    """
    settings = settings_of(context)
    wanted = all_topics(catalogue_of(settings))
    if print_acls:
        _print_acls(settings, wanted, principal, as_json=as_json)
        return
    if accept_loss:
        run(_accept_loss(settings, bootstrap_of(settings), wanted, accept_loss))
        return
    report = run(_report(settings, bootstrap_of(settings), wanted, check=check))
    if as_json:
        emit(json.dumps({name: list(getattr(report, name)) for name in report.__slots__}))
    else:
        screen = Screen()
        screen.print(_table(wanted, report, wide=screen.width >= _WIDE))
        for warning in report.warnings:
            say(f"Warning: {warning}", style="yellow")
    if report.missing:
        raise typer.Exit(1)


def _print_acls(
    settings: Settings, wanted: tuple[Topic, ...], principal: str | None, *, as_json: bool
) -> None:
    catalogue = catalogue_of(settings)
    lists = {
        "running": acls.running(catalogue, wanted),
        "replaying": acls.replaying(catalogue),
        "creating": acls.creating(wanted),
    }
    if as_json:
        emit(json.dumps({name: [asdict(acl) for acl in granted] for name, granted in lists.items()}))
        return
    whom = principal or f"User:{settings.kafka_sasl_username or settings.app_id}"
    bootstrap = settings.bootstrap_servers or "localhost:9092"
    heads = {
        "running": "# Every worker:",
        "replaying": "# Only for who lists and replays dead letters, operators and workers with a desk for it:",
        "creating": "# Only for the user that creates the topics. That is the worker's user, unless they exist:",
    }
    for name, head in heads.items():
        emit(head)
        for acl in lists[name]:
            emit(shown(acls.command(acl, bootstrap, whom)))


async def _report(
    settings: Settings, bootstrap: str, wanted: tuple[Topic, ...], *, check: bool
) -> TopicReport:
    client = settings.kafka_client(bootstrap)
    if check:
        return await check_topics(client, wanted)
    await _refuse_loss(settings, client, catalogue_of(settings))
    return await ensure_topics(client, wanted, settings.replication_factor)


async def _refuse_loss(
    settings: Settings, client: Mapping[str, Any], catalogue: Catalogue, accepted: Collection[str] = ()
) -> None:
    """Raise CommandFailed if a topic was lost, because to create it anew would hide the loss."""
    lost = await lost_topics.loss(client, catalogue, settings.stores_dir, accepted)
    if lost is not None:
        raise CommandFailed(f"{lost[:1].upper()}{lost[1:]}.")


async def _accept_loss(
    settings: Settings, bootstrap: str, wanted: tuple[Topic, ...], names: list[str]
) -> None:
    client, catalogue = settings.kafka_client(bootstrap), catalogue_of(settings)
    inputs = {topic.name for topic in catalogue.consumed}
    unknown = [name for name in names if name not in inputs]
    if unknown:
        raise ConfigurationError(
            f"{', '.join(unknown)}: not an input topic of this application, which has {', '.join(sorted(inputs))}."
        )
    await _refuse_loss(settings, client, catalogue, names)
    await ensure_topics(client, wanted, settings.replication_factor)
    for name in names:
        starts = await accept(client, catalogue, name, int(time.time() * 1000))
        say(f"{name} is read from its start, in {len(starts)} partitions.")


def _table(wanted: tuple[Topic, ...], report: TopicReport, *, wide: bool) -> Table:
    """wide: with keys and values. A topic's name is never cut."""
    table = Table()
    table.add_column("topic", no_wrap=True)
    for column in ("", *(("key", "value") if wide else ()), "partitions", "cleanup", "state"):
        table.add_column(column)
    fates = (
        (Text("exists"), report.existing),
        (Text("created", style="green"), report.created),
        (Text("missing", style="red"), report.missing),
    )
    for topic in wanted:
        state = next((fate for fate, names in fates if topic.name in names), Text())
        words = (topic.key, topic.value) if wide else ()
        table.add_row(topic.name, topic.direction, *words, str(topic.partitions), topic.cleanup, state)
    return table
