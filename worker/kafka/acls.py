"""The least rights that the worker needs on a Kafka with an authorizer.

Rules:
- One list comes from the catalogue. The list that operators see is the list that the test of a whole run is granted.
- A topic's direction decides: inputs are read, outputs written, internal topics both. Commands are written too, because
  an HTTP write becomes one. `Read` and `Write` include `Describe`.
- DescribeConfigs lets the worker compare each topic's settings at start. Without it the worker only warns.
- Replaying dead letters is a separate list, for operators, and for workers whose desk shall do it. Nobody else may write
  customer.dead-letter-replays, because whoever can write it can hide letters from a replay.
- Creating topics is a separate list: an operator may create them (`customer-context topics`) and keep it from the worker.
"""

import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from worker.kafka.topics import Catalogue, Direction, Topic


class Resource(StrEnum):
    """What an ACL protects: Kafka's resource types, as kafka-acls names its options."""

    TOPIC = "topic"
    GROUP = "group"
    TRANSACTIONAL_ID = "transactional-id"


@dataclass(frozen=True, slots=True)
class Acl:
    """Operations allowed on one resource, by its literal name."""

    resource: Resource
    name: str
    operations: tuple[str, ...]


_BY_DIRECTION = {
    Direction.IN: ("Read",),
    Direction.OUT: ("Write",),
    Direction.INTERNAL: ("Read", "Write"),
}


def running(catalogue: Catalogue, topics: Iterable[Topic]) -> tuple[Acl, ...]:
    """The rights of a running worker, once the topics exist. topics: catalogue.all() with the tables."""
    return (
        *(_of_topic(catalogue, topic) for topic in topics),
        Acl(Resource.GROUP, catalogue.app_id, ("Read",)),
        *(
            Acl(Resource.TRANSACTIONAL_ID, f"{catalogue.app_id}-{number}", ("Write",))
            for number in range(catalogue.partitions)
        ),
    )


def replaying(catalogue: Catalogue) -> tuple[Acl, ...]:
    """The rights to read and replay dead letters, in the console and at the desk."""
    inputs = (catalogue.commands, catalogue.orders, catalogue.payments, catalogue.returns)
    return (
        Acl(Resource.TOPIC, catalogue.dead_letters.name, ("Read",)),
        Acl(Resource.TOPIC, catalogue.replays.name, ("Read", "Write", "DescribeConfigs")),
        *(Acl(Resource.TOPIC, topic.name, ("Write",)) for topic in inputs),
        Acl(Resource.TRANSACTIONAL_ID, f"{catalogue.app_id}-dead-letters-replay", ("Write",)),
    )


def creating(topics: Iterable[Topic]) -> tuple[Acl, ...]:
    """The further rights of the user who creates the topics."""
    return tuple(Acl(Resource.TOPIC, topic.name, ("Create",)) for topic in topics)


def command(acl: Acl, bootstrap: str, principal: str) -> str:
    """The call of Kafka's kafka-acls.sh that grants it. principal: such as User:customer-context."""
    words = ["kafka-acls.sh", "--bootstrap-server", bootstrap, "--add", "--allow-principal", principal]
    for operation in acl.operations:
        words += ["--operation", operation]
    return shlex.join([*words, f"--{acl.resource}", acl.name])


def _of_topic(catalogue: Catalogue, topic: Topic) -> Acl:
    operations = _BY_DIRECTION[topic.direction]
    if topic is catalogue.commands:
        operations = ("Read", "Write")
    elif topic is catalogue.replays:
        operations = ("Describe",)
    return Acl(Resource.TOPIC, topic.name, (*operations, "DescribeConfigs"))
