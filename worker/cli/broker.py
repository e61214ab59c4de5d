"""`customer-context broker`: the embedded Kafka alone."""

import signal
import threading
from types import FrameType
from typing import Annotated

import typer

from worker.broker import EmbeddedKafka
from worker.cli.context import settings_of, stderr
from worker.cli.errors import CommandFailed

_LOOK_EVERY_S = 0.5


def register(app: typer.Typer) -> None:
    app.command("broker", epilog="Example: customer-context broker --port 9092")(broker)


def broker(
    context: typer.Context,
    port: Annotated[
        int | None,
        typer.Option(
            min=1, max=65_535, help="Where clients connect; without it the last one, or any free one."
        ),
    ] = None,
) -> None:
    """Run the embedded Kafka until Ctrl-C and print its bootstrap address.

    The address is a line of its own on standard output. Data stays in DATA_DIR/kafka. Only this machine can connect.
    """
    stop = threading.Event()

    def ask_to_stop(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    settings = settings_of(context)
    with EmbeddedKafka(settings.kafka_dir, port) as kafka:
        signal.signal(signal.SIGINT, ask_to_stop)
        signal.signal(signal.SIGTERM, ask_to_stop)
        typer.echo(kafka.bootstrap)
        stderr.print("Kafka runs; Ctrl-C stops it.")
        while not stop.wait(_LOOK_EVERY_S):
            if not kafka.running:
                raise CommandFailed(f"Kafka has ended by itself; its log is {kafka.log_path}.")
