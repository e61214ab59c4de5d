# mypy: disable-error-code="misc,no-any-return"
# aiokafka has no type information.
"""A transactional producer that knows the outcome of each commit.

See docs/architecture.md#invariant-9-the-outcome-of-a-commit-is-known.

If a connection is lost, its EndTxn request may still arrive later. aiokafka repeats the request and goes on. The late one
then ends the next transaction before all of its records have arrived. Two protocols prevent this:
- Transaction version 2 (KIP-890), if the cluster has finalized it: every answer to EndTxn brings a new epoch, so that a
  late request is refused. Brokers add partitions to a transaction by themselves.
- Version 1: EndTxn is repeated until it is answered. If one was not answered, the epoch is then bumped before anything
  else is sent. A late request has the old epoch, and is refused.

Other late requests:
- Produce: within an epoch, sequence numbers show that it is a repetition. One of an older epoch is refused. A broker of
  version 1 may then find the next records out of order, and the process ends.
- AddPartitionsToTxn (version 1 only): it adds partitions without records, which is harmless. If no transaction follows,
  it opens one, which the transaction time-out aborts. Then the next commit is refused, and the process ends.
- InitProducerId: it aborts the open transaction as a whole and bumps the epoch. The owner is refused, and ends.

Before the producer takes the transactional id over, it asks for the state of the former owner's last transaction
(worker.engine.isolation). Afterwards that state is lost.
"""

import asyncio
from collections import defaultdict
from enum import Enum, auto
from typing import Any

import aiokafka.producer.sender
import structlog
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.client import ConnectionGroup, CoordinationType
from aiokafka.errors import (
    IncompatibleBrokerVersion,
    KafkaError,
    MessageSizeTooLargeError,
    NodeNotReadyError,
    ProducerFenced,
    for_code,
)
from aiokafka.producer.sender import Sender, SendProduceReqHandler
from aiokafka.producer.transaction_manager import PidAndEpoch, TransactionState
from aiokafka.protocol.transaction import EndTxnRequest

from worker.engine.patches.messages import (
    ApiVersions,
    BumpEpoch,
    DescribeTransaction,
    EndTxn5,
    Produce12,
    transaction_version,
)
from worker.engine.unit import sent_bytes

log = structlog.get_logger(__name__)

_CONCURRENT_TRANSACTIONS = 51  # as the answer to Produce: the last transaction's markers are not written yet
_MARKERS_S = 0.005
_LATER = (14, 15, 16)  # the coordinator loads its log, does not exist yet, or has moved
_UNKNOWN_ID = 105
_COMMITTED = ("PrepareCommit", "CompleteCommit")
_FIRST_BACKOFF_S = 0.003
"""The first AddPartitionsToTxn after a commit is answered with CONCURRENT_TRANSACTIONS. aiokafka's wait of 20 ms would
halve the throughput of small transactions."""


def install() -> None:
    """Shorten the wait for the last transaction's markers, in all producers of this process."""
    aiokafka.producer.sender.BACKOFF_OVERRIDE = _FIRST_BACKOFF_S


class Meaning(Enum):
    """What an answer of the transaction coordinator means for the producer."""

    DONE = auto()
    AGAIN = auto()  # ask the same broker again
    ELSEWHERE = auto()  # look up the coordinator, and ask again
    FENCED = auto()  # this producer no longer owns the transaction; the process ends


# A code that is not listed ends the process as an unknown error. A repeated request is safe. It has the id, the epoch and
# the outcome of the first one. The coordinator answers it by the state of the transaction.
MEANINGS = {
    0: Meaning.DONE,  # also for a repeated request: the transaction ended as requested
    7: Meaning.ELSEWHERE,  # REQUEST_TIMED_OUT: its log was slow; the outcome is unknown until the next answer
    14: Meaning.AGAIN,  # COORDINATOR_LOAD_IN_PROGRESS: it loads its log, and then knows the outcome
    15: Meaning.ELSEWHERE,  # COORDINATOR_NOT_AVAILABLE: there is none yet, or its log lacks replicas
    16: Meaning.ELSEWHERE,  # NOT_COORDINATOR: it moved, and the new one loads the log
    47: Meaning.FENCED,  # INVALID_PRODUCER_EPOCH: a successor, or the abort after a time-out, bumped the epoch
    48: Meaning.FENCED,  # INVALID_TXN_STATE: the transaction ended with the other outcome
    49: Meaning.FENCED,  # INVALID_PRODUCER_ID_MAPPING: the transactional id has another producer id now
    51: Meaning.AGAIN,  # CONCURRENT_TRANSACTIONS: the outcome is decided and is being written to the partitions
    90: Meaning.FENCED,  # PRODUCER_FENCED: the same as 47, in newer versions
    # 35 UNSUPPORTED_VERSION: the feature changed while the worker ran; the next start asks again.
    # 53 TRANSACTIONAL_ID_AUTHORIZATION_FAILED: waiting does not help.
    # 120 TRANSACTION_ABORTABLE: the engine never goes on after an abort; the next start restores the committed state.
}


class CertainProducer(AIOKafkaProducer):
    """A transactional producer that knows the outcome of each commit.

    Takes AIOKafkaProducer's arguments; transactional_id is required.
    """

    _sender: Any

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        theirs = self._sender
        self._sender = CertainSender(
            self.client,
            acks=theirs._acks,
            txn_manager=self._txn_manager,
            message_accumulator=self._message_accumulator,
            retry_backoff_ms=theirs._retry_backoff * 1_000,
            request_timeout_ms=theirs._request_timeout_ms,
        )
        self._message_accumulator._batch_ttl = float("inf")  # the engine's own deadline bounds the wait

    def _serialize(self, key: Any, value: Any, headers: Any) -> tuple[Any, Any]:
        """Measure the record as aiokafka does; a header name may be any bytes (worker.engine.patches.builders)."""
        try:
            return super()._serialize(key, value, headers)
        except UnicodeEncodeError:
            if sent_bytes(key, value, headers) > self._max_request_size:
                raise MessageSizeTooLargeError("a record is larger than a request may be") from None
            return key, value

    @property
    def transaction_version(self) -> int:
        """The transaction version, 1 or 2. Decided at the start."""
        return int(self._sender.transaction_version)

    @property
    def former_had_committed(self) -> bool:
        """Whether the former owner had committed its last transaction, and begun no other one."""
        return bool(self._sender.former_had_committed)

    async def abandon(self) -> None:
        """Abort the open transaction. One more may then note the failure before the process ends."""
        if self._txn_manager.state in (TransactionState.IN_TRANSACTION, TransactionState.ABORTABLE_ERROR):
            await self.abort_transaction()


class CertainSender(Sender):
    """A sender that knows the outcome of a transaction before the next one begins."""

    transaction_version = 1
    former_had_committed = True
    _unanswered = False  # whether an EndTxn of this epoch may still arrive
    _ended = False  # whether the transaction has ended, and only the bump of the epoch is left

    async def start(self) -> None:
        """Decide on the transaction version, then take over the transactional id."""
        self.transaction_version = await self._finalized_version()
        self.former_had_committed = await self._had_committed()
        await super().start()

    async def _find_coordinator(self, kind: Any, key: str) -> Any:
        """The coordinator's node id. Asks again if the asked broker dies; aiokafka's would fail for good."""
        while True:
            try:
                return await super()._find_coordinator(kind, key)
            except KafkaError as error:
                if not getattr(error.__cause__, "retriable", False):
                    raise
            await self.client.force_metadata_update()
            await asyncio.sleep(self._retry_backoff)

    async def _had_committed(self) -> bool:
        """Whether the former owner's last transaction was committed. True if the cluster cannot say."""
        kind, name = CoordinationType.TRANSACTION, self._txn_manager.transactional_id
        while True:
            node_id = await self._find_coordinator(kind, name)
            try:
                answer = await self.client.send(
                    node_id, DescribeTransaction(name), group=ConnectionGroup.COORDINATION
                )
            except IncompatibleBrokerVersion:
                return True
            except KafkaError as error:
                log.warning("a coordinator does not tell of a transaction", error=type(error).__name__)
            else:
                error_code, _, state, *_ = answer.states[0]
                if error_code not in _LATER:
                    return error_code != _UNKNOWN_ID and (error_code != 0 or state in _COMMITTED)
            self._coordinator_dead(kind)
            await asyncio.sleep(self._retry_backoff)

    async def _finalized_version(self) -> int:
        while True:
            try:
                return transaction_version(
                    await self.client.send(self.client.get_random_node(), ApiVersions())
                )
            except KafkaError as error:
                log.warning("a broker does not tell its features", error=type(error).__name__)
                await self.client.force_metadata_update()
                await asyncio.sleep(self._retry_backoff)

    async def _send_produce_req(self, node_id: int, batches: dict[Any, Any]) -> None:
        if self.transaction_version == 1:
            await super()._send_produce_req(node_id, batches)
            return
        await _Version2Produce(self, batches).do(node_id)
        self._in_flight.remove(node_id)
        self._muted_partitions.difference_update(batches)

    def _maybe_do_transactional_request(self) -> Any:
        if self.transaction_version == 2:
            for partition in tuple(self._txn_manager.partitions_to_add()):
                self._txn_manager.partition_added(partition)
        return super()._maybe_do_transactional_request()

    async def _do_txn_commit(self, commit_result: int) -> None:
        """Do one step to the end of the transaction. The sender's loop calls this until the transaction is complete."""
        await self._message_accumulator.flush_for_commit()
        txn = self._txn_manager
        if not txn.is_empty_transaction():
            if not self._ended and not await self._end(bool(commit_result)):
                return
            if self._unanswered and not await self._bump():
                return
        self._ended = self._unanswered = False
        txn.complete_transaction()

    async def _end(self, committed: bool) -> bool:
        txn = self._txn_manager
        whose = (txn.transactional_id, txn.producer_id, txn.producer_epoch, committed)
        if self.transaction_version == 1:
            self._ended = await self._ask(EndTxnRequest(*whose)) is not None
        elif answer := await self._ask(EndTxn5(*whose)):
            self._go_on_with(answer)
            self._unanswered = False
            self._ended = True
        return self._ended

    async def _bump(self) -> bool:
        txn = self._txn_manager
        answer = await self._ask(
            BumpEpoch(txn.transactional_id, txn.transaction_timeout_ms, txn.producer_id, txn.producer_epoch)
        )
        if answer is None:
            return False
        self._go_on_with(answer)
        log.warning(
            "a commit was answered late, and its epoch ended",
            transactional_id=txn.transactional_id,
            epoch=txn.producer_epoch,
        )
        return True

    def _go_on_with(self, answer: Any) -> None:
        """Take the answer's producer id and epoch. Sequence numbers start again with each epoch."""
        self._txn_manager._pid_and_epoch = PidAndEpoch(answer.producer_id, answer.producer_epoch)
        self._txn_manager._sequence_numbers.clear()

    async def _ask(self, request: Any) -> Any | None:
        """Ask the coordinator once.

        Returns:
            Its answer if the request is done; None to ask again.

        Raises:
            ProducerFenced: this producer no longer owns the transaction.
            KafkaError: the error code is unknown, or the broker is too old.
        """
        kind = CoordinationType.TRANSACTION
        node_id = await self._find_coordinator(kind, self._txn_manager.transactional_id)
        try:
            answer = await self.client.send(node_id, request, group=ConnectionGroup.COORDINATION)
        except IncompatibleBrokerVersion:
            raise
        except NodeNotReadyError:  # nothing was sent
            meaning = Meaning.ELSEWHERE
        except KafkaError as error:
            log.warning("a commit was not answered", error=type(error).__name__)
            self._unanswered = True
            meaning = Meaning.ELSEWHERE
        else:
            meaning = _meaning(answer.error_code)
        if meaning is Meaning.DONE:
            return answer
        if meaning is Meaning.FENCED:
            log.warning("a commit was refused", error_code=answer.error_code)
            raise ProducerFenced
        if meaning is Meaning.ELSEWHERE:
            self._coordinator_dead(kind)
        await asyncio.sleep(self._retry_backoff)
        return None


def _meaning(error_code: int) -> Meaning:
    meaning = MEANINGS.get(error_code)
    if meaning is None:
        raise for_code(error_code)(f"error code {error_code}")
    return meaning


class _Version2Produce(SendProduceReqHandler):
    """Sends records without adding their partitions to the transaction first."""

    def create_request(self) -> Produce12:
        """The Produce request of the batches."""
        topics: dict[str, list[tuple[int, Any]]] = defaultdict(list)
        for tp, batch in self._batches.items():
            topics[tp.topic].append((tp.partition, batch.get_data_buffer()))
        return Produce12(self._sender._txn_manager.transactional_id, self._sender._request_timeout_ms, topics)

    def handle_response(self, response: Any) -> None:
        """Handle the answer as aiokafka does, in the form of the last version that it knows.

        Records that must wait for transaction markers are sent again.
        """
        topics = []
        for topic, partitions, _ in response.topics:
            others = []
            for number, error_code, *more in partitions:
                if error_code == _CONCURRENT_TRANSACTIONS:
                    self._to_reenqueue.append(self._batches[TopicPartition(topic, number)])
                    self._default_backoff = _MARKERS_S
                else:
                    others.append(_as_version_8(number, error_code, *more))
            topics.append((topic, others))
        response.topics = topics
        super().handle_response(response)


def _as_version_8(partition: int, error_code: int, *more: Any) -> tuple[Any, ...]:
    """The answer of a partition without its tags. aiokafka knows PRODUCER_FENCED only by its older code, 47."""
    return partition, 47 if error_code == 90 else error_code, *more[:-1]
