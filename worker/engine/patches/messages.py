# mypy: disable-error-code="misc"
# aiokafka has no type information, and these are subclasses of its own.
"""Kafka's messages for transactions that we need and aiokafka 0.14 lacks.

Their fields follow Kafka's clients/src/main/resources/common/message/*.json. All versions are flexible: strings and
arrays are compact, and tagged fields end every structure.
"""

from collections.abc import Mapping
from io import BytesIO
from typing import Any

from aiokafka.errors import BrokerResponseError, kafka_errors
from aiokafka.protocol.admin import ApiVersionRequest_v0
from aiokafka.protocol.api import Request, RequestStruct, Response, ResponseHeader_v0
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactBytes,
    CompactString,
    Int16,
    Int32,
    Int64,
    Schema,
    TaggedFields,
)

_STRING = CompactString("utf-8")
_PRODUCE, _API_VERSIONS, _INIT_PRODUCER_ID, _END_TXN, _DESCRIBE_TRANSACTIONS = 0, 18, 22, 26, 65
_FINALIZED_FEATURES = 2  # the tag of the field FinalizedFeatures
_FEATURES = CompactArray(
    ("name", _STRING), ("max_level", Int16), ("min_level", Int16), ("tags", TaggedFields)
)
_NO_TAGS: dict[int, bytes] = {}


class TransactionAbortable(BrokerResponseError):
    """The transaction can only be aborted (KIP-890)."""

    errno = 120
    message = "TRANSACTION_ABORTABLE"
    description = "The transaction cannot be committed any more."


def install() -> None:
    """Register the error with aiokafka under its number."""
    kafka_errors[TransactionAbortable.errno] = TransactionAbortable


class _ApiVersionsResponse(Response):
    API_KEY, API_VERSION = _API_VERSIONS, 3
    SCHEMA = Schema(
        ("error_code", Int16),
        (
            "api_versions",
            CompactArray(("key", Int16), ("min", Int16), ("max", Int16), ("tags", TaggedFields)),
        ),
        ("throttle_time_ms", Int32),
        ("tags", TaggedFields),
    )


class _ApiVersionsRequest(RequestStruct):
    API_KEY, API_VERSION, FLEXIBLE_VERSION = _API_VERSIONS, 3, True
    RESPONSE_TYPE = _ApiVersionsResponse
    SCHEMA = Schema(("name", _STRING), ("version", _STRING), ("tags", TaggedFields))

    def parse_response_header(self, read_buffer: BytesIO | bytes) -> Any:
        """Decode the header without tags. It has none in any version, so that every client can read it (KIP-511)."""
        return ResponseHeader_v0.decode(read_buffer)


class ApiVersions(Request[_ApiVersionsRequest]):
    """Asks for the API versions of a broker and the finalized features of its cluster.

    Before Kafka 2.4 the answer has no features.
    """

    API_KEY = _API_VERSIONS

    def prepare(self, versions: Mapping[int, tuple[int, int]]) -> Any:
        """The request of version 3; of version 0 for a broker before Kafka 2.4."""
        _, newest = versions.get(_API_VERSIONS, (0, 0))
        return self.build(_ApiVersionsRequest) if newest >= 3 else ApiVersionRequest_v0()

    def build(self, request_struct_class: type[_ApiVersionsRequest]) -> _ApiVersionsRequest:
        """The request of version 3."""
        return request_struct_class("customer-context", "1", _NO_TAGS)


def transaction_version(answer: Any) -> int:
    """The transaction version to use: 2 if the cluster has finalized it and the broker supports its messages, else 1.

    Args:
        answer: the answer to ApiVersions.
    """
    if answer.API_VERSION < 3:
        return 1
    newest = {key: high for key, _, high, _ in answer.api_versions}
    speaks_it = newest.get(_PRODUCE, 0) >= 12 and newest.get(_END_TXN, 0) >= 5
    finalized = answer.tags.get(_FINALIZED_FEATURES)
    features = _FEATURES.decode(BytesIO(finalized)) if finalized else ()
    level = {name: highest for name, highest, *_ in features or ()}.get("transaction.version", 0)
    return 2 if speaks_it and level >= 2 else 1


class _InitProducerIdResponse(Response):
    API_KEY, API_VERSION = _INIT_PRODUCER_ID, 3
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("error_code", Int16),
        ("producer_id", Int64),
        ("producer_epoch", Int16),
        ("tags", TaggedFields),
    )


class _InitProducerIdRequest(RequestStruct):
    API_KEY, API_VERSION, FLEXIBLE_VERSION = _INIT_PRODUCER_ID, 3, True
    RESPONSE_TYPE = _InitProducerIdResponse
    SCHEMA = Schema(
        ("transactional_id", _STRING),
        ("timeout_ms", Int32),
        ("producer_id", Int64),
        ("producer_epoch", Int16),
        ("tags", TaggedFields),
    )


class BumpEpoch(Request[_InitProducerIdRequest]):
    """InitProducerId 3 with the current id and epoch (KIP-360).

    Gives the next epoch, unless another producer has bumped it.
    """

    API_KEY = _INIT_PRODUCER_ID

    def __init__(self, transactional_id: str, timeout_ms: int, producer_id: int, epoch: int) -> None:
        self._values = (transactional_id, timeout_ms, producer_id, epoch, _NO_TAGS)

    def build(self, request_struct_class: type[_InitProducerIdRequest]) -> _InitProducerIdRequest:
        """The request of version 3, the only one that this class knows."""
        return request_struct_class(*self._values)


class _EndTxnResponse(Response):
    API_KEY, API_VERSION = _END_TXN, 5
    SCHEMA = _InitProducerIdResponse.SCHEMA


class _EndTxnRequest(RequestStruct):
    API_KEY, API_VERSION, FLEXIBLE_VERSION = _END_TXN, 5, True
    RESPONSE_TYPE = _EndTxnResponse
    SCHEMA = Schema(
        ("transactional_id", _STRING),
        ("producer_id", Int64),
        ("producer_epoch", Int16),
        ("committed", Boolean),
        ("tags", TaggedFields),
    )


class EndTxn5(Request[_EndTxnRequest]):
    """Ends a transaction of version 2. The answer has the producer id and epoch of the next transaction."""

    API_KEY = _END_TXN

    def __init__(self, transactional_id: str, producer_id: int, epoch: int, committed: bool) -> None:
        self._values = (transactional_id, producer_id, epoch, committed, _NO_TAGS)

    def build(self, request_struct_class: type[_EndTxnRequest]) -> _EndTxnRequest:
        """The request of version 5, the only one that this class knows."""
        return request_struct_class(*self._values)


class _ProduceResponse(Response):
    API_KEY, API_VERSION = _PRODUCE, 12
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(
                ("topic", _STRING),
                (
                    "partitions",
                    CompactArray(
                        ("partition", Int32),
                        ("error_code", Int16),
                        ("offset", Int64),
                        ("timestamp", Int64),
                        ("log_start_offset", Int64),
                        (
                            "record_errors",
                            CompactArray(("batch_index", Int32), ("text", _STRING), ("tags", TaggedFields)),
                        ),
                        ("error_message", _STRING),
                        ("tags", TaggedFields),
                    ),
                ),
                ("tags", TaggedFields),
            ),
        ),
        ("throttle_time_ms", Int32),
        ("tags", TaggedFields),
    )


class _ProduceRequest(RequestStruct):
    API_KEY, API_VERSION, FLEXIBLE_VERSION = _PRODUCE, 12, True
    RESPONSE_TYPE = _ProduceResponse
    SCHEMA = Schema(
        ("transactional_id", _STRING),
        ("required_acks", Int16),
        ("timeout_ms", Int32),
        (
            "topics",
            CompactArray(
                ("topic", _STRING),
                (
                    "partitions",
                    CompactArray(("partition", Int32), ("records", CompactBytes), ("tags", TaggedFields)),
                ),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class Produce12(Request[_ProduceRequest]):
    """Records of a transaction of version 2. The broker itself adds their partitions to the transaction.

    Args:
        transactional_id: of the producer.
        timeout_ms: how long the broker may wait for replicas.
        topics: topic -> (partition, record batch) pairs.
    """

    API_KEY = _PRODUCE

    def __init__(
        self, transactional_id: str, timeout_ms: int, topics: Mapping[str, list[tuple[int, Any]]]
    ) -> None:
        self.required_acks = -1
        self._start = (transactional_id, self.required_acks, timeout_ms)
        self._topics = topics

    def build(self, request_struct_class: type[_ProduceRequest]) -> _ProduceRequest:
        """The request of version 12."""
        topics = [
            (topic, [(partition, records, _NO_TAGS) for partition, records in parts], _NO_TAGS)
            for topic, parts in self._topics.items()
        ]
        return request_struct_class(*self._start, topics, _NO_TAGS)


class _DescribeTransactionsResponse(Response):
    API_KEY, API_VERSION = _DESCRIBE_TRANSACTIONS, 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "states",
            CompactArray(
                ("error_code", Int16),
                ("transactional_id", _STRING),
                ("state", _STRING),
                ("timeout_ms", Int32),
                ("started_ms", Int64),
                ("producer_id", Int64),
                ("producer_epoch", Int16),
                (
                    "topics",
                    CompactArray(
                        ("topic", _STRING), ("partitions", CompactArray(Int32)), ("tags", TaggedFields)
                    ),
                ),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _DescribeTransactionsRequest(RequestStruct):
    API_KEY, API_VERSION, FLEXIBLE_VERSION = _DESCRIBE_TRANSACTIONS, 0, True
    RESPONSE_TYPE = _DescribeTransactionsResponse
    SCHEMA = Schema(("transactional_ids", CompactArray(_STRING)), ("tags", TaggedFields))


class DescribeTransaction(Request[_DescribeTransactionsRequest]):
    """Asks for the state of the last transaction of a transactional id (KIP-664, Kafka 3.0)."""

    API_KEY = _DESCRIBE_TRANSACTIONS

    def __init__(self, transactional_id: str) -> None:
        self._transactional_id = transactional_id

    def build(self, request_struct_class: type[_DescribeTransactionsRequest]) -> _DescribeTransactionsRequest:
        """The request of version 0, the only one that this class knows."""
        return request_struct_class([self._transactional_id], _NO_TAGS)
