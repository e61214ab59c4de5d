"""`customer-context dead-letters list` and `replay`: what could not be processed, and sending it again.

Rules:
- A value is only printed with `list --values`, because it may hold personal data.
- A letter that cannot be sent back does not stop the others: a replay of several skips it and says so.
"""

import json
from collections import Counter
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from worker.cli.context import bootstrap_of, catalogue_of, settings_of
from worker.cli.errors import CommandFailed
from worker.cli.output import Screen, emit, say, shown_bytes
from worker.cli.running import run
from worker.kafka.admin import ensure_topics
from worker.operations.letters import DeadLetter, read_dead_letters
from worker.operations.replay import CannotReplay, Choice, Replayed, replay
from worker.settings import Settings
from worker.wire.limits import MAX_VALUE_BYTES

_SHOWN_BYTES = 1_000
_SHOWN_CHARACTERS = 300
_WITH_ORIGINAL = "send the original with `dead-letters replay --offset N --edit FILE`."
_FOREIGN = "{} not come from an input topic of this installation."


def register(app: typer.Typer) -> None:
    """Add the group `dead-letters` with `list` and `replay` to the console script."""
    group = typer.Typer(
        no_args_is_help=True, help="Show inputs that could not be processed, and send them again."
    )
    group.command("list", epilog="Example: customer-context dead-letters list --reason INVALID")(list_them)
    group.command(
        "replay", epilog="Example: customer-context dead-letters replay --offset 17 --edit mended.json"
    )(replay_them)
    app.add_typer(group, name="dead-letters")


Reason = Annotated[
    list[str] | None,
    typer.Option("--reason", metavar="CODE", help="Only dead letters with this reason; may be repeated."),
]


def list_them(
    context: typer.Context,
    reason: Reason = None,
    values: Annotated[
        bool, typer.Option("--values", help="Print the values too; they may hold personal data.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="JSON lines.")] = False,
) -> None:
    """List dead letters with their reason, detail and first position, and count them by reason.

    A table shows the first 1,000 bytes of each value. JSON lines show all of it.
    """
    settings = settings_of(context)
    bootstrap = bootstrap_of(settings)
    choice = Choice(reasons=frozenset(reason or ()))
    if as_json:
        run(_print_json(settings, bootstrap, choice, values=values))
    else:
        run(_print_table(settings, bootstrap, choice, values=values))


def replay_them(
    context: typer.Context,
    offset: Annotated[
        list[int] | None,
        typer.Option("--offset", metavar="N", help="The offset of the dead letter to send; may be repeated."),
    ] = None,
    reason: Reason = None,
    edit: Annotated[
        Path | None,
        typer.Option(
            "--edit",
            metavar="FILE",
            help="Send the contents of this file instead of the value. Needs exactly one --offset.",
        ),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Also send dead letters that an earlier replay sent back.")
    ] = False,
) -> None:
    """Send chosen dead letters back to their source topic, with their key and headers, each once."""
    if not offset and not reason:
        raise typer.BadParameter("choose dead letters with --offset, --reason or both")
    if edit is not None and len(offset or ()) != 1:
        raise typer.BadParameter("--edit needs exactly one --offset")
    settings = settings_of(context)
    bootstrap = bootstrap_of(settings)
    mended = _contents(edit) if edit is not None else None
    choice = Choice(frozenset(offset or ()), frozenset(reason or ()))
    try:
        done = run(_replay(settings, bootstrap, choice, mended, again=again))
    except CannotReplay as error:
        raise CommandFailed(str(error)) from error
    _report(done, choice)


async def _replay(
    settings: Settings, bootstrap: str, choice: Choice, mended: bytes | None, *, again: bool
) -> Replayed:
    client, catalogue = settings.kafka_client(bootstrap), catalogue_of(settings)
    await ensure_topics(client, [catalogue.replays], settings.replication_factor)
    return await replay(client, catalogue, choice, mended=mended, again=again)


def _report(done: Replayed, choice: Choice) -> None:
    """Say what became of the chosen letters. Raises CommandFailed where one that was named is not there or cannot go."""
    missing = sorted(choice.offsets - done.found)
    if len(choice.offsets) == 1 and done.hashed:
        raise CommandFailed(
            f"The dead letter at offset {done.skipped[0]} holds only a hash of its value: {_WITH_ORIGINAL}"
        )
    if len(choice.offsets) == 1 and done.foreign:
        raise CommandFailed(f"The dead letter at offset {done.skipped[0]} {_FOREIGN.format('does')}")
    say(f"Sent {done.sent} back; {done.before} had been sent back before.")
    if done.hashed:
        say(f"Skipped {done.hashed} that hold only a hash of their value: {_WITH_ORIGINAL}", style="yellow")
    if done.foreign:
        say(f"Skipped {done.foreign}, which {_FOREIGN.format('do')}", style="yellow")
    if done.skipped:
        more = " and others" if done.hashed + done.foreign > len(done.skipped) else ""
        say(f"Skipped offsets: {', '.join(map(str, done.skipped))}{more}.", style="yellow")
    if missing:
        raise CommandFailed(f"There is no such dead letter at offset {', '.join(map(str, missing))}.")


async def _print_json(settings: Settings, bootstrap: str, choice: Choice, *, values: bool) -> None:
    found = read_dead_letters(settings.kafka_client(bootstrap), catalogue_of(settings))
    async with aclosing(found) as letters:
        async for letter in letters:
            if choice.includes(letter):
                emit(json.dumps(_plain(letter, with_value=values)))


async def _print_table(settings: Settings, bootstrap: str, choice: Choice, *, values: bool) -> None:
    table = Table("offset", "reason", "detail", "source", "bytes", *(["value"] if values else []))
    reasons = Counter[str]()
    found = read_dead_letters(settings.kafka_client(bootstrap), catalogue_of(settings))
    async with aclosing(found) as letters:
        async for letter in letters:
            if choice.includes(letter):
                reasons[_short(letter.reason)] += 1
                table.add_row(*_cells(letter, values=values))
    screen = Screen()
    screen.print(table)
    for code, count in reasons.most_common():
        screen.say(f"{count} {code}")
    screen.say(f"{reasons.total()} in all")


def _cells(letter: DeadLetter, *, values: bool) -> Sequence[str]:
    size = str(len(letter.value or b""))
    told = str(letter.offset), *map(_short, (letter.reason, letter.detail, letter.source)), size
    return (*told, _preview(letter.value)) if values else told


def _preview(value: bytes | None) -> str:
    if value is None:
        return "(null)"
    rest = len(value) - _SHOWN_BYTES
    return shown_bytes(value[:_SHOWN_BYTES]) + (f"… and {rest} bytes more" if rest > 0 else "")


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"


def _contents(file: Path) -> bytes:
    """What the file holds, without a byte order mark and without line ends after it."""
    try:
        with file.open("rb") as stream:
            found = stream.read(MAX_VALUE_BYTES + 1)
    except OSError as error:
        raise CommandFailed(f"{file} cannot be read: {error.strerror}.") from error
    if len(found) > MAX_VALUE_BYTES:
        raise CommandFailed(f"{file} is larger than 1 MiB, which the worker refuses as TOO_LARGE.")
    return found.removeprefix(b"\xef\xbb\xbf").rstrip(b"\r\n")


def _plain(letter: DeadLetter, *, with_value: bool) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "offset": letter.offset,
        "reason": letter.reason,
        "detail": letter.detail,
        "source": letter.source,
        "bytes": len(letter.value or b""),
    }
    if with_value:
        plain["value"] = None if letter.value is None else letter.value.decode(errors="backslashreplace")
    return plain
