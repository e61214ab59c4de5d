# mypy: disable-error-code="attr-defined,arg-type,misc,no-any-return"
# Private parts have no types, and Faust annotates events with those of mode.
"""Faust's consumer: it hands each partition's fetch to the agents as one event, and leaves offsets to the engine.

The engine releases and fences partitions before Faust learns of a rebalance (worker.engine.takeover).
"""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from aiokafka.errors import KafkaError
from faust.events import Event
from faust.transport.drivers import aiokafka as driver
from faust.types.tuples import TP, ConsumerMessage

from worker.engine.exits import ExitCode, code_of, die
from worker.engine.patches.fetches import CorruptBatch
from worker.engine.store import StoreFailed
from worker.engine.takeover import LetGo, Log, Position

if TYPE_CHECKING:
    from worker.engine.patches.app import EngineApp

FAUST_TALK = logging.getLogger("faust.worker")
"""The logger of Faust's own messages. Without it, mode would give each subclass a logger of its own module."""

_FETCH_S = 0.2
_FETCH_OTHERS_S = 0.02  # while some partitions are full
# Shorter than Faust's 1.5 s. During a fetch of quiet partitions, a partition with room again cannot be fetched.
_FETCH_MAX_WAIT_MS = 100
_EVENT_RECORDS = 2_000
_EVENTS_AHEAD = 16


class EngineConsumerThread(driver.AIOKafkaConsumerThread):
    """Reads committed records only. Nothing else of Faust's exactly-once mode is used."""

    logger = FAUST_TALK

    def _create_worker_consumer(self, transport: Any) -> Any:
        self.consumer.in_transaction = True
        try:
            consumer = super()._create_worker_consumer(transport)
        finally:
            self.consumer.in_transaction = False
        consumer._fetch_max_wait_ms = _FETCH_MAX_WAIT_MS
        return consumer

    async def pause_fetching(self, tps: set[TP]) -> None:
        """Keep aiokafka from fetching these changelogs, because the engine's own reader reads them.

        aiokafka would also ask the leaders for start offsets, again and again. While one of the leaders has moved,
        nothing else of that node would be fetched.
        """
        await self.call_thread(self._pause_fetching, tps)

    async def _pause_fetching(self, tps: set[TP]) -> None:
        consumer = self._ensure_consumer()
        assigned = consumer.assignment()
        changelogs = [tp for tp in map(driver.ensure_aiokafka_TP, tps) if tp in assigned]
        consumer.pause(*changelogs)
        for tp in changelogs:
            consumer.seek(tp, 0)

    async def commit_group_offsets(self, offsets: Mapping[TP, int]) -> None:
        """Commit group offsets, for lag tools only.

        Faust's own commit would end the worker if the group rebalances meanwhile.
        """
        await self.call_thread(self._commit_group_offsets, offsets)

    async def _commit_group_offsets(self, offsets: Mapping[TP, int]) -> None:
        consumer = self._ensure_consumer()
        assigned = consumer.assignment()
        known = {driver.ensure_aiokafka_TP(tp): offset for tp, offset in offsets.items()}
        mine = {tp: offset for tp, offset in known.items() if tp in assigned}
        try:
            if mine:
                await consumer.commit(mine)
        except KafkaError as error:
            FAUST_TALK.warning("group offsets were not committed: %s", type(error).__name__)


class EngineConsumer(driver.Consumer):
    """Delivers each fetch of a partition as one event. Every offset is the engine's."""

    app: "EngineApp"
    logger = FAUST_TALK

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._not_fetching = asyncio.Event()
        self._not_fetching.set()

    def _new_consumer_thread(self) -> EngineConsumerThread:
        return EngineConsumerThread(self, loop=self.loop, beacon=self.beacon)

    # These two end the process on an error. aiokafka would log it and stay in the group, but process nothing.

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Release all partitions in the engine, then tell Faust."""
        try:
            await self.app.engine.takeover.release()
        except Exception as error:
            die(ExitCode.RESTORE_FAILED, "letting partitions go failed", error=error)
        await super().on_partitions_revoked(revoked)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Fence the assigned partitions in the engine, then tell Faust."""
        changelogs = {tp for tp in assigned if self._is_changelog_tp(tp)}
        try:
            await self._thread.pause_fetching(changelogs)
            copies = {tp.partition for tp in self.app.assignor.assigned_standbys()}
            with suppress(LetGo):  # the worker is closing; Faust goes on until it is stopped too
                await self.app.engine.takeover.fence({tp.partition for tp in assigned - changelogs}, copies)
        except StoreFailed as error:
            die(ExitCode.STORE_FAILED, str(error), error=error)
        except Exception as error:
            die(code_of(error, ExitCode.RESTORE_FAILED), "taking partitions over failed", error=error)
        await super().on_partitions_assigned(assigned, generation_id)

    async def on_stop(self) -> None:
        """Close the engine's partitions, then stop."""
        await self.app.engine.takeover.close()
        await super().on_stop()

    # The engine's transactions commit the offsets, so Faust's bookkeeping is off.

    def ack(self, message: Any) -> bool:
        """Forget the message. Always True, because Faust keeps no offsets here."""
        message.acked = True
        self._unacked_messages.discard(message)
        return True

    async def commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        """Commit nothing. Always False."""
        return False

    async def wait_empty(self) -> None:
        """Wait for nothing, because the engine's release has waited for its transactions."""

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Check nothing, because Faust would warn of missing acknowledgements."""

    async def perform_seek(self) -> None:
        """Do nothing, because the recovery calls seek_to."""

    async def seek_to(self, positions: Mapping[Log, Position]) -> None:
        """Read on from these positions. Nothing that was fetched before is delivered afterwards."""
        await self._not_fetching.wait()
        if positions:
            await self._thread.seek_wait(
                {TP(topic, number): at.next for (topic, number), at in positions.items()}
            )

    async def commit_group_offsets(self, positions: Mapping[tuple[str, int], int]) -> None:
        """Commit group offsets, for lag tools only.

        Args:
            positions: the next offset of each (topic, partition).
        """
        await self._thread.commit_group_offsets(
            {TP(topic, number): offset for (topic, number), offset in positions.items()}
        )

    async def _drain_messages(self, fetcher: Any) -> None:
        try:
            while not (self.should_stop or fetcher.should_stop):
                await self._deliver_fetched()
        except self.consumer_stopped_errors:
            if not self.app.should_stop:
                raise
        except asyncio.CancelledError:
            if not self.app.should_stop:
                raise

    async def _deliver_fetched(self) -> None:
        if not self.flow_active:
            await self.wait(self.can_resume_flow)
            return
        active = self._get_active_partitions()
        wanted = {tp for tp in active if self.app.engine.has_room(tp.topic, tp.partition)}
        if not wanted:  # an empty set would mean "no filter" to aiokafka
            await asyncio.sleep(_FETCH_OTHERS_S)
            return
        generation = self.app.consumer_generation_id
        self._not_fetching.clear()
        try:
            patience_s = _FETCH_S if len(wanted) == len(active) else _FETCH_OTHERS_S
            records = await self._getmany(active_partitions=wanted, timeout=patience_s)
        except CorruptBatch as error:
            die(ExitCode.BATCH_FAILED, str(error), error=error)
        finally:
            self._not_fetching.set()
        for tp, fetched in records.items():
            for start in range(0, len(fetched), _EVENT_RECORDS):
                await self._deliver(tp, fetched[start : start + _EVENT_RECORDS], generation)

    async def _deliver(self, tp: TP, records: list[Any], generation: int) -> None:
        for channel in tuple(self.app.topics._tp_index[tp]):
            queue = channel.queue
            while queue.qsize() >= _EVENTS_AHEAD and self._current(generation):  # noqa: ASYNC110 - Faust's queue
                await asyncio.sleep(0.001)
            if not self._current(generation):
                return  # the next recovery seeks back to the committed position
            last = records[-1]
            message = ConsumerMessage(
                tp.topic,
                tp.partition,
                last.offset,
                last.timestamp / 1000,
                0,  # Kafka's timestamp_type; unused
                (),
                None,
                records,
                None,
                None,
                None,
                tp,
                generation_id=generation,
            )
            message.incref(1)
            queue.put_nowait(Event(self.app, None, records, {}, message))

    def _current(self, generation: int) -> bool:
        return self.flow_active and generation == self.app.consumer_generation_id
