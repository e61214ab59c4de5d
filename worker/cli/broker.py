"""`customer-context broker`: the embedded Kafka alone."""

import signal
import time
from types import FrameType
from typing import Annotated

import typer

from worker.broker import EmbeddedCluster, EmbeddedKafka
from worker.broker.cluster import MOST_NODES
from worker.cli.context import repository_of, settings_of
from worker.cli.errors import CommandFailed
from worker.cli.output import emit_now, say

_LOOK_EVERY_S = 0.2


def register(app: typer.Typer) -> None:
    """Add `broker` to the console script."""
    app.command("broker", epilog="Example: customer-context broker --port 9092")(broker)


def broker(
    context: typer.Context,
    port: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=65_535,
            help="The port that clients connect to. Without it: the port of the last run, or any free one.",
        ),
    ] = None,
    nodes: Annotated[
        int,
        typer.Option(
            min=1,
            max=MOST_NODES,
            help="How many nodes to start. Several are a cluster with three replicas and Kafka's own time-outs, which chooses its ports.",
        ),
    ] = 1,
    restart_after: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="With --nodes: seconds after which a node that ended is started again. Without it, a node stays down.",
        ),
    ] = None,
) -> None:
    """Run the embedded Kafka until Ctrl-C and print its bootstrap address.

    The address is a line of its own on standard output. Data stays in DATA_DIR/kafka. A cluster has other data than a
    single node. Only this machine can connect. With --nodes, each node's number, process id and address are a line.
    """
    settings = settings_of(context)
    repository = repository_of(settings)
    if nodes == 1:
        with EmbeddedKafka(settings.kafka_dir, port, repository=repository) as kafka:
            _run_alone(kafka, _Stop())
        return
    if port is not None:
        raise CommandFailed("--port is for one node. A cluster chooses its ports.")
    with EmbeddedCluster(settings.kafka_dir, nodes, repository=repository) as cluster:
        _run_cluster(cluster, _Stop(), restart_after)


class _Stop:
    """Whether Ctrl-C or SIGTERM came. No threading.Event, because a signal handler may interrupt the holder of its lock."""

    def __init__(self) -> None:
        self._asked = False
        signal.signal(signal.SIGINT, self._ask)
        signal.signal(signal.SIGTERM, self._ask)

    def wait(self) -> bool:
        """Wait a moment, and say whether to stop."""
        if not self._asked:
            time.sleep(_LOOK_EVERY_S)
        return self._asked

    def _ask(self, _signal: int, _frame: FrameType | None) -> None:
        self._asked = True


def _run_alone(kafka: EmbeddedKafka, stop: _Stop) -> None:
    emit_now(kafka.bootstrap)
    say("Kafka runs; Ctrl-C stops it.")
    while not stop.wait():
        if not kafka.running:
            raise CommandFailed(f"Kafka has ended by itself; its log is {kafka.log_path}.")


def _run_cluster(cluster: EmbeddedCluster, stop: _Stop, restart_after: float | None) -> None:
    """Nodes may be killed meanwhile; the others go on."""
    emit_now(cluster.bootstrap)
    for number, node in enumerate(cluster.nodes, 1):
        emit_now(f"{number} {node.pid} {node.bootstrap}")
    say(f"{len(cluster.nodes)} nodes of Kafka run; Ctrl-C stops them.")
    ended_at: dict[int, float] = {}
    while not stop.wait():
        for number, node in enumerate(cluster.nodes, 1):
            if node.running:
                continue
            if number not in ended_at:
                ended_at[number] = time.monotonic()
                say(f"Node {number} has ended; its log is {node.log_path}.")
            if restart_after is not None and time.monotonic() >= ended_at[number] + restart_after:
                node.start()
                del ended_at[number]
                emit_now(f"{number} {node.pid} {node.bootstrap}")
