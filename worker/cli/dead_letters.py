"""`customer-context dead-letters list` and `replay`: what could not be processed, and sending it again.

Rules:
- A value is never printed: it may hold personal data. `list --values` is for who asks for it.
- A replay is one transaction: all chosen records, or none. Each carries dlq-replayed-from, partition/offset of its dead
  letter; the source topic is searched for that header first, so a record goes back once however often this is run,
  unless --again. Two replays at once fence each other: they share one transactional id.
"""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from worker.cli.context import bootstrap_of, catalogue_of, settings_of, stderr
from worker.cli.errors import CommandFailed
from worker.cli.running import run
from worker.dead_letters import CannotReplay, DeadLetter, read_dead_letters, replay
from worker.settings import Settings


def register(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True, help="Shows what could not be processed, and sends it again.")
    group.command("list", epilog="Example: customer-context dead-letters list --reason INVALID")(list_them)
    group.command(
        "replay", epilog="Example: customer-context dead-letters replay --offset 17 --edit mended.json"
    )(replay_them)
    app.add_typer(group, name="dead-letters")


Reason = Annotated[
    list[str] | None, typer.Option("--reason", metavar="CODE", help="Only this reason; may be repeated.")
]


def list_them(
    context: typer.Context,
    reason: Reason = None,
    values: Annotated[
        bool, typer.Option("--values", help="Print the values too; they may hold personal data.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="JSON lines.")] = False,
) -> None:
    """List dead letters with their reason, detail and first position, and count them by reason."""
    settings = settings_of(context)
    chosen = [each for each in run(_read(settings, bootstrap_of(settings))) if _wanted(each, reason)]
    if as_json:
        for each in chosen:
            typer.echo(json.dumps(_plain(each, with_value=values)))
        return
    console = Console(highlight=False)
    table = Table("offset", "reason", "detail", "source", "bytes", *(["value"] if values else []))
    for each in chosen:
        value = (each.value or b"").decode(errors="replace")
        size = str(len(each.value or b""))
        table.add_row(
            str(each.offset), each.reason, each.detail, each.source, size, *([value] if values else [])
        )
    console.print(table)
    for code, count in Counter(each.reason for each in chosen).most_common():
        console.print(f"{count} {code}", markup=False)
    console.print(f"{len(chosen)} in all", markup=False)


def replay_them(
    context: typer.Context,
    offset: Annotated[
        list[int] | None, typer.Option("--offset", metavar="N", help="This dead letter; may be repeated.")
    ] = None,
    reason: Reason = None,
    edit: Annotated[
        Path | None,
        typer.Option("--edit", metavar="FILE", help="Send this file in place of the value (one --offset)."),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Send also what was sent back by an earlier replay.")
    ] = False,
) -> None:
    """Send chosen dead letters back to their source topic, with their key and headers, each once."""
    if not offset and not reason:
        raise typer.BadParameter("say which: --offset, --reason or both")
    if edit is not None and len(offset or ()) != 1:
        raise typer.BadParameter("--edit needs exactly one --offset")
    settings = settings_of(context)
    bootstrap = bootstrap_of(settings)
    mended = _contents(edit) if edit is not None else None
    try:
        sent, skipped = run(_replay(settings, bootstrap, offset, reason, mended, again=again))
    except CannotReplay as error:
        raise CommandFailed(str(error)) from error
    stderr.print(f"Sent {sent} back; {skipped} had been sent back before.", markup=False)


async def _read(settings: Settings, bootstrap: str) -> list[DeadLetter]:
    return await read_dead_letters(settings.kafka_client(bootstrap), catalogue_of(settings))


async def _replay(
    settings: Settings,
    bootstrap: str,
    offsets: Sequence[int] | None,
    reasons: Sequence[str] | None,
    mended: bytes | None,
    *,
    again: bool,
) -> tuple[int, int]:
    found = await _read(settings, bootstrap)
    missing = set(offsets or ()) - {each.offset for each in found}
    if missing:
        raise CommandFailed(f"There is no dead letter at offset {', '.join(map(str, sorted(missing)))}.")
    chosen = [each for each in found if (not offsets or each.offset in offsets) and _wanted(each, reasons)]
    return await replay(
        settings.kafka_client(bootstrap), catalogue_of(settings), chosen, mended=mended, again=again
    )


def _wanted(letter: DeadLetter, reasons: Sequence[str] | None) -> bool:
    return not reasons or letter.reason in reasons


def _contents(file: Path) -> bytes:
    try:
        return file.read_bytes().rstrip(b"\n")
    except OSError as error:
        raise CommandFailed(f"{file} cannot be read: {error.strerror}.") from error


def _plain(letter: DeadLetter, *, with_value: bool) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "offset": letter.offset,
        "reason": letter.reason,
        "detail": letter.detail,
        "source": letter.source,
        "bytes": len(letter.value or b""),
    }
    if with_value:
        plain["value"] = (letter.value or b"").decode(errors="replace")
    return plain
