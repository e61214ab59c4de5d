"""What the verification would read of a simulated worker (tests.agents.world), in the order in which it reads."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tables import needed
from tables.customers import CUSTOMERS
from tests.agents.world import PARTITIONS, World
from worker.verify.model.rules import load_rules
from worker.verify.reading.contents import Partition, Record, Shared
from worker.verify.reading.deliveries import original
from worker.verify.report import Report
from worker.verify.verification import Verification


class Observed:
    """Every log and table of a world as plain lists and dicts, free to be spoilt.

    meanwhile: called between the steps of reading, to let the world go on; None for one that stands still.
    rules_file: the one that the world's rules come from.
    """

    def __init__(
        self, world: World, meanwhile: Callable[[], None] | None = None, rules_file: Path | None = None
    ) -> None:
        self._rules_file = rules_file
        catalogue = self.catalogue = world.catalogue
        self._world = world
        self.logs: dict[tuple[str, int], list[Record]] = {}
        self.tables: list[dict[str, dict[bytes, bytes]]] = [{} for _ in range(PARTITIONS)]
        self.cut: set[tuple[str, int]] = set()
        self._inputs = tuple(topic.name for topic in catalogue.consumed)
        steps: list[Callable[[], None]] = [
            lambda: self._read_tables("customers", "waiting", "command_results"),
            lambda: self._read_logs(catalogue.results.name, catalogue.dead_letters.name),
            lambda: self._read_logs(catalogue.events.name),
            lambda: self._read_tables("ledger", "day_totals", "email_claims", "order_index"),
            lambda: self._read_logs(*self._inputs),
        ]
        self.positions = self._positions()
        for step in steps:
            if meanwhile is not None:
                meanwhile()
            step()
        after = self._positions()
        self.moving = {number for number in after if after[number] != self.positions[number]}
        customers = [dict(store.scan(CUSTOMERS.mark)) for store in world.stores]
        self.moving |= {n for n, rows in enumerate(customers) if rows != self.tables[n]["customers"]}

    def log(self, topic: str) -> list[Record]:
        """All records of a topic, partition by partition."""
        return [record for number in range(PARTITIONS) for record in self.logs.get((topic, number), [])]

    def verify(self) -> Report:
        """Run the verification on what is there now."""
        catalogue = self.catalogue
        shared = Shared(
            catalogue,
            self.positions,
            moving=self.moving,
            cut=self.cut,
            ends={
                (topic, number): log[-1].offset + 1
                for (topic, number), log in self.logs.items()
                if topic in self._inputs and log
            },
            dead_letters=self.log(catalogue.dead_letters.name),
            claims=self.log(catalogue.email_claims.name),
            claims_table={
                key: value for tables in self.tables for key, value in tables["email_claims"].items()
            },
            forwarded=Counter(
                source.position for record in self.log(catalogue.inbox.name) if (source := original(record))
            ),
        )
        verification = Verification(shared, load_rules(self._rules_file))
        for number in range(PARTITIONS):
            records = {topic: log for (topic, where), log in self.logs.items() if where == number}
            verification.partition(Partition(number, records, self.tables[number]))
        return verification.finish()

    def differences(self) -> list[str]:
        """What the verification finds, as it is printed."""
        return [str(difference) for difference in self.verify().differences]

    def _positions(self) -> dict[int, dict[str, int]]:
        positions: dict[int, dict[str, int]] = {number: {} for number in range(PARTITIONS)}
        for (topic, number), offset in self._world.positions.items():
            positions[number][topic] = offset
        return positions

    def _read_logs(self, *topics: str) -> None:
        for (topic, number), log in self._world.logs.items():
            if topic in topics:
                self.logs[topic, number] = [_plain(record) for record in log]

    def _read_tables(self, *names: str) -> None:
        for number, tables in enumerate(self.tables):
            store = self._world.stores[number]
            known = [table for table in needed(payment_join=True) if table.name in names]
            tables.update({table.name: dict(store.scan(table.mark)) for table in known})


def _plain(record: Any) -> Record:
    return Record(
        record.topic,
        record.partition,
        record.offset,
        record.key,
        record.value,
        tuple(record.headers),
        record.timestamp,
    )
