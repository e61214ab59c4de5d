"""What the desk says when Kafka does not let this worker read or send dead letters. No sentence holds a key or value."""

from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    KafkaError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)

from worker.kafka.reader import NoSuchTopic

_NOT_ALLOWED = (
    "Kafka does not let this worker read or replay dead letters. Give it the ACLs of operators who replay them: "
    "`customer-context topics --print-acls` prints them."
)
_AUTHORIZATION = (
    ClusterAuthorizationFailedError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)
_SILENT = "Kafka does not answer. Try again."
_UNEXPECTED = "The dead letters cannot be used because of an error. The log of this worker says which."


def sentence(error: Exception) -> str:
    """Why the letters are not available."""
    if isinstance(
        error, (*_AUTHORIZATION, NoSuchTopic)
    ):  # a topic that a client may not see does not exist for it
        return _NOT_ALLOWED
    return _SILENT if isinstance(error, KafkaError | TimeoutError) else _UNEXPECTED
