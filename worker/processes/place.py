"""What the supervisor tells each process at its start."""

import msgspec

STATE_HOST = "127.0.0.1"
"""Where processes tell each other their state."""


class Place(msgspec.Struct, frozen=True):
    """The place of one process among those of its worker. A file descriptor is a bound socket that it inherits.

    Attributes:
        number: of this process, from 0.
        web: file descriptors of WEB_PORT's sockets, which all processes share.
        metrics: the same of METRICS_PORT; empty without METRICS_PORT.
        state: file descriptor of the socket where the siblings ask this process for its own state.
        state_ports: the ports of those sockets on STATE_HOST, by the number of the process.
        url: where all processes answer.
        secret: known to these processes alone. It proves that a sibling asks. While HTTP is open, it is the key of the
            desk's forms, too. So a form of one process may be sent to another.
    """

    number: int
    web: tuple[int, ...]
    metrics: tuple[int, ...]
    state: int
    state_ports: tuple[int, ...]
    url: str
    secret: bytes

    @property
    def files(self) -> tuple[int, ...]:
        """All file descriptors that the process inherits."""
        return (*self.web, *self.metrics, self.state)


def encode(place: Place) -> bytes:
    """One line of JSON."""
    return msgspec.json.encode(place) + b"\n"


def decode(line: bytes) -> Place:
    """The place of `encode`. Raises ValueError if the line is none."""
    return msgspec.json.decode(line, type=Place)
