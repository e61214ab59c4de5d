"""The whole comparison: each partition first, then what spans partitions (email claims, joins, dead letters)."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from worker.verify.checks import claims, dead_letters, outcome
from worker.verify.checks.account import Account, Claimed
from worker.verify.checks.joins import Joins
from worker.verify.checks.published import Event
from worker.verify.checks.replay import replayed
from worker.verify.checks.traces import MARKS, Traces
from worker.verify.model.customer import email_hash
from worker.verify.model.rules import Rules
from worker.verify.reading.contents import (
    CUSTOMERS,
    DAY_TOTALS,
    LEDGER,
    ORDER_INDEX,
    RESULTS,
    WAITING,
    Partition,
    Shared,
)
from worker.verify.reading.deliveries import Expected, Sorter, Told, home_of
from worker.verify.reading.inputs import Position
from worker.verify.reading.stored import json_row, waiting_row
from worker.verify.report import Report

MAX_QUEUED = 1_000
_OF_ORDER = "\x01"  # prefix of the owner of a waiting payment: an orderId follows, not a customerId
Row = TypeVar("Row", dict[str, Any], list[Any])


class Verification:
    """Compares one installation. Call `partition` for every partition, in any order, then `finish` once."""

    def __init__(self, shared: Shared, rules: Rules) -> None:
        self._shared = shared
        self._rules = rules
        self._report = Report()
        self._failed = dead_letters.sources_with(dead_letters.FAILED, shared.dead_letters)
        self._log = claims.ClaimLog(shared, self._failed)
        refused = dead_letters.sources_with(dead_letters.REFUSED_SIZE, shared.dead_letters)
        self._sorter = Sorter(shared, self._report, self._failed, refused)
        self._joins = Joins(shared, self._report)
        self._waiting_for_orders: dict[tuple[str, str], Mapping[str, Any]] = {}  # of the current partition
        self._limited = dead_letters.sources_with(dead_letters.NOT_SEEN, shared.dead_letters)
        self._conflicted = dead_letters.sources_with(dead_letters.CONFLICTED, shared.dead_letters)
        self._expired = dead_letters.sources_with(dead_letters.EXPIRED, shared.dead_letters)
        self._refused = dead_letters.sources_with(dead_letters.REFUSED, shared.dead_letters)
        self._expected_dead: list[Expected] = list(self._log.dead)
        self._claims: list[Claimed] = []
        self._releases: list[Claimed] = []
        self._rows: dict[str, Mapping[str, Any]] = {}
        self._excused_customers: set[str] = set()
        self._excused_positions: set[Position] = set()

    def partition(self, contents: Partition) -> None:
        """Recompute every customer of one partition."""
        told = self._sorter.sort(contents)
        traces = self._traces(contents)
        for customer_id in sorted(told.keys() | traces.keys()):
            self._customer(
                customer_id,
                told.get(customer_id, Told()),
                traces.get(customer_id, Traces()),
                still=contents.number not in self._shared.moving,
            )
        self._join(contents)
        self._expected_dead += self._sorter.dead
        self._sorter.dead = []

    def finish(self) -> Report:
        """Compare what spans partitions, and return the complete report."""
        shared, report = self._shared, self._report
        catalogue = shared.catalogue
        if not shared.is_cut(catalogue.email_claims.name):
            self._log.compare_table(report)
            self._log.compare_messages(
                self._claims,
                self._releases,
                self._excused_customers,
                self._sorter.failed_commands,
                report,
            )
        self._joins.finish(self._excused_customers)
        self._expected_dead += self._joins.dead
        hashes = {
            customer_id: email_hash(row["customer"]["email"])
            for customer_id, row in self._rows.items()
            if row.get("customer") and row["customer"].get("email")
        }
        claims.compare_owners(shared, self._rows, hashes, self._log, report)
        if shared.settled:
            for customer_id, row in self._rows.items():
                if row.get("pending"):
                    report.differs("email claim", f"customer {customer_id}", "was never answered")
        inputs = (
            catalogue.commands.name,
            catalogue.orders.name,
            catalogue.returns.name,
            catalogue.payments.name,
            catalogue.inbox.name,
            catalogue.order_index.name,
        )
        if shared.is_cut(*inputs):
            self._excuse_cut_sources()
        dead_letters.compare(shared.dead_letters, self._expected_dead, self._excused_positions, report)
        for topic, number in sorted(shared.cut):
            report.unverifiable.append(f"{topic}-{number}: its oldest records are past their retention")
        return report

    def _customer(self, customer_id: str, told: Told, traces: Traces, *, still: bool) -> None:
        shared = self._shared
        traces.still = still and not traces.in_steps
        if traces.queued:
            told = told.without_queued(traces.queued)
        told = self._without_limited(told)
        traces.limited, traces.expired = self._limited, self._expired
        traces.refused, traces.conflicted = self._refused, self._conflicted
        cut_claims = shared.is_cut(shared.catalogue.email_claims.name)
        traces.granted = None if cut_claims else self._log.granted.get(customer_id, {})
        account = replayed(Account(customer_id, told, traces, self._rules))
        dead = outcome.check(account)
        self._report.counts["customers"] += account.customer is not None
        self._rows[customer_id] = traces.row
        if account.causes_missing and shared.cut:
            self._report.unverifiable.append(
                f"customer {customer_id}: needs records that are past their retention"
            )
            self._excused_customers.add(customer_id)
            self._excused_positions |= {each.position for each in told.purchases}
            return
        self._report.add(account.report)
        self._expected_dead += dead
        self._claims += account.claims
        self._releases += account.releases
        self._joins.expect(customer_id, account)
        self._note_pending(customer_id, traces, still=still)

    def _without_limited(self, told: Told) -> Told:
        """Drop commands with a WAITING_LIMIT dead letter: the queue behind an email claim was full.

        The logs do not tell the exact length of the queue. The dead letter is right if enough inputs could have waited.
        """
        limited = [each for each in told.commands if each.position in self._limited]
        others = [each for each in told.commands if each.position not in self._limited]
        queued = len(others) + len(told.purchases)
        reasons = frozenset((dead_letters.NOT_SEEN,) if queued >= MAX_QUEUED else ())
        self._expected_dead += [Expected(each.source, reasons, each.due) for each in limited]
        return replace(told, commands=others) if limited else told

    def _join(self, contents: Partition) -> None:
        rows = {order_id: row for (order_id,), row in self._rows_of(contents, ORDER_INDEX, 1, dict)}
        self._joins.partition(contents, rows, self._waiting_for_orders)
        self._joins.given(self._sorter.nameless)
        self._joins.arrived(self._sorter.joined)
        self._sorter.nameless, self._sorter.joined, self._waiting_for_orders = [], [], {}

    def _note_pending(self, customer_id: str, traces: Traces, *, still: bool) -> None:
        command = traces.claiming_command
        if command and still:
            self._claims.append(Claimed(email_hash(command["email"]), command["command_id"], customer_id))
        elif not still:
            self._excused_customers.add(customer_id)

    def _excuse_cut_sources(self) -> None:
        cut = self._shared.cut
        for record in self._shared.dead_letters:
            position = dead_letters.source_of(record)
            if position is not None and position[:2] in cut:
                self._excused_positions.add(position)
        if self._shared.is_cut(self._shared.catalogue.order_index.name):
            self._excused_positions |= self._joins.positions

    def _traces(self, contents: Partition) -> dict[str, Traces]:
        found: dict[str, Traces] = {}

        def of(customer_id: str) -> Traces:
            return found.setdefault(customer_id, Traces())

        catalogue = self._shared.catalogue
        for record in contents.records.get(catalogue.events.name, ()):
            self._report.counts["events"] += 1
            event = Event(record, self._read(record.value, f"event at {record.position}", dict) or {})
            if home_of(str(event.subject), catalogue.partitions) != contents.number:
                self._report.differs("event", str(record.position), "is not on its customer's partition")
            of(str(event.subject)).events.append(event)
        for record in contents.records.get(catalogue.results.name, ()):
            self._report.counts["results"] += 1
            result = self._read(record.value, f"result at {record.position}", dict) or {}
            customer_id = str(result.get("customerId"))
            if record.key != customer_id.encode():
                self._report.differs("result", str(record.position), "(record key)")
            of(customer_id).results.append(result)
            of(customer_id).answered_at.append(record.timestamp)
        self._read_tables(contents, of)
        return found

    def _read_tables(self, contents: Partition, of: Callable[[str], Traces]) -> None:
        for (customer_id,), row in self._rows_of(contents, CUSTOMERS, 1, dict):
            of(customer_id).row = row
        for (customer_id, kind, line_id), line in self._rows_of(contents, LEDGER, 3, list):
            self._report.counts["ledger lines"] += 1
            of(customer_id).ledger[kind, line_id] = line
        for (customer_id, kind, _), block in self._rows_of(contents, DAY_TOTALS, 3, dict):
            of(customer_id).add_old_days(kind, block)
        for (customer_id, kind, waiting_id), source in self._rows_of(contents, WAITING, 3, dict, waiting_row):
            if customer_id.startswith(_OF_ORDER):
                self._waiting_for_orders[customer_id.removeprefix(_OF_ORDER), waiting_id] = source
            elif kind in MARKS:
                of(customer_id).marks.add(kind)
            else:
                of(customer_id).waiting[kind, waiting_id] = source
        for (customer_id, command_id), remembered in self._rows_of(contents, RESULTS, 2, dict):
            of(customer_id).remembered[command_id] = remembered

    def _rows_of(
        self,
        contents: Partition,
        table: str,
        key_parts: int,
        kind: type[Row],
        read: Callable[[bytes], Any] = json_row,
    ) -> Iterator[tuple[list[str], Row]]:
        """Yield (parts of the key, value) of each row. A row that cannot be read becomes a difference."""
        for number, (key, value) in enumerate(contents.tables.get(table, {}).items()):
            parts = key.decode(errors="replace").split("\0")
            where = f"table {table}, partition {contents.number}, row {number}"
            row = self._read(value, where, kind, read)
            if len(parts) != key_parts:
                self._report.differs("unreadable", where, "key")
            elif row is not None:
                yield parts, row

    def _read(
        self, value: bytes | None, where: str, kind: type[Row], read: Callable[[bytes], Any] = json_row
    ) -> Row | None:
        try:
            found = read(value or b"")
        except ValueError:
            found = None
        if isinstance(found, kind):
            return found
        self._report.differs("unreadable", where)
        return None
