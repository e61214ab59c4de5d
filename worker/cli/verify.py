"""`customer-context verify`: recomputes every customer independently and reports what differs."""

import json
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from worker.app.memory import quieten_gc
from worker.cli.context import bootstrap_of, catalogue_of, settings_of
from worker.cli.errors import CommandFailed
from worker.cli.output import Screen, emit, stderr
from worker.cli.running import run
from worker.kafka.reader import Stalled
from worker.settings import Settings
from worker.verify.model.rules import load_rules
from worker.verify.reading.snapshot import Snapshot
from worker.verify.report import Report
from worker.verify.verification import Verification


def register(app: typer.Typer) -> None:
    """Add `verify` to the console script."""
    app.command("verify", epilog="Examples: customer-context verify · customer-context verify --json")(verify)


def verify(
    context: typer.Context,
    limit: Annotated[
        int, typer.Option(min=1, metavar="N", help="Print at most this many differences.")
    ] = 1_000,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Recompute every customer from the input topics, and compare events, results, tables, claims and dead letters.

    It has its own implementation of the rules. It works on a running system, and compares everything up to the current
    ends of the topics. It exits with 1 on any difference. It reports inputs past their retention as not verifiable.
    """
    settings = settings_of(context)
    bootstrap = bootstrap_of(settings)
    quieten_gc()  # all of a partition is in memory, and looking through it takes a quarter of the time
    try:
        report = run(_verify(settings, bootstrap))
    except Stalled as error:
        raise CommandFailed(
            f"{error} Is a transaction of a dead worker still open? Try again later."
        ) from error
    if as_json:
        emit(json.dumps(_plain(report, limit)))
    else:
        _print(report, limit)
    if report.differences:
        raise typer.Exit(1)


async def _verify(settings: Settings, bootstrap: str) -> Report:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=stderr, transient=True, disable=not stderr.is_terminal) as progress:
        reading = progress.add_task("reading", total=None)
        whole = progress.add_task("verifying", total=settings.partitions)

        def show(what: str, done: int, total: int) -> None:
            progress.update(reading, description=f"reading {what}", completed=done, total=total)

        snapshot = Snapshot(settings.kafka_client(bootstrap), catalogue_of(settings), show)
        try:
            verification = Verification(await snapshot.open(), load_rules(settings.rules_file))
            async for partition in snapshot.partitions():
                verification.partition(partition)
                progress.advance(whole)
        finally:
            await snapshot.close()
        report = verification.finish()
        report.position = snapshot.position()
        return report


def _plain(report: Report, limit: int) -> dict[str, object]:
    return {
        "differences": [
            {"kind": each.kind, "where": each.where, "text": each.text} for each in report.differences[:limit]
        ],
        "differenceCount": len(report.differences),
        "notVerifiable": report.unverifiable,
        "counts": dict(report.counts),
        "position": report.position,
    }


def _print(report: Report, limit: int) -> None:
    screen = Screen()
    for difference in report.differences[:limit]:
        screen.say(str(difference))
    more = len(report.differences) - limit
    if more > 0:
        screen.say(f"... and {more} more (--limit)")
    for reason in report.unverifiable:
        screen.say(f"not verifiable: {reason}")
    counts = ", ".join(f"{count} {what}" for what, count in sorted(report.counts.items()) if count)
    screen.say(f"Verified {counts or 'nothing'}.")
    for topic, ends in report.position.items():
        if not topic.endswith("-changelog"):
            screen.say(
                f"Up to {topic} {' '.join(f'{number}@{end}' for number, end in ends.items())}", style="dim"
            )
    found = len(report.differences)
    screen.say(f"{found} difference{'' if found == 1 else 's'}.", style="green" if not found else "bold red")
