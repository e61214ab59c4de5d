"""The bounds of what waits, and of one step of the work on it. Tests use smaller ones."""

from typing import NamedTuple


class Bounds(NamedTuple):
    """The bounds of one worker.

    Attributes:
        waiting: inputs that wait for one customer, or payments that wait for one order.
        queued: inputs of a customer that queue behind an email claim. In a longer queue that is being processed, each
            new input also does a step of the work (agents.parking.release).
        step_s: how long a step may take.
        step_owners: customers and orders of a step.
        step_inputs: inputs of a step.
        step_bytes: size of the values of a step's inputs.
        step_results: results that a step of an erasure deletes.
        slice_rows: rows that a sweep reads at once.
        slice_bytes: size of their values.
        found: owners with unfinished work. With as many, a sweep pauses.
    """

    waiting: int = 1_000
    queued: int = 1_000
    step_s: float = 0.02
    step_owners: int = 100
    step_inputs: int = 100
    step_bytes: int = 1 << 20
    step_results: int = 500
    slice_rows: int = 1_000
    slice_bytes: int = 4 << 20
    found: int = 1_000

    @property
    def any_queue(self) -> int:
        """Inputs of any queue. With Unit.apart a new input does no step, so a queue may grow longer."""
        return 10 * self.queued


BOUNDS = Bounds()
