# mypy: disable-error-code="attr-defined,arg-type,misc,no-any-return"
# Private parts have no types, and Faust annotates events with those of mode.
"""The only module that touches private parts of Faust; of aiokafka's, worker.engine.fetches does too.

Faust keeps group membership, assignment, agents, tables' topics, web and console; here it hands each partition's fetch
to the agents as ONE event, leaves offsets to the engine, and lets the engine fence, restore and seek (FAUST.md says why:
several of its defaults lose data). worker.engine.guard refuses to run on any other version of what is overridden here.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import aiokafka.producer.sender
import faust
from aiokafka.errors import IllegalStateError, KafkaError
from faust.events import Event
from faust.tables.manager import TableManager
from faust.tables.recovery import RebalanceAgain, Recovery, ServiceStopped
from faust.transport.drivers import aiokafka as driver
from faust.types.tuples import TP, ConsumerMessage
from mode import Service

from worker.engine.engine import Engine
from worker.engine.exits import ExitCode, die
from worker.engine.store import StoreFailed

# The first AddPartitions right after a commit answers CONCURRENT_TRANSACTIONS; 20 ms of waiting there halves the
# throughput of small transactions.
aiokafka.producer.sender.BACKOFF_OVERRIDE = 0.003


# mode gives a subclass a logger of its own module; what Faust says about itself stays under its own name.
_FAUST_TALK = logging.getLogger("faust.worker")

# Faust would set up aiohttp_cors, which looks at every response; it only asks whether something is there.
_NO_CORS = object()

_FETCH_S = 0.2
_FETCH_OTHERS_S = 0.02  # while some partitions have enough
# Faust's 1.5 s: as long a fetch of quiet partitions would keep one that is empty now from being fetched.
_FETCH_MAX_WAIT_MS = 100
_EVENT_RECORDS = 2_000
_EVENTS_AHEAD = 16


class EngineConsumerThread(driver.AIOKafkaConsumerThread):
    """Reads committed records only; nothing else of Faust's exactly-once mode."""

    logger = _FAUST_TALK

    def _create_worker_consumer(self, transport: Any) -> Any:
        self.consumer.in_transaction = True
        try:
            consumer = super()._create_worker_consumer(transport)
        finally:
            self.consumer.in_transaction = False
        consumer._fetch_max_wait_ms = _FETCH_MAX_WAIT_MS
        return consumer

    async def pause_fetching(self, tps: set[TP]) -> None:
        """Keep aiokafka from prefetching partitions that only the engine's own reader reads."""
        await self.call_thread(self._pause_fetching, tps)

    async def _pause_fetching(self, tps: set[TP]) -> None:
        consumer = self._ensure_consumer()
        assigned = consumer.assignment()
        consumer.pause(*[tp for tp in map(driver.ensure_aiokafka_TP, tps) if tp in assigned])

    async def commit_group_offsets(self, offsets: Mapping[TP, int]) -> None:
        """For lag tools only; Faust's own commit would end the worker when the group rebalances meanwhile."""
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
            _FAUST_TALK.warning("group offsets were not committed: %s", type(error).__name__)


class EngineConsumer(driver.Consumer):
    """Delivers partition batches; every offset is the engine's."""

    app: "EngineApp"
    logger = _FAUST_TALK

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._not_fetching = asyncio.Event()
        self._not_fetching.set()

    def _new_consumer_thread(self) -> EngineConsumerThread:
        return EngineConsumerThread(self, loop=self.loop, beacon=self.beacon)

    # aiokafka logs what these two raise and goes on, in a group whose partitions nobody would process any more.

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        try:
            await self.app.engine.quiesce()
        except Exception as error:
            die(ExitCode.RESTORE_FAILED, "letting partitions go failed", error=error)
        await super().on_partitions_revoked(revoked)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        changelogs = {tp for tp in assigned if self._is_changelog_tp(tp)}
        try:
            await self._thread.pause_fetching(changelogs)
            copies = {tp.partition for tp in self.app.assignor.assigned_standbys()}
            await self.app.engine.fence({tp.partition for tp in assigned - changelogs}, copies)
        except StoreFailed as error:
            die(ExitCode.STORE_FAILED, str(error), error=error)
        except Exception as error:
            die(ExitCode.RESTORE_FAILED, "taking partitions over failed", error=error)
        await super().on_partitions_assigned(assigned, generation_id)

    async def on_stop(self) -> None:
        await self.app.engine.close()
        await super().on_stop()

    # Offsets are committed by the engine's transactions: Faust's bookkeeping is off.

    def ack(self, message: Any) -> bool:
        message.acked = True
        self._unacked_messages.discard(message)
        return True

    async def commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        return False

    async def wait_empty(self) -> None:
        return None  # quiesce has waited for the only work there is

    def verify_event_path(self, now: float, tp: TP) -> None:
        return None

    async def perform_seek(self) -> None:
        """Seek to the engine's positions. Nothing fetched before this may be delivered after it."""
        await self._not_fetching.wait()
        positions = await self.app.engine.positions((tp.topic, tp.partition) for tp in self.assignment())
        if positions:
            await self._thread.seek_wait({TP(topic, number): at for (topic, number), at in positions.items()})
        self.app.positions = positions

    async def commit_group_offsets(self, positions: Mapping[tuple[str, int], int]) -> None:
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
                return  # the recovery that follows seeks back to what was committed
            last = records[-1]
            message = ConsumerMessage(
                tp.topic,
                tp.partition,
                last.offset,
                last.timestamp / 1000,
                0,  # who stamped it, which nobody asks
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


class EngineTransport(driver.Transport):
    Consumer = EngineConsumer


class EngineRecovery(Recovery):
    """Faust's sequence of an assignment, with the engine's restore and the seek before the resume."""

    app: "EngineApp"
    logger = _FAUST_TALK

    @Service.task
    async def _restart_recovery(self) -> None:
        while not self.should_stop:
            if await self.wait_for_stopped(self.signal_recovery_start):
                break
            self.signal_recovery_start.clear()
            generation = self._generation_id
            try:
                self._set_recovery_started()
                await self._wait(self.app.engine.restore())
                await self._wait(self.on_recovery_completed(generation))
            except (RebalanceAgain, IllegalStateError):
                continue
            except ServiceStopped:
                break
            except StoreFailed as error:
                die(ExitCode.STORE_FAILED, str(error), error=error)
            except Exception as error:
                die(ExitCode.RESTORE_FAILED, "restoring the tables failed", error=error)

    @Service.task
    async def _slurp_changelogs(self) -> None:
        return None

    @Service.task
    async def _publish_stats(self) -> None:
        return None

    async def on_recovery_completed(self, generation_id: int = 0) -> None:
        app, consumer = self.app, self.app.consumer
        await app.on_rebalance_complete.send()
        self._set_recovery_ended()
        for table in self.tables.values():
            await table.on_recovery_completed(self.actives_for_table[table], self.standbys_for_table[table])
        if app.consumer_generation_id != generation_id:
            return  # the next rebalance is on its way
        await consumer.perform_seek()
        if app.consumer_generation_id != generation_id or not app.engine.begin(generation_id, app.positions):
            return
        inputs = {tp for tp in consumer.assignment() if not self._is_changelog_tp(tp)}
        consumer.resume_partitions(inputs)
        self.completed.set()
        app.flow_control.resume()
        consumer.resume_flow()
        await app._fetcher.maybe_start()
        self.tables.on_actives_ready()
        self.tables.on_standbys_ready()
        app.on_rebalance_end()


class EngineTableManager(TableManager):
    logger = _FAUST_TALK

    @property
    def recovery(self) -> Recovery:
        if self._recovery is None:
            self._recovery = EngineRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery

    async def on_start(self) -> None:
        await self._update_channels()
        await self.recovery.start()


class EngineApp(faust.App):
    """A Faust app whose offsets, state and output are the engine's. Set `engine` before it starts."""

    logger = _FAUST_TALK
    engine: Engine
    positions: dict[tuple[str, int], int]

    def _new_transport(self) -> EngineTransport:
        return EngineTransport(self.conf.broker_consumer, self)

    def mount(self, parts: Any) -> None:
        """Add the HTTP API's routes to Faust's web server. parts: has mount(aiohttp application)."""
        self.web._cors = _NO_CORS
        parts.mount(self.web.web_app)

    def owner_url(self, changelog: str, partition: int) -> str | None:
        """The canonical URL of the worker that the group's last assignment gave this partition to."""
        url = self.assignor._tps_url.get(TP(changelog, partition))
        return str(url) if url else None

    async def commit_group_offsets(self, positions: Mapping[tuple[str, int], int]) -> None:
        """For lag tools only; nothing here ever reads them."""
        await self.consumer.commit_group_offsets(positions)

    def highwater(self, topic: str, partition: int) -> int | None:
        """The end of an assigned partition as of its last fetch, or None while unknown."""
        return self.consumer.highwater(TP(topic, partition))

    def read_up_to(self, topic: str, partition: int) -> int:
        """Where the next fetch of an assigned partition begins: past transaction markers, which are never delivered."""
        subscription = self.consumer._thread._ensure_consumer()._subscription.subscription
        state = subscription.assignment.state_value(TP(topic, partition)) if subscription.assignment else None
        return state.position if state is not None and state.has_valid_position else 0


def on_batches(engine: Engine) -> Callable[[Any], Coroutine[Any, Any, None]]:
    """The body of an agent: hand every partition batch of its stream to the engine."""

    async def take(stream: Any) -> None:
        async for event in stream.noack().events():
            message = event.message
            await engine.put(message.topic, message.partition, message.generation_id, event.value)

    return take
