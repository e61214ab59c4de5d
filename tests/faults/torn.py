"""Rows in which one request of a worker arrives late, within the next transaction (tests.faults.late).

A transaction is torn when a late request ends it before all of its records have arrived. Transactions have many Produce
requests here, as with a backlog or several brokers.
"""

import signal
import time
from collections.abc import Sequence
from typing import Any, ClassVar

from tests.faults.controls import Control
from tests.faults.late import Injection, Kind, LateProxies
from tests.faults.row import Outcome, Row
from tests.faults.stage import Stage
from worker.broker import EmbeddedCluster, EmbeddedKafka
from worker.engine.exits import ExitCode

_LATE_WITHIN_S = 15.0
_ALL_WORK_S = 120.0
_MANY_PRODUCES = {"FAULTS_BATCH_BYTES": "1000"}
_OF_A_START = (Kind.INIT_PRODUCER_ID, Kind.JOIN_GROUP)
_VERSION_1 = (
    Kind.END_TXN,
    Kind.PRODUCE,
    Kind.END_TXN,
    Kind.ADD_PARTITIONS,
    Kind.INIT_PRODUCER_ID,
    Kind.FETCH,
    Kind.JOIN_GROUP,
)
_VERSION_2 = tuple(
    kind for kind in _VERSION_1 if kind is not Kind.ADD_PARTITIONS
)  # brokers do that themselves


class LateStage(Stage):
    """A stage with proxies in front of its nodes. version: the cluster's transaction version."""

    def __init__(self, seed: int, *, nodes: int = 1, version: int = 2, **options: Any) -> None:
        super().__init__(seed, **options)
        self._nodes = nodes
        self._features = {} if version == 2 else {"transaction.version": 0}

    def _start_kafka(self) -> str:
        self.late = self._exit.enter_context(LateProxies(self._nodes))
        folder, ports = self.folder / "kafka", self.late.ports
        kafka: EmbeddedKafka | EmbeddedCluster
        if self._nodes == 1:
            kafka = self.broker = EmbeddedKafka(folder, advertised_port=ports[0], features=self._features)
        else:
            kafka = EmbeddedCluster(folder, self._nodes, advertised_ports=ports, features=self._features)
        self._exit.callback(kafka.stop)
        self.late.targets = [int(each.rpartition(":")[2]) for each in kafka.start().split(",")]
        return ",".join(f"127.0.0.1:{port}" for port in ports)


class LateRequests(Row):
    """One late request of each kind in turn."""

    name = "late requests, transaction version 2"
    times = (7, 50)
    kinds: ClassVar[Sequence[Kind]] = _VERSION_2
    stage_kind = LateStage
    stage_options: ClassVar[dict[str, Any]] = {"launcher": True, "environment": _MANY_PRODUCES}

    # 0: SIGTERM, so that a new worker starts. BATCH_FAILED: after late records, a broker may refuse the next ones as out
    # of order.
    exits_allowed = Row.exits_allowed | {0, ExitCode.BATCH_FAILED}

    def __init__(self) -> None:
        self.injections: list[Injection] = []

    def strike(self, stage: Stage, n: int) -> None:
        assert isinstance(stage, LateStage)
        stage.wait_until_working()
        kind = self.kinds[n % len(self.kinds)]
        injection = stage.late.hold_next(kind)
        self.injections.append(injection)
        if kind in _OF_A_START:
            stage.strike(signal.SIGTERM)
        stage.look_after_until(injection.done.is_set, _LATE_WITHIN_S)
        stage.late.let_go()
        stage.look_after_until_all_work(time.monotonic(), _ALL_WORK_S)
        stage.look_after(stage.random.uniform(0.2, 0.6))

    def broken_promises(self, stage: Stage) -> Sequence[str]:
        early = [i for i in self.injections if i.kind is Kind.END_TXN and i.error_code == 0]
        never = [i for i in self.injections if i.kind is Kind.END_TXN and i.error_code is None]
        return [
            *super().broken_promises(stage),
            *(f"a late commit was accepted: {injection.steps}" for injection in early),
            *(f"no commit was late: {injection.steps}" for injection in never),
        ]

    def note(self, stage: Stage, outcome: Outcome) -> None:
        answered = [i.error_code for i in self.injections if i.kind is Kind.END_TXN]
        outcome.notes["late commits answered with"] = sorted({code for code in answered if code is not None})
        outcome.notes["exits"] = len(stage.exits)


class LateRequestsVersion1(LateRequests):
    """The cluster has not finalized transaction version 2."""

    name = "late requests, transaction version 1"
    kinds = _VERSION_1
    stage_options: ClassVar = LateRequests.stage_options | {"version": 1}


class LateRequestsThreeNodes(LateRequests):
    """Leaders and coordinators are on three nodes."""

    name = "late requests, three nodes, transaction version 2"
    per_second = 50
    # A transaction already has a Produce per node. More small ones would go one after the other and wait for replicas.
    stage_options: ClassVar = LateRequests.stage_options | {"nodes": 3, "environment": {}}


class LateRequestsThreeNodesVersion1(LateRequests):
    """Three nodes, and the cluster has not finalized transaction version 2."""

    name = "late requests, three nodes, transaction version 1"
    kinds = _VERSION_1
    stage_options: ClassVar = LateRequests.stage_options | {"nodes": 3, "version": 1}


class WithoutCertainty(Control, LateRequests):
    """The worker commits with aiokafka's own producer."""

    name = "control: certainty of commits off"
    control = "certainty"
    times = (3, 10)
    kinds = (Kind.END_TXN,)

    def __init__(self) -> None:
        Control.__init__(self)
        LateRequests.__init__(self)
        self.stage_options["environment"] |= _MANY_PRODUCES | {"FAULTS_COMMIT_DELAY_S": "0"}

    def broken_promises(self, stage: Stage) -> Sequence[str]:
        return ()  # the topics alone must show the differences


ROWS = (
    LateRequests,
    LateRequestsVersion1,
    LateRequestsThreeNodes,
    LateRequestsThreeNodesVersion1,
    WithoutCertainty,
)
