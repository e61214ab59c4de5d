"""`customer-context inputs-lost list` and `acknowledge`: what retention removed before a worker read it."""

import json
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from worker.cli.context import bootstrap_of, catalogue_of, settings_of
from worker.cli.errors import CommandFailed
from worker.cli.output import emit, say
from worker.cli.running import run
from worker.operations.lost_inputs import Loss, acknowledge, remembered
from worker.settings import Settings

_WITHIN_S = 30.0


def register(app: typer.Typer) -> None:
    """Add the group `inputs-lost` with `list` and `acknowledge` to the console script."""
    group = typer.Typer(
        no_args_is_help=True,
        help="Show inputs that retention removed before they were read, and acknowledge the loss.",
    )
    group.command("list", epilog="Example: customer-context inputs-lost list --json")(list_them)
    group.command("acknowledge", epilog="Example: customer-context inputs-lost acknowledge")(acknowledge_them)
    app.add_typer(group, name="inputs-lost")


def list_them(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="JSON lines.")] = False,
) -> None:
    """List losses of inputs, one a line: the lost offsets, when the loss was noticed, and when it was acknowledged."""
    settings = settings_of(context)
    losses = run(_remembered(settings))
    for loss in losses:
        emit(json.dumps(_plain(loss)) if as_json else _line(loss))
    waiting = sum(not loss.acknowledged for loss in losses)
    say(f"{len(losses)} in all, {waiting} not acknowledged")


def acknowledge_them(
    context: typer.Context,
    topic: Annotated[
        list[str] | None,
        typer.Option("--topic", metavar="TOPIC", help="Only losses of this topic; may be repeated."),
    ] = None,
) -> None:
    """Acknowledge these losses, so that the workers are ready again. Each is acknowledged once.

    It goes through Kafka to the owners of the partitions. It exits with 1 if one does not answer within 30 seconds.
    """
    settings = settings_of(context)
    losses = [
        loss
        for loss in run(_remembered(settings))
        if not loss.acknowledged and (not topic or loss.topic in topic)
    ]
    if not losses:
        say("Every loss is acknowledged, or no input was lost.")
        return
    client = settings.kafka_client(bootstrap_of(settings))
    left = run(acknowledge(client, catalogue_of(settings), losses, _WITHIN_S))
    for loss in losses:
        if loss not in left:
            emit(f"acknowledged: {loss.sentence}")
    if left:
        raise CommandFailed(
            f"No worker has processed the acknowledgement of {len(left)} losses yet. A worker does so once it starts. "
            "`customer-context inputs-lost list` shows when it is done."
        )


async def _remembered(settings: Settings) -> list[Loss]:
    return await remembered(settings.kafka_client(bootstrap_of(settings)), catalogue_of(settings))


def _line(loss: Loss) -> str:
    known = loss.lost.acknowledged_at
    said = "not acknowledged" if known is None else f"acknowledged {_time(known)}"
    return f"{loss.sentence}, noticed {_time(loss.lost.at)}, {said}"


def _plain(loss: Loss) -> dict[str, Any]:
    known = loss.lost.acknowledged_at
    return {
        "topic": loss.topic,
        "partition": loss.partition,
        "first": loss.lost.first,
        "nextKept": loss.lost.next_kept,
        "at": _time(loss.lost.at),
        "acknowledgedAt": None if known is None else _time(known),
    }


def _time(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
