"""TCP ports of this machine: which are free, and whether a Kafka answers on one. 127.0.0.1 only."""

import errno
import socket
import struct

HOST = "127.0.0.1"

_METADATA = 3
_ANSWER_TIMEOUT_S = 2.0
_TRIES = 100


def free_port(above: int = 0) -> int:
    """A port that nothing listens on now. Another process may take it before the caller does.

    above: how many of the next ports are free, too. Raises OSError if no such port is found.
    """
    for _ in range(_TRIES):
        port = _free_port()
        if all(map(is_free, range(port + 1, port + 1 + above))):
            return port
    raise OSError(errno.EADDRINUSE, f"no {above + 1} free ports in a row were found")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def is_free(port: int) -> bool:
    """Whether a server could listen on this port now."""
    with socket.socket() as probe:
        # As Java does: a connection in TIME_WAIT does not keep a server from starting again.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def kafka_answers(port: int) -> bool:
    """Whether a broker on this port answers a Metadata request and names itself as alive in it."""
    correlation_id, no_client_id, no_topics = 1, -1, 0
    request = struct.pack(">hhihi", _METADATA, 1, correlation_id, no_client_id, no_topics)
    try:
        with socket.create_connection((HOST, port), _ANSWER_TIMEOUT_S) as connection:
            connection.sendall(struct.pack(">i", len(request)) + request)
            answer = connection.recv(12, socket.MSG_WAITALL)
    except OSError:
        return False
    if len(answer) < 12:
        return False
    _size, answered_id, brokers = struct.unpack(">iii", answer)
    return bool(answered_id == correlation_id and brokers > 0)
