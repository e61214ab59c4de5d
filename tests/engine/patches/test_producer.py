"""The outcome of a commit is known before anything else is sent, whatever the coordinator answers."""

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaError,
    NodeNotReadyError,
    ProducerFenced,
    RequestTimedOutError,
    for_code,
)
from aiokafka.producer.transaction_manager import TransactionManager, TransactionState
from aiokafka.protocol.transaction import EndTxnRequest

from worker.engine.patches.messages import BumpEpoch, EndTxn5, TransactionAbortable, transaction_version
from worker.engine.patches.producer import MEANINGS, CertainSender, Meaning, _Version2Produce

PLACE = TopicPartition("events", 0)
LOST = KafkaConnectionError("closed")

again = pytest.mark.parametrize(
    "code", [code for code, meaning in MEANINGS.items() if meaning in (Meaning.AGAIN, Meaning.ELSEWHERE)]
)
fenced = pytest.mark.parametrize("code", [c for c, meaning in MEANINGS.items() if meaning is Meaning.FENCED])
unknown = pytest.mark.parametrize("code", [35, 53, 120, 9_999])


class Coordinator:
    """A client whose coordinator gives prepared answers: an error code, (code, id, epoch), or an error of the network."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[Any] = []
        self.looked_up = 0
        self.lookups_fail: list[Exception] = []

    async def coordinator_lookup(self, kind: Any, key: str) -> int:
        self.looked_up += 1
        if self.lookups_fail:
            raise self.lookups_fail.pop()
        return 1

    async def force_metadata_update(self) -> None:
        """Nothing has changed."""

    async def ready(self, node_id: int, *, group: Any) -> bool:
        return True

    async def send(self, node_id: int, request: Any, *, group: Any) -> Any:
        self.asked.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        code, producer_id, epoch = answer if isinstance(answer, tuple) else (answer, 7, 1)
        return SimpleNamespace(error_code=code, producer_id=producer_id, producer_epoch=epoch)

    def kinds(self) -> list[type]:
        return [type(request) for request in self.asked]


class Producer:
    """A sender in the middle of a transaction, with id 7 and epoch 0."""

    def __init__(self, version: int, *answers: Any) -> None:
        self.coordinator = Coordinator(*answers)
        self.txn = TransactionManager("app-0", 15_000)
        self.txn.set_pid_and_epoch(7, 0)
        self.txn.begin_transaction()
        self.txn.maybe_add_partition_to_txn(PLACE)
        self.txn.partition_added(PLACE)
        self.txn.increment_sequence_number(PLACE, 5)
        self.sender = CertainSender(
            self.coordinator,
            acks=-1,
            txn_manager=self.txn,
            message_accumulator=self,
            retry_backoff_ms=0,
            request_timeout_ms=1_000,
        )
        self.sender.transaction_version = version

    async def flush_for_commit(self) -> None:
        """As the accumulator's: everything was sent."""

    async def commit(self) -> None:
        """What the sender's loop does."""
        self.txn.committing_transaction()
        while self.txn.needs_transaction_commit() is not None:
            await self.sender._do_txn_commit(self.txn.needs_transaction_commit())

    @property
    def sequence(self) -> int:
        return int(self.txn.sequence_number(PLACE))

    @property
    def is_ready(self) -> bool:
        return self.txn.state is TransactionState.READY


async def test_a_commit_that_is_answered_keeps_its_epoch_in_version_1():
    producer = Producer(1, 0)
    await producer.commit()
    assert producer.is_ready
    assert producer.coordinator.kinds() == [EndTxnRequest]
    assert (producer.txn.producer_epoch, producer.sequence) == (0, 5)


@pytest.mark.parametrize("lost", [LOST, RequestTimedOutError()], ids=["connection", "time-out"])
async def test_a_lost_answer_ends_the_epoch_before_anything_else_is_sent_in_version_1(lost: KafkaError):
    producer = Producer(1, lost, 0, (0, 7, 1))
    await producer.commit()
    assert producer.is_ready
    assert producer.coordinator.kinds() == [EndTxnRequest, EndTxnRequest, BumpEpoch]
    assert producer.coordinator.asked[-1]._values[:4] == ("app-0", 15_000, 7, 0)
    assert (producer.txn.producer_id, producer.txn.producer_epoch, producer.sequence) == (7, 1, 0)


async def test_the_next_transaction_after_a_bump_is_an_ordinary_one():
    producer = Producer(1, LOST, 0, (0, 7, 1), 0)
    await producer.commit()
    producer.txn.begin_transaction()
    producer.txn.maybe_add_partition_to_txn(PLACE)
    producer.txn.partition_added(PLACE)
    await producer.commit()
    assert producer.coordinator.kinds()[3:] == [EndTxnRequest]


async def test_a_request_that_was_never_sent_ends_no_epoch():
    producer = Producer(1, NodeNotReadyError("not connected"), 0)
    await producer.commit()
    assert producer.coordinator.kinds() == [EndTxnRequest, EndTxnRequest]
    assert producer.txn.producer_epoch == 0


async def test_a_lost_answer_to_the_bump_is_asked_for_again():
    producer = Producer(1, LOST, 0, LOST, (0, 7, 1))
    await producer.commit()
    assert producer.coordinator.kinds() == [EndTxnRequest, EndTxnRequest, BumpEpoch, BumpEpoch]
    assert [request._values[3] for request in producer.coordinator.asked[2:]] == [0, 0]


@pytest.mark.parametrize("lost", [[], [LOST]], ids=["answered", "lost"])
async def test_version_2_takes_the_next_epoch_from_the_answer(lost: list[KafkaError]):
    producer = Producer(2, *lost, (0, 7, 1))
    await producer.commit()
    assert producer.is_ready
    assert set(producer.coordinator.kinds()) == {EndTxn5}
    assert [request._values[:4] for request in producer.coordinator.asked] == [("app-0", 7, 0, True)] * (
        len(lost) + 1
    )
    assert (producer.txn.producer_epoch, producer.sequence) == (1, 0)


async def test_version_2_takes_a_new_producer_id_when_the_epochs_are_used_up():
    producer = Producer(2, (0, 8, 0))
    await producer.commit()
    assert (producer.txn.producer_id, producer.txn.producer_epoch) == (8, 0)


@again
@pytest.mark.parametrize("version", [1, 2])
async def test_an_undecided_commit_is_asked_for_again_with_the_same_epoch(version: int, code: int):
    producer = Producer(version, code, code, (0, 7, 1))
    await producer.commit()
    assert producer.is_ready
    assert len(producer.coordinator.asked) == 3
    assert len({request.__dict__.get("_producer_epoch", 0) for request in producer.coordinator.asked}) == 1


@again
async def test_the_coordinator_is_looked_up_when_it_may_be_another(code: int):
    producer = Producer(1, code, 0)
    await producer.commit()
    assert producer.coordinator.looked_up == (2 if MEANINGS[code] is Meaning.ELSEWHERE else 1)


async def test_a_broker_that_dies_while_it_is_asked_for_the_coordinator_fails_no_commit():
    producer = Producer(2, 0)
    producer.coordinator.lookups_fail = [LOST, LOST]
    await producer.commit()
    assert producer.is_ready


async def test_who_may_not_use_the_transactional_id_is_not_asked_again():
    producer = Producer(2, 0)
    producer.coordinator.lookups_fail = [for_code(53)()]
    with pytest.raises(KafkaError):
        await producer.commit()


@again
async def test_an_undecided_bump_is_asked_for_again(code: int):
    producer = Producer(1, LOST, 0, code, (0, 7, 1))
    await producer.commit()
    assert producer.coordinator.kinds() == [EndTxnRequest, EndTxnRequest, BumpEpoch, BumpEpoch]
    assert producer.txn.producer_epoch == 1


@fenced
@pytest.mark.parametrize("version", [1, 2])
async def test_a_commit_that_is_not_ours_any_more_is_fenced(version: int, code: int):
    with pytest.raises(ProducerFenced):
        await Producer(version, code).commit()


@fenced
async def test_a_bump_of_a_former_owner_is_fenced(code: int):
    with pytest.raises(ProducerFenced):
        await Producer(1, LOST, 0, code).commit()


@unknown
@pytest.mark.parametrize("before", [(), (LOST, 0)], ids=["commit", "bump"])
async def test_any_other_answer_is_an_error_that_names_its_code(before: tuple[Any, ...], code: int):
    with pytest.raises(KafkaError, match=str(code)) as raised:
        await Producer(1, *before, code).commit()
    assert not isinstance(raised.value, ProducerFenced)
    assert isinstance(raised.value, TransactionAbortable) == (code == TransactionAbortable.errno)


class Batch:
    """Records on their way. outcome: their offset, or the error."""

    outcome: Any = None

    def done(self, offset: int, *_: Any) -> None:
        self.outcome = offset

    def failure(self, exception: KafkaError) -> None:
        self.outcome = exception


def produced(code: int) -> tuple[Batch, list[Any]]:
    """A batch after an answer to its Produce 12 with that code, and what is to be sent again."""
    batch, producer = Batch(), Producer(2)
    update: Any = lambda: None  # noqa: E731 - nobody waits for it here
    producer.coordinator.force_metadata_update = update  # type: ignore[method-assign]
    handler = _Version2Produce(producer.sender, {PLACE: batch})
    partition: tuple[Any, ...] = (PLACE.partition, code, 41, -1, 0, [], None, {})
    handler.handle_response(SimpleNamespace(API_VERSION=12, topics=[(PLACE.topic, [partition], {})]))
    return batch, handler._to_reenqueue


async def test_records_are_acknowledged_at_their_offset():
    batch, again = produced(0)
    assert (batch.outcome, again) == (41, [])


@pytest.mark.parametrize("code", [51, 6, 14, 15, 16, 19], ids=lambda code: for_code(code).__name__)
async def test_records_that_could_not_be_taken_yet_are_sent_again(code: int):
    batch, again = produced(code)
    assert (batch.outcome, again) == (None, [batch])


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (47, "ProducerFenced"),
        (90, "ProducerFenced"),
        (120, "TransactionAbortable"),
        (45, "OutOfOrderSequenceNumber"),
    ],
)
async def test_records_of_a_transaction_that_is_lost_fail(code: int, error: str):
    batch, again = produced(code)
    assert (type(batch.outcome).__name__, again) == (error, [])


def answer(level: int | None, produce: int = 12, end_txn: int = 5, others: int = 0) -> Any:
    """What a broker says to ApiVersions 3."""
    feature = b"" if level is None else b"\x14transaction.version" + level.to_bytes(2) * 2 + b"\0"
    other = b"\x0egroup.version" + (1).to_bytes(2) * 2 + b"\0"
    count = others + (level is not None)
    tags = {2: bytes([count + 1]) + other * others + feature} if count else {}
    return SimpleNamespace(API_VERSION=3, api_versions=[(0, 3, produce, {}), (26, 0, end_txn, {})], tags=tags)


@pytest.mark.parametrize(
    ("said", "version"),
    [
        (answer(2), 2),
        (answer(2, others=2), 2),
        (answer(3), 2),
        (answer(1), 1),
        (answer(0), 1),
        (answer(None), 1),
        (answer(None, others=1), 1),
        (answer(2, produce=11), 1),
        (answer(2, end_txn=4), 1),
        (SimpleNamespace(API_VERSION=0), 1),
    ],
)
def test_version_2_is_used_where_the_cluster_has_finalized_it_and_the_broker_speaks_it(
    said: Any, version: int
):
    assert transaction_version(said) == version
