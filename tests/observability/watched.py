"""A real worker process that says all it can: logs at level debug, its HTTP address, its metrics."""

import json
import re
import urllib.request
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.records import Record, read
from tests.supervised import Supervised, look_after_until

PARTITIONS = 2
_WITHIN_S = 40.0
_PROCESSING = re.compile(r'"processing"|\] processing \[')
_ROOT = Path(__file__).parent.parent.parent
_ADDRESS = re.compile(r"worker starts.*?(http://[0-9.:]+)|(http://[0-9.:]+).*?worker starts")


class Watched:
    """Topics of its own on a shared broker. module: the program, which runs the console's main."""

    def __init__(
        self,
        bootstrap: str,
        folder: Path,
        module: str = "worker.cli",
        log_format: str = "json",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.bootstrap = bootstrap
        self.prefix = f"obs-{uuid.uuid4().hex[:8]}-"
        settings = {
            "BOOTSTRAP_SERVERS": bootstrap,
            "APP_ID": f"{self.prefix}app",
            "TOPIC_PREFIX": self.prefix,
            "PARTITIONS": str(PARTITIONS),
            "DATA_DIR": str(folder / "data"),
            "WEB_PORT": "0",
            "LOG_FORMAT": log_format,
            "LOG_LEVEL": "debug",
        }
        variables = {f"CUSTOMER_CONTEXT_{name}": value for name, value in settings.items()}
        variables |= {"PYTHONPATH": str(_ROOT), **(environment or {})}
        self.process = Supervised([module, "worker"], variables, folder / "log", forked=True)

    def wait_until(self, holds: Callable[[], bool], within_s: float = _WITHIN_S) -> None:
        """Supervise the worker until it holds."""
        assert look_after_until([self.process], holds, within_s), self.process.end_of_log

    @property
    def url(self) -> str:
        """The address of the running life of the worker; waits until it processes."""
        lives = len(self.process.exits) + 1
        self.wait_until(lambda: len(_PROCESSING.findall(self.process.log)) >= lives)
        return "".join(_ADDRESS.findall(self.process.log)[-1])

    def metrics(self) -> str:
        """What Prometheus would scrape."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=10) as answer:  # noqa: S310 (http, our own)
            return str(answer.read(), "utf-8")

    def metric(self, name: str, labels: str = "") -> float:
        """One sample, 0 while there is none. labels: as they stand in the text."""
        sample = f"{name}{{{labels}}}" if labels else name
        for line in self.metrics().splitlines():
            if line.startswith(f"{sample} "):
                return float(line.rpartition(" ")[2])
        return 0.0

    def read(self, topic: str) -> Sequence[Record]:
        """Every committed record of a topic of the contract."""
        return read(self.bootstrap, self.prefix + topic)

    def lines(self, event: str) -> list[dict[str, object]]:
        """The log lines with this text, of logs in JSON."""
        lines = [json.loads(line) for line in self.process.log.splitlines() if line.startswith("{")]
        return [line for line in lines if line.get("event") == event]
