"""The viewers of the board and the latest event that they get."""

from collections.abc import Callable

from worker.board import Board


class Live:
    """The streams of one worker, and the latest parts as rendered."""

    def __init__(self) -> None:
        self.viewers = 0
        self._made_of: Board | None = None
        self._event = b""

    def event(self, board: Board, make: Callable[[Board], str]) -> bytes:
        """The server-sent event of a board. make: renders it, once for all viewers."""
        if board is not self._made_of:
            lines = make(board).splitlines()
            self._event = b"".join(b"data: %s\n" % line.encode() for line in lines) + b"\n"
            self._made_of = board
        return self._event
