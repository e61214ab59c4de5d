"""`customer-context topics`: creates and checks the topics."""

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

import tables
from worker import acls
from worker.admin import TopicReport, check_topics, ensure_topics
from worker.cli.context import bootstrap_of, catalogue_of, settings_of, stderr
from worker.cli.running import run
from worker.engine.partition import POSITIONS
from worker.settings import Settings
from worker.topics import Catalogue, Topic

_WIDE = 150


def all_topics(catalogue: Catalogue) -> tuple[Topic, ...]:
    """Every topic of an installation, with the changelogs of its tables."""
    needed = tables.needed(payment_join=catalogue.payment_join)
    return catalogue.all([table.name for table in (*needed, POSITIONS)])


def register(app: typer.Typer) -> None:
    app.command(
        "topics",
        epilog="Examples: customer-context topics --check --json · customer-context topics --print-acls",
    )(topics)


def topics(
    context: typer.Context,
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit 1 when a topic is missing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    print_acls: Annotated[
        bool,
        typer.Option(
            "--print-acls", help="Print what a worker needs on a Kafka with an authorizer; ask no Kafka."
        ),
    ] = False,
    principal: Annotated[
        str | None,
        typer.Option(
            metavar="PRINCIPAL", help="With --print-acls: whom to allow; else User: and KAFKA_SASL_USERNAME."
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
    report = run(_report(settings, bootstrap_of(settings), wanted, check=check))
    if as_json:
        typer.echo(json.dumps({name: list(getattr(report, name)) for name in report.__slots__}))
    else:
        Console().print(_table(wanted, report))
        for warning in report.warnings:
            stderr.print(f"Warning: {warning}", style="yellow", markup=False)
    if report.missing:
        raise typer.Exit(1)


def _print_acls(
    settings: Settings, wanted: tuple[Topic, ...], principal: str | None, *, as_json: bool
) -> None:
    lists = {"running": acls.running(catalogue_of(settings), wanted), "creating": acls.creating(wanted)}
    if as_json:
        typer.echo(json.dumps({name: [asdict(acl) for acl in granted] for name, granted in lists.items()}))
        return
    whom = principal or f"User:{settings.kafka_sasl_username or settings.app_id}"
    bootstrap = settings.bootstrap_servers or "localhost:9092"
    typer.echo("# Every worker:")
    for acl in lists["running"]:
        typer.echo(acls.command(acl, bootstrap, whom))
    typer.echo("# Only for whoever creates the topics; a worker itself, where nobody did before:")
    for acl in lists["creating"]:
        typer.echo(acls.command(acl, bootstrap, whom))


async def _report(
    settings: Settings, bootstrap: str, wanted: tuple[Topic, ...], *, check: bool
) -> TopicReport:
    client = settings.kafka_client(bootstrap)
    if check:
        return await check_topics(client, wanted)
    return await ensure_topics(client, wanted, settings.replication_factor)


def _table(wanted: tuple[Topic, ...], report: TopicReport) -> Table:
    """Key and value only where a terminal has room for them; a topic's name is never cut."""
    wide = Console().width >= _WIDE
    table = Table()
    table.add_column("topic", no_wrap=True)
    for column in ("", *(("key", "value") if wide else ()), "partitions", "cleanup", "state"):
        table.add_column(column)
    fates = {"exists": report.existing, "[green]created": report.created, "[red]missing": report.missing}
    for topic in wanted:
        state = next((fate for fate, names in fates.items() if topic.name in names), "")
        words = (topic.key, topic.value) if wide else ()
        table.add_row(topic.name, topic.direction, *words, str(topic.partitions), topic.cleanup, state)
    return table
