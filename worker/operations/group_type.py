# mypy: disable-error-code="misc"
# aiokafka has no type information, and these are subclasses of its own.
"""Whether a consumer group is of the newer protocol (KIP-848), which aiokafka cannot describe, and has members.

The fields are those of Kafka's ListGroupsRequest.json and ListGroupsResponse.json, version 5.
"""

from collections.abc import Mapping
from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import for_code
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import CompactArray, CompactString, Int16, Int32, Schema, TaggedFields

_LIST_GROUPS, _VERSION = 16, 5
_STRING = CompactString("utf-8")
_CLASSIC, _EMPTY = "classic", "Empty"


class _ListGroupsResponse(Response):
    API_KEY, API_VERSION = _LIST_GROUPS, _VERSION
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("error_code", Int16),
        (
            "groups",
            CompactArray(
                ("group_id", _STRING),
                ("protocol_type", _STRING),
                ("group_state", _STRING),
                ("group_type", _STRING),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _ListGroupsRequest(RequestStruct):
    API_KEY, API_VERSION, FLEXIBLE_VERSION = _LIST_GROUPS, _VERSION, True
    RESPONSE_TYPE = _ListGroupsResponse
    SCHEMA = Schema(
        ("states_filter", CompactArray(_STRING)),
        ("types_filter", CompactArray(_STRING)),
        ("tags", TaggedFields),
    )


class _ListGroups(Request[_ListGroupsRequest]):
    API_KEY = _LIST_GROUPS

    def build(self, request_struct_class: type[_ListGroupsRequest]) -> _ListGroupsRequest:
        return request_struct_class([], [], {})

    def prepare(self, versions: Mapping[int, tuple[int, int]]) -> Any:
        """Raises _NoTypes where the broker is too old to know types."""
        _, newest = versions.get(_LIST_GROUPS, (0, 0))
        if newest < _VERSION:
            raise _NoTypes
        return self.build(_ListGroupsRequest)


class _NoTypes(Exception):
    """The broker is older than the types of groups."""


async def is_of_another_type(client: Mapping[str, Any], group: str, coordinator: int) -> bool:
    """Whether the group has members that do not use the classic protocol.

    Args:
        client: aiokafka client arguments.
        group: the id of the consumer group.
        coordinator: the id of the node that coordinates the group.
    """
    connection = AIOKafkaClient(**client)
    try:
        await connection.bootstrap()
        answer = await connection.send(coordinator, _ListGroups())
    except _NoTypes:
        return False
    finally:
        await connection.close()
    if answer.error_code:
        raise for_code(answer.error_code)("listing the groups")
    return any(
        name == group and kind.lower() != _CLASSIC and state != _EMPTY
        for name, _, state, kind, _ in answer.groups
    )
