"""Rows on three Kafka nodes with Kafka's default time-outs. Each node is a leader, coordinator or controller.

ROWS is a table of strikes: what happens, how often, which exits of workers it may cause, and the mark for the take-over.
A strike returns when the cluster is whole and every partition works again.
"""

import math
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import cache, partial
from typing import Any, ClassVar

import psutil
from confluent_kafka import ElectionType
from confluent_kafka.admin import AdminClient

from tests.faults import roles
from tests.faults.proxy import Proxy, Way
from tests.faults.row import Outcome, Row
from tests.faults.stage import PARTITIONS, Stage
from worker.broker import EmbeddedCluster, EmbeddedKafka
from worker.engine.exits import ExitCode

_NODES = 3
_APP_ID = "customer-context"
_UNTIL_WORK_S = 60.0
_TOGETHER_AGAIN_S = 5.0
_FROZEN_S = (5.0, 15.0, 20.0, 40.0)
_MOST_DOWN_S = 30.0
_CUT_S = 15.0
_ELECTED_WITHIN_S = 20.0
_LOOK_EVERY_S = 0.2
_TARGET_S = 12.0


class ClusterStage(Stage):
    """A stage with three Kafka nodes. If proxied, clients reach each node through its own proxy.

    failovers: seconds until Kafka had replaced each killed node.
    """

    def __init__(self, seed: int, **options: Any) -> None:
        super().__init__(seed, **options)
        self.failovers: list[float] = []

    def _start_kafka(self) -> str:
        self.proxies = [self._exit.enter_context(Proxy()) for _ in range(_NODES * self._proxied)]
        self.cluster = EmbeddedCluster(
            self.folder / "kafka", _NODES, advertised_ports=[proxy.port for proxy in self.proxies]
        )
        self._exit.callback(self.cluster.stop)
        addresses = self.cluster.start()
        if not self._proxied:
            return addresses
        for proxy, node in zip(self.proxies, self.cluster.nodes, strict=True):
            proxy.target = int(node.bootstrap.rpartition(":")[2])
        return ",".join(f"127.0.0.1:{proxy.port}" for proxy in self.proxies)

    def look_after_until_failover(self, node: EmbeddedKafka) -> None:
        """Supervise until Kafka itself has replaced the node: it leads no partition, and is in sync with none.

        Before that a produce request with acks=all waits, whatever the worker does. Notes the time since the strike.
        """
        self.meanwhile(partial(_wait_until_replaced, self.bootstrap, self.cluster.nodes.index(node) + 1))
        self.failovers.append(time.monotonic() - self.strikes[-1])

    def meanwhile(self, do: Callable[[], object]) -> None:
        """Run a blocking call, and supervise the workers until it returns."""
        with ThreadPoolExecutor(1) as thread:
            doing = thread.submit(do)
            while not doing.done():
                self.look_after(0.1)
            doing.result()

    @contextmanager
    def struck(self) -> Iterator[None]:
        """Note the time of a strike. When the context ends, wait until every partition works again."""
        self.strikes.append(time.monotonic())
        yield
        self.look_after_until_all_work(time.monotonic(), _UNTIL_WORK_S)
        self.look_after(_TOGETHER_AGAIN_S)


Strike = Callable[[ClusterStage, int], None]
Role = Callable[[ClusterStage, int], int]


# -- which node


def each_in_turn(_: ClusterStage, n: int) -> int:
    return n % _NODES


def controller(stage: ClusterStage, _: int) -> int:
    return roles.controller(stage.bootstrap) - 1


def group_coordinator(stage: ClusterStage, _: int) -> int:
    return roles.group_coordinator(stage.bootstrap, _APP_ID) - 1


def transaction_coordinator(stage: ClusterStage, n: int) -> int:
    return roles.transaction_coordinator(stage.bootstrap, f"{_APP_ID}-{n % PARTITIONS}") - 1


# -- what happens to it


def killed(role: Role, *, worker_too: bool = False) -> Strike:
    """kill -9 of a node, and of a worker too if wanted. The node comes back when every partition works again."""

    def strike(stage: ClusterStage, n: int) -> None:
        node = stage.cluster.nodes[role(stage, n)]
        with stage.struck():
            node.kill()
            if worker_too:
                stage.random.choice(stage.crew).signal(signal.SIGKILL)
            stage.look_after_until_failover(node)
            stage.look_after_until_all_work(time.monotonic(), _UNTIL_WORK_S)
            stage.meanwhile(node.start)

    return strike


def frozen(stage: ClusterStage, n: int) -> None:
    """SIGSTOP of a node."""
    node = stage.cluster.nodes[n % _NODES]
    with stage.struck():
        node.signal(signal.SIGSTOP)
        stage.look_after(_FROZEN_S[n % len(_FROZEN_S)])
        node.signal(signal.SIGCONT)


def two_down(stage: ClusterStage, n: int) -> None:
    """Two nodes of three are gone at once, and with them the majority."""
    gone = [stage.cluster.nodes[(n + each) % _NODES] for each in (0, 1)]
    with stage.struck():
        for node in gone:
            node.kill()
        stage.look_after(_MOST_DOWN_S)
        for node in gone:
            stage.meanwhile(node.start)


def rolled(stage: ClusterStage, _: int) -> None:
    """Each node stops cleanly and starts again, one after the other."""
    for node in stage.cluster.nodes:
        with stage.struck():
            stage.meanwhile(partial(_restart, node))


def leaders_moved(stage: ClusterStage, n: int) -> None:
    """Leaders leave a node and come back to it; at once a worker leaves the group and joins it again."""
    node = stage.cluster.nodes[n % _NODES]
    with stage.struck():
        stage.meanwhile(partial(_restart, node))
        stage.look_after(_TOGETHER_AGAIN_S)
        stage.meanwhile(partial(_elect_preferred_leaders, stage.bootstrap))
        stage.random.choice(stage.crew).signal(signal.SIGTERM)


def one_node_in_sight(stage: ClusterStage, n: int) -> None:
    """A worker's requests and answers reach one node only. The other worker reaches all."""
    pid = stage.random.choice(stage.crew).pid
    with stage.struck(), ExitStack() as cuts:
        for index, proxy in enumerate(stage.proxies):
            if index != n % _NODES:
                cuts.enter_context(proxy.cut(cache(partial(_is_of, pid))))
        stage.look_after(_CUT_S)


def no_answer(stage: ClusterStage, n: int) -> None:
    """A node receives the requests of all clients, but its answers do not arrive."""
    with stage.struck(), stage.proxies[n % _NODES].cut(lambda way: way.to_client):
        stage.look_after(_CUT_S)


def _restart(node: EmbeddedKafka) -> None:
    node.stop()
    node.start()


def _elect_preferred_leaders(bootstrap: str) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    # Without a timeout of its own, because confluent-kafka 2.16 raises SystemError for any further argument.
    admin.elect_leaders(ElectionType.PREFERRED, None).result(_ELECTED_WITHIN_S)


def _wait_until_replaced(bootstrap: str, node_id: int) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    give_up_at = time.monotonic() + _UNTIL_WORK_S
    while time.monotonic() < give_up_at:
        topics = admin.list_topics(timeout=_ELECTED_WITHIN_S).topics.values()
        if not any(
            node_id == each.leader or node_id in each.isrs
            for topic in topics
            for each in topic.partitions.values()
        ):
            return
        time.sleep(_LOOK_EVERY_S)
    raise AssertionError(f"node {node_id} still leads partitions")


def _is_of(pid: int, way: Way) -> bool:
    """Whether the client of this connection is this process."""
    if not psutil.pid_exists(pid):
        return False
    return any(each.laddr.port == way.client_port for each in psutil.Process(pid).net_connections("tcp4"))


# -- the table


class ClusterRow(Row):
    """A row of the table. Its workers must recover without help."""

    stage_kind = ClusterStage
    exits_allowed = frozenset()
    do: ClassVar[Strike]

    def strike(self, stage: Stage, n: int) -> None:
        assert isinstance(stage, ClusterStage)
        type(self).do(stage, n)

    def note(self, stage: Stage, outcome: Outcome) -> None:
        assert isinstance(stage, ClusterStage)
        if stage.failovers:
            outcome.notes["of it Kafka's own"] = f"{max(stage.failovers):.1f} s"


def _row(
    named: str,
    strike: Strike,
    short_and_full: tuple[int, int],
    *,
    exits: frozenset[int] = frozenset(),
    limit_s: float = math.inf,
    **options: Any,
) -> type[ClusterRow]:
    class Struck(ClusterRow):
        name = f"three nodes, {named}"
        times = short_and_full
        exits_allowed = exits
        takeover_limit_s = limit_s
        stage_options = options
        do = strike

    return Struck


_KILLED = frozenset({-signal.SIGKILL})
_LEFT = frozenset({0})
_LATE = frozenset({ExitCode.DEADLINE})  # away for as long as the batch deadline, or nearly
_REPLACED = frozenset({ExitCode.FENCED})  # its session is over, and the other worker has its partitions

ROWS = (
    _row("kill -9 of each in turn", killed(each_in_turn), (3, 12), limit_s=_TARGET_S),
    _row("kill -9 of the controller", killed(controller), (1, 6), limit_s=_TARGET_S),
    _row("kill -9 of a transaction coordinator", killed(transaction_coordinator), (1, 6), limit_s=_TARGET_S),
    _row("kill -9 of the group coordinator", killed(group_coordinator), (1, 6), limit_s=_TARGET_S),
    _row("kill -9 of one and of a worker", killed(each_in_turn, worker_too=True), (1, 6), exits=_KILLED),
    _row("SIGSTOP for 5, 15, 20, 40 s", frozen, (4, 12), exits=_LATE),
    _row("two down for 30 s", two_down, (1, 3), exits=_LATE),
    _row("rolling restart", rolled, (2, 4)),
    _row("leaders moved, then a rebalance", leaders_moved, (1, 6), exits=_LEFT),
    _row("a worker sees one only", one_node_in_sight, (1, 6), exits=_REPLACED, proxied=True),
    _row("one hears and does not answer", no_answer, (1, 6), proxied=True),
)
