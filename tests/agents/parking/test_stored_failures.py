"""An input that waits, and on which every worker fails, is put aside alone. The input that released it counts."""

from collections.abc import Callable

import pytest

from agents import commands, email_claims, order_index, purchases
from agents.batch import Batch
from agents.parking import expiry
from tables import command_results
from tests.agents.owned import Crash, Owned
from tests.verify.observed import Observed
from worker.domain.rejections import DeadLettered
from worker.engine import unit
from worker.engine.isolation import FAILURES
from worker.engine.stored_suspects import StoredSuspects
from worker.engine.unit import InputRecord
from worker.wire.claims import ReleaseEmail

DAY_S = 86_400.0
FAILS = pytest.mark.parametrize("error", [LookupError(), Crash()], ids=["an exception", "without a word"])


@pytest.fixture(autouse=True, params=[False, True], ids=["short", "long"])
def are_long(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether each input is long, so that a thread processes it."""
    if request.param:
        monkeypatch.setattr(unit, "LONG_VALUE_BYTES", 1)


def poison(
    monkeypatch: pytest.MonkeyPatch, module: object, name: str, error: BaseException, place: int
) -> None:
    """Let a function fail whose argument at that place is an input that holds the word poison."""
    original: Callable[..., object] = getattr(module, name)

    def failing(*arguments: object) -> object:
        source = arguments[place]
        if isinstance(source, InputRecord) and b"poison" in source.content:
            raise error
        return original(*arguments)

    monkeypatch.setattr(module, name, failing)


def failed(world: Owned) -> list[bytes | None]:
    """Where the inputs were that failed, by their topic."""
    return [dict(r.headers)["dlq-topic"] for reason, r in world.dead_letters() if reason == "FAILED"]


def assert_only_it_failed(world: Owned, topic: str, error: BaseException) -> None:
    assert failed(world) == [topic.encode()]
    ((_, letter),) = [each for each in world.dead_letters() if each[0] == "FAILED"]
    assert b"poison" in (letter.value or b"")
    name = b"the process ended" if isinstance(error, Crash) else b"LookupError"
    assert dict(letter.headers)["dlq-detail"] == b"%d failures alone: %b" % (FAILURES, name)
    assert not world.stuck
    assert FAILURES < len(world.exits) <= FAILURES + 3
    assert Observed(world).differences() == []


@FAILS
async def test_an_order_that_waits_does_not_make_its_registration_fail(
    monkeypatch: pytest.MonkeyPatch, error: BaseException
):
    world = Owned(monkeypatch)
    for order_id in ("o1", "poison", "o2"):
        world.order("c1", order_id, "10.00")
    await world.settle()
    poison(monkeypatch, purchases, "decode_waiting", error, 1)
    world.register("c1")
    world.order("c1", "o3", "10.00")
    await world.settle(sweeps=True)
    assert [result["outcome"] for result in world.results()] == ["APPLIED"]
    assert (world.customer("c1").order_count, world.row("c1").waiting) == (3, 0)
    assert_only_it_failed(world, world.routing.orders, error)


@FAILS
async def test_a_return_that_waits_does_not_make_its_order_fail(
    monkeypatch: pytest.MonkeyPatch, error: BaseException
):
    world = Owned(monkeypatch)
    world.register("c1")
    for return_id in ("b1", "poison", "b2"):
        world.returned("c1", return_id, "o1", "1.00")
    await world.settle()
    poison(monkeypatch, purchases, "decode_waiting", error, 1)
    world.order("c1", "o1", "10.00")
    await world.settle(sweeps=True)
    assert world.customer("c1").spending["USD"].returned == 200
    assert_only_it_failed(world, world.routing.returns, error)


@FAILS
@pytest.mark.parametrize("by_sweep", [True, False])
async def test_one_that_has_waited_too_long_keeps_no_other_from_expiring(
    monkeypatch: pytest.MonkeyPatch, error: BaseException, by_sweep: bool
):
    world = Owned(monkeypatch)
    for n in range(3):
        world.order(f"c{n}", f"o{n}", "10.00")
        world.order(f"c{n}", f"poison-{n}" if n == 1 else f"other-{n}", "10.00")
    await world.settle()
    world.now += 31 * DAY_S
    poison(monkeypatch, expiry, "_expire", error, 2)
    if not by_sweep:
        world.order("c1", "new", "10.00")
    await world.settle(sweeps=True)
    expired = [reason for reason, _ in world.dead_letters() if reason == "WAITING_EXPIRED"]
    assert len(expired) == 5
    assert world.row("c1").waiting == (0 if by_sweep else 1)
    assert_only_it_failed(world, world.routing.orders, error)


@FAILS
async def test_a_command_behind_an_email_claim_does_not_make_the_answer_fail(
    monkeypatch: pytest.MonkeyPatch, error: BaseException
):
    world = Owned(monkeypatch)
    world.register("c1", email=world.email("ann", "c1", here=False))
    for reason in ("r1", "poison", "r2"):
        status = "ACTIVE" if reason == "poison" else "INACTIVE"
        world.command("ChangeStatus", "c1", reason, {"newStatus": status, "reason": reason})
    world.order("c1", "o1", "10.00")
    poison(monkeypatch, commands, "handle_queued", error, 2)
    await world.settle(sweeps=True)
    results = {result["commandId"]: result["outcome"] for result in world.results()}
    assert results == {"reg-c1": "APPLIED", "r1": "APPLIED", "r2": "APPLIED"}
    assert (world.row("c1").queued, world.row("c1").behind, world.customer("c1").order_count) == (0, 0, 1)
    assert_only_it_failed(world, world.routing.commands, error)


@FAILS
async def test_a_payment_that_waits_for_its_order_does_not_make_the_order_fail(
    monkeypatch: pytest.MonkeyPatch, error: BaseException
):
    world = Owned(monkeypatch, payment_join=True)
    world.register("c1")
    for payment_id in ("p1", "poison", "p2"):
        world.payment_of_order("o1", payment_id, "10.00")
    await world.settle()
    poison(monkeypatch, order_index, "_release", error, 2)
    world.order("c1", "o1", "10.00")
    await world.settle(sweeps=True)
    assert (world.customer("c1").order_count, world.customer("c1").payment_count) == (1, 2)
    assert_only_it_failed(world, world.routing.payments, error)


async def test_one_that_cannot_be_read_when_it_comes_again_is_put_aside_and_the_repeat_waits(
    monkeypatch: pytest.MonkeyPatch,
):
    world = Owned(monkeypatch)
    world.order("c1", "poison", "10.00")
    await world.settle()
    ((first,),) = [world.records(world.routing.orders)]
    original = purchases._DECODERS["O"]

    def decode(source: InputRecord, customer_id: str) -> purchases.Purchase:
        if source.offset == first.offset:
            raise LookupError
        return original(source, customer_id)

    monkeypatch.setitem(purchases._DECODERS, "O", decode)
    world.order("c1", "poison", "10.00")
    await world.settle()
    assert (failed(world), world.row("c1").waiting) == ([world.routing.orders.encode()], 1)
    assert not world.stuck


async def test_one_whose_dead_letter_fails_too_is_put_aside_bare(monkeypatch: pytest.MonkeyPatch):
    world = Owned(monkeypatch)
    world.order("c1", "poison", "10.00")
    await world.settle()
    original = Batch.dead_letter

    def failing(batch: Batch, source: InputRecord, error: DeadLettered) -> None:
        if b"poison" in source.content:
            raise MemoryError
        original(batch, source, error)

    monkeypatch.setattr(Batch, "dead_letter", failing)
    world.now += 31 * DAY_S
    await world.settle(sweeps=True)
    ((reason, letter),) = world.dead_letters()
    assert (reason, letter.key) == ("FAILED", None)
    assert not world.stuck
    assert Observed(world).differences() == []


async def test_an_erasure_ends_although_a_result_cannot_be_read(monkeypatch: pytest.MonkeyPatch):
    world = Owned(monkeypatch)
    world.register("c1")
    await world.settle()

    def failing(*_: object) -> None:
        raise LookupError

    monkeypatch.setattr(command_results, "forget", failing)
    world.command("EraseCustomer", "c1", "erase", {"reason": "asked"})
    await world.settle(sweeps=True)
    assert world.row("c1").forgetting is None
    assert not world.stuck
    assert world.dead_letters() == []


@FAILS
async def test_control_without_isolation_every_owner_fails(
    monkeypatch: pytest.MonkeyPatch, error: BaseException
):
    world = Owned(monkeypatch)
    world.order("c1", "poison", "10.00")
    await world.settle()
    monkeypatch.setattr(StoredSuspects, "_put", lambda self, unit, trying=None: None)
    world.now += 31 * DAY_S
    poison(monkeypatch, expiry, "_expire", error, 2)
    await world.settle(sweeps=True)
    assert world.stuck
    assert failed(world) == []


@pytest.mark.parametrize("topic", ["email_claims", "inbox"])
async def test_a_customer_on_whose_email_claim_the_worker_fails_does_not_wait_for_good(
    monkeypatch: pytest.MonkeyPatch, topic: str
):
    world = Owned(monkeypatch)
    email = world.email("ann", "c1", here=False)
    world.register("c1", email=email)
    world.command("ChangeStatus", "c1", "k1", {"newStatus": "INACTIVE", "reason": "r"})
    failing = {"email_claims": (email_claims, "_decide"), "inbox": (commands, "_end_claim")}[topic]
    original = getattr(*failing)

    def fail(*arguments: object) -> object:
        if isinstance(arguments[-1], ReleaseEmail):
            return original(*arguments)
        raise LookupError

    with monkeypatch.context() as patched:
        patched.setattr(*failing, fail)
        await world.settle()
    assert not world.stuck
    assert getattr(*failing) is original
    own = getattr(world.catalogue, topic).name
    assert sorted(failed(world), key=str) == sorted([own.encode(), world.routing.commands.encode()], key=str)
    assert world.row("c1").pending_claim is None
    assert [result["code"] for result in world.results()] == ["CUSTOMER_NOT_FOUND"]
    assert Observed(world).differences() == []
    world.register("c2", email=email)  # the email is free
    await world.settle()
    assert world.results("c2")[0]["outcome"] == "APPLIED"
    assert Observed(world).differences() == []
