"""A simulated Kafka log: transactions with markers and fencing, and a read_committed reader. No call takes real time.

Rules, like Kafka's:
- A commit by a producer whose id was initialised again is refused.
- Markers and aborted records take offsets that no read_committed reader sees (None in the log).
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping

from aiokafka import TopicPartition
from aiokafka.errors import ProducerFenced

from tests.agents.world import START
from worker.engine.unit import InputRecord, Table, Unit

Place = tuple[str, int]


class SimulatedProducer:
    """A transactional producer in the epoch of one InitProducerId."""

    transaction_version = 2

    def __init__(self, transactional_id: str, epoch: int, *, former_had_committed: bool) -> None:
        self.transactional_id = transactional_id
        self.epoch = epoch
        self.former_had_committed = former_had_committed

    async def stop(self) -> None:
        """Do nothing: no connection is open."""


class SimulatedLog:
    """All topics. now: the simulated time in seconds since 1970; every commit adds 10 ms."""

    def __init__(self) -> None:
        self.logs: dict[Place, list[InputRecord | None]] = defaultdict(list)
        self.now = START
        self._epochs: dict[str, int] = defaultdict(int)
        self._left_open: set[str] = set()  # transactional ids whose owner died with a transaction

    def append(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: tuple[tuple[str, bytes | None], ...],
    ) -> int:
        """Append a record. Returns the offset after it."""
        log = self.logs[topic, partition]
        log.append(InputRecord(topic, partition, len(log), int(self.now * 1000), key, value, headers))
        return len(log)

    def readable(self, topic: str) -> list[InputRecord]:
        """Every record of a topic that a read_committed reader sees, partition by partition."""
        places = sorted(place for place in self.logs if place[0] == topic)
        return [record for place in places for record in self.logs[place] if record is not None]

    def init_producer(self, transactional_id: str) -> SimulatedProducer:
        """A new producer, which fences every earlier producer of that id."""
        self._epochs[transactional_id] += 1
        committed = transactional_id not in self._left_open
        self._left_open.discard(transactional_id)
        return SimulatedProducer(
            transactional_id, self._epochs[transactional_id], former_had_committed=committed
        )

    def commit(
        self,
        producer: SimulatedProducer,
        unit: Unit,
        changelog_of: Callable[[Table], str],
    ) -> dict[bytes, int]:
        """Append all records of a unit.

        Returns the changelog offset after the last record of each table. Raises ProducerFenced.
        """
        self._check(producer)
        for (topic, partition), records in unit.outbox.items():
            for record in records:
                self.append(topic, partition, record.key, record.value, tuple(record.headers))
            self.logs[topic, partition].append(None)
        ends = {}
        for table, rows in unit.changes.items():
            topic = changelog_of(table)
            for key, value in rows.items():
                ends[table.mark] = self.append(topic, unit.partition, key, value, ())
            self.logs[topic, unit.partition].append(None)
        self.now += 0.01
        return ends

    def abort(self, producer: SimulatedProducer, unit: Unit) -> None:
        """Append the offsets of a transaction whose producer died before its commit, without readable records."""
        self._check(producer)
        self._left_open.add(producer.transactional_id)
        for place, records in unit.outbox.items():
            self.logs[place].extend([None] * (len(records) + 1))

    def _check(self, producer: SimulatedProducer) -> None:
        if producer.epoch != self._epochs[producer.transactional_id]:
            raise ProducerFenced


class SimulatedBatch(list[InputRecord]):
    """The records of a record batch."""

    @property
    def base_offset(self) -> int:
        return self[0].offset

    @property
    def next_offset(self) -> int:
        return self[-1].offset + 1


class SimulatedConsumer:
    """The part of AIOKafkaConsumer that worker.engine.restore uses, on the simulated log."""

    def __init__(self, log: SimulatedLog) -> None:
        self._log = log
        self._positions: dict[TopicPartition, int] = {}

    def assign(self, places: list[TopicPartition]) -> None:
        self._positions = dict.fromkeys(places, 0)

    def unsubscribe(self) -> None:
        self._positions = {}

    def seek(self, place: TopicPartition, offset: int) -> None:
        self._positions[place] = offset

    async def position(self, place: TopicPartition) -> int:
        return self._positions[place]

    async def beginning_offsets(self, places: list[TopicPartition]) -> Mapping[TopicPartition, int]:
        return dict.fromkeys(places, 0)

    async def end_offsets(self, places: list[TopicPartition]) -> Mapping[TopicPartition, int]:
        return {place: len(self._log.logs[place.topic, place.partition]) for place in places}

    async def getmany(
        self, *places: TopicPartition, timeout_ms: int
    ) -> Mapping[TopicPartition, list["SimulatedBatch"]]:
        found: dict[TopicPartition, list[SimulatedBatch]] = {}
        for place in places:
            log = self._log.logs[place.topic, place.partition]
            unread = [record for record in log[self._positions[place] :] if record is not None]
            self._positions[place] = len(log)
            if unread:
                found[place] = [SimulatedBatch(unread)]
        return found

    async def start(self) -> None:
        """Do nothing: there is no connection."""

    async def stop(self) -> None:
        """Do nothing: there is nothing to close."""


class MortalConsumer(SimulatedConsumer):
    """A consumer that blocks while its process is frozen or dead. alive: returns while the process runs."""

    def __init__(self, log: SimulatedLog, alive: Callable[[], Awaitable[None]]) -> None:
        super().__init__(log)
        self._alive = alive

    async def getmany(
        self, *places: TopicPartition, timeout_ms: int
    ) -> Mapping[TopicPartition, list[SimulatedBatch]]:
        await self._alive()
        return await super().getmany(*places, timeout_ms=timeout_ms)
