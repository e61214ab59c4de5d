"""Sizes, time limits and numbers of parallel requests of the HTTP API."""

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of one worker's API. Tests use other values.

    Attributes:
        body_bytes: size of a request's body.
        client_s: time for a client's headers, time for its body, and idle time of a connection.
        result_s: time for the result of a command. After it the answer is 202.
        keys_s: pause between two checks whether the JWKS file changed.
        connect_s: time to connect to another worker.
        read_s: time for another worker's answer to a read.
        write_s: time for another worker's answer to a write. Longer than result_s, because it may answer 202 then.
        forwarded: parallel requests to other workers.
        forwarded_per_worker: parallel requests to one other worker.
        answer_bytes: size of another worker's answer.
    """

    body_bytes: int = 65_536
    client_s: float = 10.0
    result_s: float = 5.0
    keys_s: float = 5.0
    connect_s: float = 1.0
    read_s: float = 2.0
    write_s: float = 5.5
    forwarded: int = 512
    forwarded_per_worker: int = 256
    answer_bytes: int = 4 << 20
