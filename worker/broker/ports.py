"""TCP ports of this machine: which are free, and whether a Kafka answers on one. 127.0.0.1 only."""

import socket
import struct

HOST = "127.0.0.1"

_API_VERSIONS = 18
_ANSWER_TIMEOUT_S = 2.0


def free_port() -> int:
    """A port that nothing listens on now. Another process may take it before the caller does."""
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
    """Whether a broker on this port answers an ApiVersions request without an error."""
    correlation_id = 1
    request = struct.pack(">hhih", _API_VERSIONS, 0, correlation_id, -1)  # version 0, no client id
    try:
        with socket.create_connection((HOST, port), _ANSWER_TIMEOUT_S) as connection:
            connection.sendall(struct.pack(">i", len(request)) + request)
            answer = connection.recv(10, socket.MSG_WAITALL)
    except OSError:
        return False
    if len(answer) < 10:
        return False
    _size, answered_id, error_code = struct.unpack(">iih", answer)
    return (answered_id, error_code) == (correlation_id, 0)
