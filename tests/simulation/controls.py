"""Builds with one protection off or one mistake in. Each must be found within a few seeds, or the simulation is blind."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import SimpleNamespace
from typing import Any, NamedTuple
from unittest.mock import patch

from agents import commands, email_claims, expiry, order_index, purchases
from agents.batch import Batch
from agents.processor import Processor
from tables import command_results, waiting
from tables.ledger import CustomerLedger
from tables.waiting import Source
from tests.simulation.process import Crash, Fate, SimulatedEngine
from worker.domain import evolve
from worker.domain.decide import decide_order, released_email, returns
from worker.domain.events import CustomerErased, Event
from worker.domain.messages import AnyCommand, EraseCustomer
from worker.domain.rules import RuleSet
from worker.domain.state import Customer, CustomerRow
from worker.engine import partition
from worker.engine.sweeping import Swept
from worker.engine.unit import Unit


class Unfenced(SimulatedEngine):
    """Every worker has transactional ids of its own, so that a former owner can still commit."""

    def transactional_id(self, number: int) -> str:
        return f"{super().transactional_id(number)}-{id(self)}"


class Unrestored(SimulatedEngine):
    """What others committed is not read before processing."""

    async def restore(self) -> None:
        return None


class AtLeastOnce(SimulatedEngine):
    """A worker that dies before its commit leaves what it has sent."""

    async def commit(self, producer: Any, unit: Unit) -> dict[bytes, int]:
        if self.worker.fate is not Fate.DIE_BEFORE or self.worker.dead:
            return await super().commit(producer, unit)
        sent = Unit(unit.partition, self.worker.stores.open(unit.partition))
        sent.outbox = unit.outbox
        self.worker.log.commit(producer, sent, self.changelog_of)
        raise Crash


class Unseeking(SimulatedEngine):
    """Reading goes on a little after the position, and nobody looks whether something was left out."""

    async def positions(self, assigned: Any) -> dict[tuple[str, int], int]:
        found = await super().positions(assigned)
        return {place: min(at + 1, len(self.worker.log.logs[place])) for place, at in found.items()}


class Control(NamedTuple):
    """change: what is patched while it runs."""

    engine: type[SimulatedEngine] = SimulatedEngine
    change: Callable[[], AbstractContextManager[Any]] = nullcontext


def _replaced_in(known: dict[Any, Any], key: Any, by: Any) -> Callable[[], AbstractContextManager[Any]]:
    return lambda: patch.dict(known, {key: by})


def _replaced(owner: Any, name: str, by: Any) -> Callable[[], AbstractContextManager[Any]]:
    return lambda: patch.object(owner, name, by)


@contextmanager
def _forgetful_batches() -> Iterator[None]:
    """The last record of a batch is not processed, and what is read next moves the position past it."""
    original = partition.Partition._transact

    async def transact(self: partition.Partition, prompt: list[Any], bulk: list[Any]) -> None:
        await original(self, prompt, bulk[:-1] if prompt else bulk[:-1] or bulk)

    with patch.object(partition.Partition, "_transact", transact):
        yield


def _answer_once(batch: Batch, result: Any) -> None:
    if result.command_id not in {earlier.command_id for earlier in batch.results}:
        _answer(batch, result)


def _kept_at_erasure(customer: Customer | None, command: AnyCommand) -> str | None:
    return None if isinstance(command, EraseCustomer) else released_email(customer, command)


def _every_claim_granted(*args: Any) -> bool:
    _decide_claim(*args)
    return True


def _counted_all_the_same(customer: Customer, *rest: Any) -> tuple[Event, ...]:
    erased, customer.erased = customer.erased, False
    try:
        return decide_order(customer, *rest)
    finally:
        customer.erased = erased


def _expired_and_kept(batch: Batch, place: tuple[str, str, str], source: Source, row: CustomerRow) -> None:
    """The dead letter is there, and it waits all the same."""
    batch.dead_letter(source, expiry._expired())


def _name_kept(customer: Customer, event: CustomerErased) -> None:
    name = customer.name
    _erased(customer, event)
    customer.name = name


def _rounded_up(rules: RuleSet, amount: int, currency: str) -> int | None:
    counted = _counted(rules, amount, currency)
    return counted if counted is None or currency == rules.currency else counted + 1


_known_to_nobody = SimpleNamespace(**vars(waiting) | {"read": lambda *_: None})
_answer = Batch.answer
_decide_claim = email_claims._decide
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
    "queued commands forgotten": Control(change=_replaced(commands, "_work_off_queue", lambda *_: None)),
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
    "waiting inputs forgotten": Control(change=_replaced(commands, "release_waiting", lambda *_: None)),
    "returns that wait for their order forgotten": Control(
        change=_replaced(purchases, "_release_returns", lambda *_: None)
    ),
    "returns that wait kept at erasure": Control(
        change=_replaced(commands, "refuse_waiting", lambda *_: None)
    ),
    "points of what was returned kept": Control(change=_replaced(returns, "reverse_points", lambda *_: None)),
    "sweep off": Control(change=_replaced(Processor, "sweep", lambda *_: Swept(last=True))),
    "results never forgotten": Control(change=_replaced(expiry, "_sweep_result", lambda *_: None)),
    "what expired was seen": Control(change=_replaced(expiry, "_expire", _expired_and_kept)),
    "orders not indexed": Control(change=_replaced(purchases, "_index", lambda *_: None)),
    "payments that wait for their order forgotten": Control(
        change=_replaced(order_index, "_release", lambda *_: None)
    ),
    "repeats of payments that wait for their order not recognised": Control(
        change=_replaced(order_index, "waiting", _known_to_nobody)
    ),
}
