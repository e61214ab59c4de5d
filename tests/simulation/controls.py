"""Builds with one protection switched off or one defect added. The simulation must find each within a few seeds."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, NamedTuple
from unittest.mock import patch

from msgspec.structs import replace

from agents import batch, commands, email_claims, order_index, purchases
from agents.batch import Batch
from agents.parking import expiry, release
from agents.processor import Processor
from tables import command_results
from tables.ledger import CustomerLedger
from tests.simulation.process import Crash, Fate, SimulatedEngine
from worker.domain import evolve, ledger
from worker.domain.decide import decide_order, released_email, returns
from worker.domain.events import CustomerErased, Event
from worker.domain.ledger import Line
from worker.domain.messages import AnyCommand, EraseCustomer
from worker.domain.rules import RuleSet
from worker.domain.state import COMMAND, Customer, CustomerRow
from worker.engine.batches import Batches
from worker.engine.sweeping import Swept
from worker.engine.takeover import Log, Position, State
from worker.engine.unit import InputRecord, Unit


class Unfenced(SimulatedEngine):
    """Every worker has its own transactional ids, so that a former owner can still commit."""

    def transactional_id(self, number: int) -> str:
        return f"{super().transactional_id(number)}-{id(self)}"


class Unrestored(SimulatedEngine):
    """A new owner does not read the commits of others before it processes."""

    async def restore(self) -> None:
        self.takeover.state = State.RESTORED


class AtLeastOnce(SimulatedEngine):
    """The records of a worker that dies before its commit stay visible."""

    async def commit(self, producer: Any, unit: Unit) -> dict[bytes, int]:
        if self.worker.fate is not Fate.DIE_BEFORE or self.worker.dead:
            return await super().commit(producer, unit)
        sent = Unit(unit.partition, self.worker.stores.open(unit.partition))
        sent.outbox = unit.outbox
        self.worker.log.commit(producer, sent, self.changelog_of)
        raise Crash


class Unseeking(SimulatedEngine):
    """Reading continues a little after the position, and the check for a gap is off."""

    async def positions(self, assigned: Any) -> dict[Log, Position]:
        found = await super().positions(assigned)
        logs = self.worker.log.logs
        return {log: at._replace(next=min(at.next + 1, len(logs[log]))) for log, at in found.items()}


def _forgets_the_queue(batch: Batch, customer_id: str, row: CustomerRow, step: Any) -> None:
    row.queued = row.queue_end = row.behind = 0


def _forgets_what_waits(batch: Batch, customer_id: str, row: CustomerRow, after: str, step: Any) -> None:
    row.releasing = None


_next_waiting = release._next_waiting


def _forgets_what_waits_at_erasure(
    batch: Batch, customer_id: str, row: CustomerRow, after: str, step: Any
) -> None:
    erased = row.customer is not None and row.customer.erased
    (_forgets_what_waits if erased else _next_waiting)(batch, customer_id, row, after, step)


class Control(NamedTuple):
    """A build that the simulation must find. change: patches the code while the context is open."""

    engine: type[SimulatedEngine] = SimulatedEngine
    change: Callable[[], AbstractContextManager[Any]] = nullcontext


def _replaced_in(known: dict[Any, Any], key: Any, by: Any) -> Callable[[], AbstractContextManager[Any]]:
    return lambda: patch.dict(known, {key: by})


def _replaced(owner: Any, name: str, by: Any) -> Callable[[], AbstractContextManager[Any]]:
    return lambda: patch.object(owner, name, by)


@contextmanager
def _forgetful_batches() -> Iterator[None]:
    """Skip the last record of each batch. The next batch moves the position past it."""
    original = Batches.transact

    async def transact(self: Batches, prompt: list[Any], bulk: list[Any]) -> None:
        await original(self, prompt, bulk[:-1] if prompt else bulk[:-1] or bulk)

    with patch.object(Batches, "transact", transact):
        yield


def _answer_once(batch: Batch, result: Any) -> None:
    if result.command_id not in {earlier.command_id for earlier in batch.results}:
        _answer(batch, result)


def _kept_at_erasure(customer: Customer | None, command: AnyCommand) -> str | None:
    return None if isinstance(command, EraseCustomer) else released_email(customer, command)


def _lines_of_no_command(*args: Any) -> tuple[Line, ...]:
    return tuple(line for line in _ledger_lines(*args) if line[0] != COMMAND)


def _orders_forget(*args: Any) -> tuple[Line, ...]:
    """An order's line that a return writes again no longer says what the order did to the customer."""
    lines = _ledger_lines(*args)
    if len(lines) < 2:
        return lines
    (kind, line_id, line), *others = lines
    return ((kind, line_id, replace(line, change=None)), *others)


def _every_claim_granted(*args: Any) -> bool:
    _decide_claim(*args)
    return True


def _counted_all_the_same(customer: Customer, *rest: Any) -> tuple[Event, ...]:
    erased, customer.erased = customer.erased, False
    try:
        return decide_order(customer, *rest)
    finally:
        customer.erased = erased


def _expired_and_kept(
    batch: Batch, row_id: tuple[str, str, str], source: InputRecord, row: CustomerRow
) -> None:
    """Write the dead letter, but let the input wait on."""
    batch.dead_letter(source, expiry.expired())


def _name_kept(customer: Customer, event: CustomerErased) -> None:
    name = customer.name
    _erased(customer, event)
    customer.name = name


def _rounded_up(rules: RuleSet, amount: int, currency: str) -> int | None:
    counted = _counted(rules, amount, currency)
    return counted if counted is None or currency == rules.currency else counted + 1


_answer = Batch.answer
_decide_claim = email_claims._decide
_ledger_lines = ledger.ledger_lines
_counted = RuleSet.counted
_erased = evolve._CHANGES[CustomerErased]

CONTROLS = {
    "fence off": Control(Unfenced),
    "restore off": Control(Unrestored),
    "transaction off": Control(AtLeastOnce),
    "seek off": Control(Unseeking),
    "a record of a batch forgotten": Control(change=_forgetful_batches),
    "dedupe off": Control(change=_replaced(CustomerLedger, "line", lambda *_: None)),
    "repeated commands answered once": Control(change=_replaced(Batch, "answer", _answer_once)),
    "queued commands forgotten": Control(change=_replaced(release, "_next_queued", _forgets_the_queue)),
    "every email claim granted": Control(
        change=_replaced(email_claims, "_decide", _every_claim_granted),
    ),
    "no email released": Control(change=_replaced(commands, "released_email", lambda *_: None)),
    "email not released at erasure": Control(change=_replaced(commands, "released_email", _kept_at_erasure)),
    "name kept at erasure": Control(change=_replaced_in(evolve._CHANGES, CustomerErased, _name_kept)),
    "words of commands kept at erasure": Control(
        change=_replaced(command_results, "forget", lambda *_: None)
    ),
    "orders counted after erasure": Control(
        change=_replaced(purchases, "decide_order", _counted_all_the_same)
    ),
    "converted amounts rounded up": Control(change=_replaced(RuleSet, "counted", _rounded_up)),
    "waiting inputs forgotten": Control(change=_replaced(release, "_next_waiting", _forgets_what_waits)),
    "returns that wait for their order forgotten": Control(
        change=_replaced(purchases, "_release_returns", lambda *_: None)
    ),
    "returns that wait kept at erasure": Control(
        change=_replaced(release, "_next_waiting", _forgets_what_waits_at_erasure)
    ),
    "points of what was returned kept": Control(change=_replaced(returns, "reverse_points", lambda *_: None)),
    "no lines of commands": Control(change=_replaced(batch, "ledger_lines", _lines_of_no_command)),
    "the version of a returned order forgotten": Control(
        change=_replaced(batch, "ledger_lines", _orders_forget)
    ),
    "sweep off": Control(change=_replaced(Processor, "sweep", lambda *_: Swept(last=True))),
    "results never forgotten": Control(change=_replaced(expiry, "_sweep_result", lambda *_: None)),
    "what expired was seen": Control(change=_replaced(expiry, "_expire", _expired_and_kept)),
    "orders not indexed": Control(change=_replaced(purchases, "_index", lambda *_: None)),
    "payments that wait for their order forgotten": Control(
        change=_replaced(order_index, "released", lambda *_: None)
    ),
    "repeats of payments that wait for their order not recognised": Control(
        change=_replaced(order_index, "_earlier", lambda *_: None)
    ),
}
