"""Half the maximum load for a long time: memory must not grow, and the workers must keep up."""

import time
from collections.abc import Sequence
from itertools import islice
from typing import ClassVar

import psutil

from tests.faults.contents import Finite
from tests.faults.row import DOSES, Outcome
from tests.faults.stage import PARTITIONS, Stage
from tests.simulation.traffic import Traffic

_CUSTOMERS = 5_000
_TO_FIND_THE_MAXIMUM = 10_000
_EVERY_S = 2.0
_WARM_UP = 1 / 3
_LEAST_MINUTES = 5.0
_SLOPE_LIMIT_MB = 1.0
_LAG_LIMIT_S = 15.0


class Soak(Finite):
    """A long run under constant load. times: seconds.

    The slope of memory is checked in runs of at least five minutes, and without the first third.
    """

    name = "soak at half the maximum"
    times: ClassVar = (30, 1_800)

    def run(self, dose: str, seed: int) -> Outcome:
        started = time.monotonic()
        seconds = self.times[DOSES.index(dose)]
        burst = self.play(seed, islice(Traffic(seed, _CUSTOMERS, PARTITIONS), _TO_FIND_THE_MAXIMUM))
        half = burst.inputs / burst.seconds / 2
        with Stage(seed) as stage:
            with stage.traffic(Traffic(seed, _CUSTOMERS, PARTITIONS), half):
                stage.wait_until_working()
                samples = _sample(stage, seconds)
            ended = time.monotonic()
            stage.drain()
            lag_s = time.monotonic() - ended
            stage.stop_workers()
            outcome = Outcome(self.name, f"{seconds} s", stage.sent.count, stage.differences())
            outcome.differences += [*burst.differences, *self.broken_promises(stage)]
        slope = _slope(samples[int(len(samples) * _WARM_UP) :])
        if seconds >= 60 * _LEAST_MINUTES and slope > _SLOPE_LIMIT_MB:
            outcome.differences.append(f"memory grows by {slope:.2f} MB/min")
        if lag_s > _LAG_LIMIT_S:
            outcome.differences.append(f"{lag_s:.0f} s behind at the end")
        outcome.notes = {
            "inputs/s": f"{half:.0f}",
            "MB/min a worker": f"{slope:.2f}",
            "behind": f"{lag_s:.1f} s",
        }
        outcome.seconds = time.monotonic() - started
        return outcome


def _sample(stage: Stage, seconds: float) -> list[tuple[float, float]]:
    """Sample (minutes, average megabytes of a worker) while traffic flows."""
    started, samples = time.monotonic(), []
    while time.monotonic() - started < seconds:
        stage.look_after(_EVERY_S)
        stage.progress.follow()  # otherwise the end would read half an hour of positions at once, which would look like lag
        sizes = [member.memory_info().rss for member in psutil.Process().children() if _is_worker(member)]
        samples.append(((time.monotonic() - started) / 60, sum(sizes) / len(sizes) / 2**20))
    return samples


def _is_worker(process: psutil.Process) -> bool:
    return bool(process.cmdline()[-1:] == ["worker"])


def _slope(samples: Sequence[tuple[float, float]]) -> float:
    """The slope of the least-squares line, in megabytes per minute."""
    mean_x = sum(x for x, _ in samples) / len(samples)
    mean_y = sum(y for _, y in samples) / len(samples)
    spread = sum((x - mean_x) ** 2 for x, _ in samples)
    return sum((x - mean_x) * (y - mean_y) for x, y in samples) / spread


ROWS = (Soak,)
