# mypy: disable-error-code="attr-defined,misc,no-any-return"
# Faust and aiokafka have few types.
"""What the members of the group tell of themselves, and what each learns of all at every assignment.

Rules:
- A member tells it in the metadata with which it joins. The group's leader passes all of it on to all members.
- The protocol's name holds the data format. So Kafka keeps workers of another format, and foreign programs, out of a
  group that our workers hold.
- If members of two installations are in one group, those of one end before they take anything over. It is the one with
  fewer members, or on a tie the one whose prefix sorts later.
"""

import zlib
from collections import Counter
from collections.abc import MutableMapping, Sequence
from typing import Any

import faust.assignor.partition_assignor
import msgspec
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata
from faust.assignor.client_assignment import CopartitionedAssignment
from faust.assignor.copartitioned_assignor import CopartitionedAssignor
from faust.assignor.partition_assignor import PartitionAssignor

from worker.engine.exits import ExitCode, die
from worker.engine.shares import copies, fair_shares
from worker.membership import Member, another_prefix
from worker.release import DATA_FORMAT

PROTOCOL = f"customer-context-{DATA_FORMAT}"
EARLIER_PROTOCOLS = frozenset({"faust", "customer-context-2"})
"""The protocol names of workers of earlier data formats, and of other programs made with Faust."""

_OURS, _ALL = "member", "members"


class _Joins(msgspec.Struct):
    member: Member


class _Learns(msgspec.Struct):
    members: list[Member]


def member_of(user_data: bytes) -> Member | None:
    """What a joining member told of itself.

    Args:
        user_data: the user data of its metadata, JSON.

    Returns:
        What it told; None if the member is not one of ours.
    """
    try:
        return msgspec.json.decode(user_data, type=_Joins).member
    except msgspec.MsgspecError:
        return None


class EngineAssignor(PartitionAssignor):
    """Faust's assignor, which also tells all members of each other."""

    @property
    def name(self) -> str:
        """The protocol's name, which holds the data format."""
        return PROTOCOL

    def metadata(self, topics: set[str]) -> ConsumerProtocolMemberMetadata:
        """Faust's metadata, with what this member tells of itself."""
        metadata = super().metadata(topics)
        said = _with(metadata.user_data, _OURS, self.app.me)
        return ConsumerProtocolMemberMetadata(self.version, list(topics), said)

    def _perform_assignment(
        self, cluster: Any, member_metadata: MutableMapping[str, ConsumerProtocolMemberMetadata]
    ) -> dict[str, ConsumerProtocolMemberAssignment]:
        said = [member_of(metadata.user_data) for metadata in member_metadata.values()]
        members = [member for member in said if member is not None]
        assigned = super()._perform_assignment(cluster, member_metadata)
        return {
            member_id: ConsumerProtocolMemberAssignment(
                self.version,
                assignment.assignment,
                self._compress(_with(self._decompress(assignment.user_data), _ALL, members)),
            )
            for member_id, assignment in assigned.items()
        }

    def on_assignment(self, assignment: ConsumerProtocolMemberAssignment) -> None:
        """Learn of all members, then let Faust take the assignment.

        Ends the process if another program assigned the group, or if this installation has to leave it.
        """
        try:
            learned = msgspec.json.decode(self._decompress(assignment.user_data), type=_Learns)
        except (msgspec.MsgspecError, zlib.error):
            die(
                ExitCode.WRONG_SETTINGS,
                "the group was assigned by a program that is not ours: use another APP_ID",
            )
        refuse_two_installations(self.app.me, learned.members)
        self.app.members = learned.members
        super().on_assignment(assignment)


class FairAssignor(CopartitionedAssignor):
    """Assigns by `fair_shares` and `copies`, through Faust's interface."""

    def get_assignment(self) -> dict[str, CopartitionedAssignment]:
        """The members' assignments, changed in place."""
        clients: dict[str, CopartitionedAssignment] = dict(self._client_assignments)
        held = {member: set(client.actives) for member, client in clients.items()}
        copied = {member: set(client.standbys) for member, client in clients.items()}
        shares = fair_shares(held, copied, self.num_partitions)
        copied_by = copies(shares, held, copied, self.num_partitions, self.replicas)
        for member, client in clients.items():
            client.actives, client.standbys = shares[member], copied_by[member]
        return clients


def install() -> None:
    """Let Faust's partition assignor give fair shares."""
    faust.assignor.partition_assignor.CopartitionedAssignor = FairAssignor


def refuse_two_installations(me: Member, members: Sequence[Member]) -> None:
    """End the process if the group has members of two installations, and this one has to leave."""
    count = Counter(member.prefix for member in members)
    stays = min(count, key=lambda prefix: (-count[prefix], prefix), default=me.prefix)
    if stays != me.prefix:
        die(ExitCode.WRONG_SETTINGS, another_prefix(me.prefix, stays))


def _with(user_data: bytes, name: str, what: Any) -> bytes:
    return msgspec.json.encode(msgspec.json.decode(user_data) | {name: what})
