"""The stage of a fault row: one real broker, supervised workers, continuous traffic, and the final check.

Everything is in one temporary folder and ends with the stage. If the variable FAULTS_LOGS names a folder, the workers'
logs are copied there. Each worker is a `customer-context worker` with its own data folder. Only rows with a named point,
a wrong clock or a disabled protection use tests.faults.launcher.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

from tables import needed
from tests.faults.configure import configure
from tests.faults.progress import Progress
from tests.faults.proxy import Proxy
from tests.faults.sender import Handed, Sender, Watcher
from tests.records import Record, latest, read
from tests.simulation.check import Seen, differences
from tests.simulation.sent import Message
from tests.supervised import Supervised, look_after_until
from worker.broker import EmbeddedKafka
from worker.engine.store import RocksStores
from worker.kafka.topics import Catalogue
from worker.wire.rules_file import load_rules

SESSION_S = 6.0
PARTITIONS = 8
_READY_S = 120.0  # a limit, not a mark: three nodes and two workers start on few cores
DRAIN_S = 180.0
_SMALL_DISK_BYTES = 256 << 20
_RATES = Path(__file__).parents[1] / "simulation" / "rates.toml"
_PREFIX = "CUSTOMER_CONTEXT_"

WORKER = (sys.executable, "-m", "worker.cli", "worker")
LAUNCHER = (sys.executable, "-m", "tests.faults.launcher", "worker")


class Stage:
    """One run of a row. Use as a context manager.

    proxied: whether workers and clients reach the broker through `proxy`. environment: variables of all workers.
    launcher: whether workers start with faults built in. small_disk: whether the first worker's data folder is a small
    separate disk, if this machine allows it (has_small_disk).
    """

    def __init__(
        self,
        seed: int,
        *,
        workers: int = 2,
        proxied: bool = False,
        launcher: bool = False,
        small_disk: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.random = Random(f"faults {seed}")
        self.catalogue = Catalogue(partitions=PARTITIONS, payment_join=True)
        self.crew: list[Supervised] = []
        self.strikes: list[float] = []
        self.sent = Handed()
        self._command = LAUNCHER if launcher else WORKER
        self._environment = dict(environment or {})
        self._proxied = proxied
        self.has_small_disk = small_disk
        self._wanted = workers
        self._exit = ExitStack()

    def __enter__(self) -> Self:
        with self._exit:
            self.folder = Path(self._exit.enter_context(TemporaryDirectory(prefix="faults-")))
            (self.folder / "tokens").mkdir()
            self.bootstrap = self._start_kafka()
            subprocess.run([*WORKER[:-1], "topics"], env=self._env(0), check=True, capture_output=True)
            if self.has_small_disk:
                self._mount_small_disk()
            self.progress = self._exit.enter_context(Progress(self.bootstrap, self.catalogue, PARTITIONS))
            self._exit.callback(self._end_crew)
            for _ in range(self._wanted):
                self.start_worker()
            outputs = (self.catalogue.events.name, self.catalogue.results.name)
            self.watcher = self._exit.enter_context(Watcher(self.bootstrap, outputs, PARTITIONS))
            self._exit = self._exit.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if logs := os.environ.get("FAULTS_LOGS"):
            for log in self.folder.glob("*.log"):
                shutil.copy(log, logs)
        self._exit.close()

    def _start_kafka(self) -> str:
        """Start the broker, and its proxy if wanted. Returns the address for all clients."""
        self.proxy = self._exit.enter_context(Proxy()) if self._proxied else None
        self.broker = EmbeddedKafka(
            self.folder / "kafka", advertised_port=self.proxy.port if self.proxy else None
        )
        self._exit.callback(self.broker.stop)
        self.broker.start()
        if self.proxy is None:
            return self.broker.bootstrap
        self.proxy.target = int(self.broker.bootstrap.rpartition(":")[2])
        return f"127.0.0.1:{self.proxy.port}"

    # -- workers

    def start_worker(self, **environment: str) -> Supervised:
        """Start another worker. Its place in the crew numbers its data folder. Its log is new, even after others left."""
        number, logs = len(self.crew), list(self.folder.glob("worker-*.log"))
        log = self.folder / f"worker-{len(logs)}.log"
        member = Supervised(self._command, self._env(number) | environment, log)
        self.crew.append(member)
        return member

    def data_folder(self, number: int) -> Path:
        """The DATA_DIR of a worker."""
        return self.folder / f"data-{number}"

    def store_of(self, member: Supervised) -> Path:
        """The folder of a worker's local stores."""
        return self.data_folder(self.crew.index(member)) / "store"

    def wait_until_working(self) -> None:
        """Wait until every worker processes, restarted ones included."""

        def all_work() -> bool:
            return all('"processing"' in member.log_of_this_life for member in self.crew)

        ready = look_after_until(self.crew, all_work, _READY_S)
        assert ready, "\n\n".join(member.end_of_log for member in self.crew)

    def look_after(self, seconds: float) -> None:
        """Supervise the workers for some seconds."""
        look_after_until(self.crew, lambda: False, seconds)

    def look_after_until(self, done: Callable[[], bool], within_s: float) -> bool:
        """Supervise the workers until `done` holds. Returns whether it did in time."""
        return look_after_until(self.crew, done, within_s)

    def look_after_until_all_work(self, since: float, within_s: float = 40.0) -> None:
        """Supervise until every partition has had output since that moment (time.monotonic)."""
        works = self.look_after_until(lambda: not self.watcher.silent_since(since), within_s)
        stuck = self.watcher.silent_since(since)
        assert works, f"partitions {stuck} show nothing\n" + "\n\n".join(m.end_of_log for m in self.crew)

    def strike(self, number: signal.Signals) -> Supervised:
        """Send a signal to a random worker, and record the time."""
        member = self.random.choice(self.crew)
        self.strikes.append(time.monotonic())
        member.signal(number)
        return member

    @property
    def exits(self) -> list[int]:
        """The exit codes of all workers so far."""
        return [code for member in self.crew for code in member.exits]

    def start_broker(self) -> None:
        """Start the broker, and supervise until it is up."""
        with ThreadPoolExecutor(1) as thread:
            starting = thread.submit(self.broker.start)
            while not starting.done():
                self.look_after(0.1)
            starting.result()

    @contextmanager
    def stopped(self, number: int) -> Iterator[None]:
        """Inside this context, the worker is stopped and is not restarted."""
        self.crew[number].signal(signal.SIGTERM)
        self.crew[number].wait(15.0)
        yield

    @property
    def last_words(self) -> list[str]:
        """The reasons that workers logged before they ended themselves."""
        return [line for member in self.crew for line in member.log.splitlines() if '"worker ends"' in line]

    def _end_crew(self) -> None:
        for member in self.crew:
            member.end()

    def _mount_small_disk(self) -> None:
        folder = self.data_folder(0)
        folder.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={_SMALL_DISK_BYTES}", "tmpfs", str(folder)]
        self.has_small_disk = subprocess.run(mount, capture_output=True).returncode == 0
        if self.has_small_disk:
            self._exit.callback(subprocess.run, ["umount", str(folder)], check=True)

    def _env(self, number: int) -> dict[str, str]:
        settings = {
            "BOOTSTRAP_SERVERS": self.bootstrap,
            "PARTITIONS": str(PARTITIONS),
            "DATA_DIR": str(self.data_folder(number)),
            "WEB_PORT": "0",
            "PAYMENT_JOIN": "on",
            "RULES_FILE": str(_RATES),
            "LOG_FORMAT": "json",
        }
        root = {"PYTHONPATH": str(Path(__file__).parents[2]), "FAULTS_TOKENS": str(self.folder / "tokens")}
        return os.environ | {_PREFIX + name: v for name, v in settings.items()} | root | self._environment

    # -- traffic and its check

    def take_any_timestamp(self) -> None:
        """Configure the input topics to accept any record timestamp, even far in the future."""
        catalogue = self.catalogue
        for topic in (catalogue.commands, catalogue.orders, catalogue.returns, catalogue.payments):
            configure(self.bootstrap, topic.name, "message.timestamp.after.max.ms", str(2**63 - 1))

    def traffic(self, messages: Iterable[Message], per_second: float, clock_s: float = 0.0) -> Sender:
        """A sender whose messages the check takes into account. clock_s: the error of its clock in seconds."""
        sender = Sender(self.bootstrap, messages, per_second, clock_s)
        sender.sent = self.sent
        return sender

    def takeovers(self) -> list[float]:
        """For each strike, the seconds until every partition worked again."""
        return [self.watcher.longest_after(*span) for span in pairwise([*self.strikes, float("inf")])]

    def drain(self, within_s: float = DRAIN_S) -> None:
        """Wait until all messages are processed, what followed from them inside, and the stored work that they began.

        An owner that ends in the middle of such work leaves it to the next one's sweep. That may be a minute later.
        """
        drained = self.look_after_until(self._is_drained, within_s)
        drained = drained and self.look_after_until(self._nothing_is_begun, within_s)
        assert drained, f"left: {self.progress.unread()}\n" + "\n\n".join(
            member.end_of_log for member in self.crew
        )

    def stop_workers(self) -> list[int]:
        """Send SIGTERM to all workers. Returns their exit codes."""
        for member in self.crew:
            member.signal(signal.SIGTERM)
        return [member.wait(15.0) for member in self.crew]

    def differences(self) -> list[str]:
        """Everything wrong in the topics, the tables and the local stores, and all findings of `customer-context verify`."""
        catalogue = self.catalogue
        for topic in (catalogue.commands, catalogue.orders, catalogue.payments, catalogue.returns):
            twice = self.sent.note_those_delivered_twice(read(self.bootstrap, topic.name))
            if twice:
                print(f"  {topic.name}: its producer delivered {twice} messages twice", flush=True)  # noqa: T201
        return (
            differences(self.seen(), self.sent, load_rules(_RATES).sets)
            + self._stores_that_differ()
            + self._verify()
        )

    def seen(self) -> Seen:
        """Read all topics and tables."""
        return Seen(self.catalogue, partial(read, self.bootstrap), self._table)

    def changelog(self, table: str) -> list[Record]:
        """All records in the changelog of a table."""
        return read(self.bootstrap, self.catalogue.changelog(table).name)

    def _table(self, name: str) -> Mapping[bytes, bytes]:
        return latest(self.changelog(name))

    def _is_drained(self) -> bool:
        time.sleep(0.5)
        return not self.progress.unread()

    def _nothing_is_begun(self) -> bool:
        seen = self.seen()
        orders = (seen.index or {}).values()
        begun = [row for row in seen.rows.values() if row.busy]
        return not begun and not any(order.customer_id and order.waiting for order in orders)

    def _stores_that_differ(self) -> list[str]:
        """Local copies that differ from their changelog up to the copy's own offset. Only call after the workers ended.

        A copy of a partition that has moved to another worker may hold extra rows. Compaction has removed their records
        since, because newer ones came after the copy's offset.
        """
        found = []
        logs = {table: self.changelog(table.name) for table in needed(payment_join=True)}
        for slot in self._slots():
            stores = RocksStores(slot)
            for number in range(PARTITIONS):
                if not (slot / f"{number:05d}").exists():
                    continue
                store = stores.open(number)
                for table, log in logs.items():
                    end = store.offsets().get(table.mark, 0)
                    records = [record for record in log if record.partition == number]
                    rows = latest(record for record in records if record.offset < end)
                    newer = {record.key for record in records if record.offset >= end}
                    copy = dict(store.scan(table.mark))
                    superseded = {
                        key: value for key, value in copy.items() if key not in rows and key in newer
                    }
                    if copy != rows | superseded:
                        found.append(f"local {table.name}-{number} of {slot.parent.parent.name} differs")
            stores.release(())
        return found

    def _slots(self) -> Iterator[Path]:
        for store in map(self.store_of, self.crew):
            yield from sorted(store.iterdir()) if store.exists() else ()

    def _verify(self) -> list[str]:
        command = [*WORKER[:-1], "verify", "--limit", "20"]
        done = subprocess.run(command, env=self._env(0), capture_output=True, text=True)
        if done.returncode == 0:
            return []
        lines = (done.stdout + done.stderr).splitlines()
        return [f"verify: {line}" for line in lines if line] or ["verify failed in silence"]
