"""What the worker may do on a Kafka with an authorizer, and no more.

Rules:
- One list, from the catalogue: what is printed for operators is what the test of a whole run is granted.
- A topic's direction decides: inputs are read, outputs written, internal topics both. Commands are written too, because
  an HTTP write becomes one. `Read` and `Write` include `Describe`.
- DescribeConfigs lets the worker compare each topic's settings at start; without it they would only be a warning.
- Creating topics is a separate list: an operator may create them (`customer-context topics`) and keep it from the worker.
"""

import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from worker.topics import Catalogue, Direction, Topic


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
    """What a worker needs while it runs, once the topics exist. topics: catalogue.all() with the tables."""
    return (
        *(_of_topic(catalogue, topic) for topic in topics),
        Acl(Resource.GROUP, catalogue.app_id, ("Read",)),
        *(
            Acl(Resource.TRANSACTIONAL_ID, f"{catalogue.app_id}-{number}", ("Write",))
            for number in range(catalogue.partitions)
        ),
    )


def creating(topics: Iterable[Topic]) -> tuple[Acl, ...]:
    """What who creates the topics needs beside that."""
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
    return Acl(Resource.TOPIC, topic.name, (*operations, "DescribeConfigs"))
