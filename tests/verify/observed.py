"""What the verification would read of a simulated worker (tests.agents.world)."""

from collections import Counter

from tables import ALL
from tests.agents.world import PARTITIONS, World
from worker.verify.contents import Partition, Record, Shared
from worker.verify.deliveries import original
from worker.verify.report import Report
from worker.verify.rules import load_rules
from worker.verify.verification import Verification


class Observed:
    """Every log and table of a world as plain lists and dicts, free to be spoilt. settled: as in a run that ended."""

    def __init__(self, world: World) -> None:
        self.catalogue = world.catalogue
        self.logs = {
            where: [Record(r.topic, r.partition, r.offset, r.key, r.value, r.headers) for r in log]
            for where, log in world.logs.items()
        }
        self.tables = [
            {table.name: dict(world.stores[number].scan(table.mark)) for table in ALL}
            for number in range(PARTITIONS)
        ]
        self.positions: dict[int, dict[str, int]] = {number: {} for number in range(PARTITIONS)}
        for (topic, number), offset in world.positions.items():
            self.positions[number][topic] = offset
        self.cut: set[tuple[str, int]] = set()
        self.moving: set[int] = set()

    def log(self, topic: str) -> list[Record]:
        """All records of a topic, partition by partition."""
        return [record for number in range(PARTITIONS) for record in self.logs.get((topic, number), [])]

    def verify(self) -> Report:
        """Run the verification on what is there now."""
        catalogue = self.catalogue
        forwarded = Counter(
            source.position for record in self.log(catalogue.inbox.name) if (source := original(record))
        )
        inputs = (
            catalogue.commands.name,
            catalogue.orders.name,
            catalogue.payments.name,
            catalogue.inbox.name,
            catalogue.email_claims.name,
        )
        shared = Shared(
            catalogue,
            self.positions,
            moving=self.moving,
            cut=self.cut,
            ends={
                (topic, number): log[-1].offset + 1
                for (topic, number), log in self.logs.items()
                if topic in inputs and log
            },
            dead_letters=self.log(catalogue.dead_letters.name),
            claims=self.log(catalogue.email_claims.name),
            claims_table={
                key: value for tables in self.tables for key, value in tables["email_claims"].items()
            },
            forwarded=forwarded,
        )
        verification = Verification(shared, load_rules(None))
        for number in range(PARTITIONS):
            records = {topic: log for (topic, where), log in self.logs.items() if where == number}
            verification.partition(Partition(number, records, self.tables[number]))
        return verification.finish()
