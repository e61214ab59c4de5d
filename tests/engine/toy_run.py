"""Topics, traffic and processes of the toy worker, and the check of what came out.

The check knows nothing of the engine: it reads what a read_committed consumer sees, and compares it with what was sent.
"""

import json
import threading
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from confluent_kafka import Producer

from tests.engine.toy import PARTITIONS, SUMS
from tests.records import COMPACTED, create_topics, latest, read
from tests.supervised import Supervised

KEYS = 200
_PER_TRANSACTION = 20
_ABORTED_EVERY = 7
_WITHIN_S = 10.0


def make_topics(bootstrap: str, output: Mapping[str, str] | None = None) -> str:
    """A new app id whose topics exist. output: configuration of its output topic."""
    app_id = f"toy-{uuid.uuid4().hex[:8]}"
    topics: dict[str, Mapping[str, str]] = {f"{app_id}-in": {}, f"{app_id}-out": output or {}}
    topics |= {f"{app_id}-{table}-changelog": COMPACTED for table in ("sums", "positions", "isolation")}
    create_topics(bootstrap, PARTITIONS, topics)
    return app_id


def start_toy(app_id: str, bootstrap: str, folder: Path, name: str, **environment: str) -> Supervised:
    """A toy with a data folder of its own. environment: TOY_ variables, TOY_STORE is rocksdb unless given."""
    command = ["tests.engine.toy", app_id, bootstrap, str(folder / name)]
    variables = {"TOY_STORE": "rocksdb", **environment}
    return Supervised(command, variables, folder / f"{name}.log", forked=True)


class Traffic:
    """Numbers sent without a pause by a transactional producer, so that the input holds markers and aborted records.

    sent: per key, the numbers of every committed transaction, in order.
    """

    def __init__(self, bootstrap: str, app_id: str, per_second: int) -> None:
        self.sent: dict[str, list[int]] = defaultdict(list)
        self._topic = f"{app_id}-in"
        self._pause_s = _PER_TRANSACTION / per_second
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "linger.ms": 1,
                "transactional.id": f"{app_id}-traffic",
                "log_level": 0,  # it outlives the broker of the tests, and says so again and again
            }
        )
        self._producer.init_transactions(_WITHIN_S)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def send(self, numbers: Sequence[int], keep: bool = True) -> None:
        """Send numbers in one transaction; it is aborted unless kept."""
        self._producer.begin_transaction()
        for number in numbers:
            key = number % KEYS
            value = json.dumps({"id": number}).encode()
            self._producer.produce(self._topic, value, f"k{key}".encode(), key % PARTITIONS)
        if not keep:
            self._producer.flush(_WITHIN_S)  # or nothing of it would reach the log
            self._producer.abort_transaction(_WITHIN_S)
            return
        self._producer.commit_transaction(_WITHIN_S)
        for number in numbers:
            self.sent[f"k{number % KEYS}"].append(number)

    def _run(self) -> None:
        next_at, number, turn = time.monotonic(), 0, 0
        while not self._stop.is_set():
            self.send(range(number, number + _PER_TRANSACTION), keep=turn % _ABORTED_EVERY != 0)
            number, turn, next_at = number + _PER_TRANSACTION, turn + 1, next_at + self._pause_s
            self._stop.wait(max(0.0, next_at - time.monotonic()))


def all_arrived(bootstrap: str, app_id: str, sent: Mapping[str, Sequence[int]]) -> bool:
    """Whether every number that was sent has an output, however many."""
    ids = {json.loads(record.value or b"")["id"] for record in read(bootstrap, f"{app_id}-out")}
    return ids.issuperset(number for numbers in sent.values() for number in numbers)


def differences(bootstrap: str, app_id: str, sent: Mapping[str, Sequence[int]]) -> list[str]:
    """How the committed output and the table's changelog differ from what the numbers sent should give."""
    sequences: dict[str, list[int]] = defaultdict(list)
    seen: Counter[int] = Counter()
    for record in read(bootstrap, f"{app_id}-out"):
        event = json.loads(record.value or b"")
        seen[event["id"]] += 1
        sequences[(record.key or b"").decode()].append(event["seq"])
    wanted = {number for numbers in sent.values() for number in numbers}
    found = [f"doubled {number}" for number, count in seen.items() if count > 1]
    found += [f"missing {number}" for number in wanted - set(seen)]
    found += [f"never sent {number}" for number in set(seen) - wanted]
    found += [f"sequence of {key}" for key, got in sequences.items() if got != list(range(1, len(got) + 1))]
    return found + _wrong_rows(latest(read(bootstrap, f"{app_id}-{SUMS.name}-changelog")), sent)


def _wrong_rows(rows: Mapping[bytes, bytes], sent: Mapping[str, Sequence[int]]) -> list[str]:
    found = [f"row of unknown {key.decode()}" for key in rows if key.decode() not in sent]
    for key, numbers in sent.items():
        xor = 0
        for number in numbers:
            xor ^= number
        row = json.loads(rows.get(key.encode(), b"{}"))
        if row != {"count": len(numbers), "sum": sum(numbers), "xor": xor}:
            found.append(f"row of {key}")
    return found
