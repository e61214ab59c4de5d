"""Recovery of this worker against its marks: restarts with and without local files, takeovers of half the partitions.

Rules:
- A restart lasts from the start of the process to the visible event of an order that waited for it. So imports and
  joining the group count. The time for restoring is reported separately too.
- The marks are for MARKED_CUSTOMERS. With fewer customers, they are easier to meet.
- In the end, the sums of all orders must be right, including those of the restarts and takeovers.

Usage: python -m tests.benchmarks.recovery [--customers N] [--orders N] [--times N]
"""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from tests.benchmarks.kafka import Ends, Site
from tests.benchmarks.orders import Expected, Workload
from tests.benchmarks.peers import OURS
from tests.benchmarks.published import read
from tests.benchmarks.report import table
from tests.benchmarks.restart import back, restored
from tests.benchmarks.runner import Runner, command, runner, show
from tests.benchmarks.takeover import Stream, Takeover, of_halves
from tests.benchmarks.throughput import check, load, register, start, until_worked_off
from worker.broker.ports import free_port
from worker.engine.faust_app import SESSION_S

MARKED_CUSTOMERS = 1_000_000
INTACT_MARK_S, DELETED_MARK_S, TAKEOVER_MARK_S = 3.0, 10.0, SESSION_S + 2.0


class Restart(NamedTuple):
    """One restart. seconds: total time. restoring_s: the part for restoring. replayed: changelog records read."""

    seconds: float
    restoring_s: float
    replayed: int


class Recovery(NamedTuple):
    """All figures, in order of time."""

    workload: Workload
    intact: Sequence[Restart]
    deleted: Sequence[Restart]
    takeovers: Sequence[Takeover]


def measure(running: Runner, workload: Workload, times: int) -> Recovery:
    """Measure restarts and takeovers. times: how often each. Raises WrongResult on a wrong sum."""
    with running.place("recovery") as (site, folder):
        pid = running.broker.pid
        expected = _worked_off(running, site, folder, workload)
        restarts = []
        for number in range(times):
            running.told("restarts", number, times)
            intact = _restart(site, folder, pid, expected)
            shutil.rmtree(folder)
            restarts.append((intact, _restart(site, folder, pid, expected)))
        running.told("takeovers", 0, 1)
        stream = Stream(site, workload.customers, expected)
        takeovers = of_halves(site, (folder, folder.with_name("other")), pid, stream, times)
        check(OURS, read(site, Ends(site.bootstrap, site.catalogue.events.name).offsets()), expected)
    intact_ones, deleted_ones = zip(*restarts, strict=True)
    return Recovery(workload, intact_ones, deleted_ones, takeovers)


def markdown(recovery: Recovery) -> list[str]:
    """The section of the report, as lines of Markdown."""
    workload = recovery.workload
    rows = [
        *(_restarted("back with its files", each, INTACT_MARK_S) for each in recovery.intact),
        *(_restarted("back with none", each, DELETED_MARK_S) for each in recovery.deleted),
        *(
            ["takeover of a half", f"{each.replayed:,}", "-", *_marked(each.seconds, TAKEOVER_MARK_S)]
            for each in recovery.takeovers
        ),
    ]
    lines = [
        f"## Recovery: {workload.orders:,} orders of {workload.customers:,} customers",
        "",
        *table(["", "records replayed", "restoring, s", "in all, s", "mark, s", "kept"], rows),
        "",
        (
            "Back: from the start of the process to the visible event of an order that waited. Takeover: from the kill "
            f"of one of two workers, under traffic, with a session of {SESSION_S:.0f} s. Every final sum was right."
        ),
    ]
    if workload.customers < MARKED_CUSTOMERS:
        lines.append(f"The marks are those of {MARKED_CUSTOMERS:,} customers.")
    return lines


def _restarted(what: str, restart: Restart, mark_s: float) -> list[str]:
    restoring = f"{restart.restoring_s:.1f}"
    return [what, f"{restart.replayed:,}", restoring, *_marked(restart.seconds, mark_s)]


def _marked(seconds: float, mark_s: float) -> list[str]:
    return [f"{seconds:.1f}", f"{mark_s:.0f}", "yes" if seconds <= mark_s else "**NO**"]


def _worked_off(running: Runner, site: Site, folder: Path, workload: Workload) -> Expected:
    """Run a worker until it has registered the customers and counted their orders, then stop it."""
    with start(OURS, site, folder, running.broker.pid) as process:
        register(OURS, site, workload, process, running.told)
        before = Ends(site.bootstrap, site.catalogue.events.name).offsets()
        expected = load(site, workload, running.told)
        until_worked_off(OURS, site, expected, process, before, running.told)
    return expected


def _restart(site: Site, folder: Path, broker_pid: int, expected: Expected) -> Restart:
    port = free_port()
    with back(OURS, site, folder, broker_pid, expected, port) as (_, seconds):
        found = restored(port)
    return Restart(seconds, found.seconds, found.records)


def main(
    customers: Annotated[int, typer.Option(help="Customers.")] = MARKED_CUSTOMERS,
    orders: Annotated[int, typer.Option(help="Orders that they have had.")] = 200_000,
    times: Annotated[int, typer.Option(help="How often each is measured.")] = 3,
) -> None:
    """Measure restarts and takeovers of this worker; the report goes to build/bench/recovery.md."""
    with runner() as running:
        show("recovery", markdown(measure(running, Workload(orders, customers), times)))


if __name__ == "__main__":
    command(main)
