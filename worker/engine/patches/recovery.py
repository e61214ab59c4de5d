# mypy: disable-error-code="attr-defined,arg-type,misc,no-any-return"
# Private parts have no types.
"""Faust's sequence of steps after an assignment, with the engine's restore, and with the seek before the resume."""

from typing import TYPE_CHECKING

from aiokafka.errors import IllegalStateError
from faust.tables.manager import TableManager
from faust.tables.recovery import RebalanceAgain, Recovery, ServiceStopped
from mode import Service

from worker.engine.exits import ExitCode, code_of, die
from worker.engine.patches.consumer import FAUST_TALK
from worker.engine.store import StoreFailed
from worker.engine.takeover import LetGo

if TYPE_CHECKING:
    from worker.engine.patches.app import EngineApp


class EngineRecovery(Recovery):
    """Faust's recovery, in which the engine restores the tables."""

    app: "EngineApp"
    logger = FAUST_TALK

    @Service.task
    async def _restart_recovery(self) -> None:
        while not self.should_stop:
            if await self.wait_for_stopped(self.signal_recovery_start):
                break
            self.signal_recovery_start.clear()
            generation = self._generation_id
            try:
                self._set_recovery_started()
                await self._wait(self.app.engine.takeover.restore())
                await self._wait(self.on_recovery_completed(generation))
            except (RebalanceAgain, IllegalStateError, LetGo):
                continue
            except ServiceStopped:
                break
            except StoreFailed as error:
                die(ExitCode.STORE_FAILED, str(error), error=error)
            except Exception as error:
                die(code_of(error, ExitCode.RESTORE_FAILED), "restoring the tables failed", error=error)

    @Service.task
    async def _slurp_changelogs(self) -> None:
        return None

    @Service.task
    async def _publish_stats(self) -> None:
        return None

    async def on_recovery_completed(self, generation_id: int = 0) -> None:
        """Seek to the committed positions, begin to process, then resume fetching.

        Returns early if the group has rebalanced since.

        Args:
            generation_id: the generation for which the tables were restored.
        """
        app, consumer = self.app, self.app.consumer
        await app.on_rebalance_complete.send()
        self._set_recovery_ended()
        for table in self.tables.values():
            await table.on_recovery_completed(self.actives_for_table[table], self.standbys_for_table[table])
        if app.consumer_generation_id != generation_id:
            return  # the next rebalance has begun
        takeover = app.engine.takeover
        positions = await takeover.positions((tp.topic, tp.partition) for tp in consumer.assignment())
        await consumer.seek_to(positions)
        if app.consumer_generation_id != generation_id:
            return
        takeover.begin(generation_id, positions)
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
    """Faust's table manager, with EngineRecovery."""

    logger = FAUST_TALK

    @property
    def recovery(self) -> Recovery:
        """The one recovery of this manager, made at its first use."""
        if self._recovery is None:
            self._recovery = EngineRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery

    async def on_start(self) -> None:
        """Start the recovery, without Faust's own restore."""
        await self._update_channels()
        await self.recovery.start()
