# mypy: disable-error-code="misc"
# aiokafka has no type information, and these are subclasses of its own.
"""Kafka's clock: DescribeQuorum, which aiokafka does not have.

The leader of the metadata quorum reports when it last caught up with itself, which is its current time (KIP-836). No
other request returns a broker's time without a write. It needs the right Describe on the cluster.
"""

from typing import Any

from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import CompactArray, CompactString, Int16, Int32, Int64, Schema, TaggedFields

_TOPIC = "__cluster_metadata"
_REPLICAS = CompactArray(
    ("replica", Int32),
    ("end", Int64),
    ("last_fetch_ms", Int64),
    ("last_caught_up_ms", Int64),
    ("tags", TaggedFields),
)


class DescribeQuorumResponse_v1(Response):  # noqa: N801 (as aiokafka names its own)
    """The fields of Kafka's DescribeQuorumResponse.json, version 1."""

    API_KEY = 55
    API_VERSION = 1
    SCHEMA = Schema(
        ("error_code", Int16),
        (
            "topics",
            CompactArray(
                ("topic", CompactString("utf-8")),
                (
                    "partitions",
                    CompactArray(
                        ("partition", Int32),
                        ("error_code", Int16),
                        ("leader", Int32),
                        ("epoch", Int32),
                        ("high_watermark", Int64),
                        ("voters", _REPLICAS),
                        ("observers", _REPLICAS),
                        ("tags", TaggedFields),
                    ),
                ),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class DescribeQuorumRequest_v1(RequestStruct):  # noqa: N801
    """The fields of Kafka's DescribeQuorumRequest.json, version 1."""

    FLEXIBLE_VERSION = True
    API_KEY = 55
    API_VERSION = 1
    RESPONSE_TYPE = DescribeQuorumResponse_v1
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(
                ("topic", CompactString("utf-8")),
                ("partitions", CompactArray(("partition", Int32), ("tags", TaggedFields))),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class DescribeQuorum(Request[DescribeQuorumRequest_v1]):
    """Ask for the metadata quorum."""

    API_KEY = 55

    def build(self, request_struct_class: type[DescribeQuorumRequest_v1]) -> DescribeQuorumRequest_v1:
        """The request for the one partition of the metadata topic."""
        return request_struct_class([(_TOPIC, [(0, {})], {})], {})


def leaders_clock(answer: Any) -> int | None:
    """The leader's time in milliseconds since 1970; None when we lack the right to see it, or it is not known."""
    if answer.error_code:
        return None
    for _, partitions, _ in answer.topics:
        for _, error_code, leader, _, _, voters, _, _ in partitions:
            for replica, _, _, caught_up_ms, _ in voters:
                if not error_code and replica == leader and caught_up_ms > 0:
                    return int(caught_up_ms)
    return None
