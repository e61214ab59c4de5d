"""Each alert fires in a real Prometheus, on series like a worker's, and none fires while all is well.

The rules are the deployed file's; only their durations are divided by SPEED.
"""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientConnectionError, ClientSession, web
from aiohttp.test_utils import TestServer

from tests.interfaces.tools import PROMETHEUS, needs_prometheus
from tests.observability.test_dashboards import DEPLOY, RULES, shown
from worker.broker.ports import HOST, free_port

SPEED = 300  # a minute of the rules takes 200 ms
EVERY_MS = 200
LONGEST_S = 30 * 60 / SPEED  # the longest duration in the rules
PATIENCE_S = 60.0
NO_WORKER = "CustomerContextNoWorker"
ALL = {rule["alert"] for rule in RULES}
READ = {"method": "GET", "route": "/api/customers/{customerId}"}
_DURATION = re.compile(r"(for: |\[)(\d+)m\b")

Series = list[tuple[str, dict[str, str], float]]


def hastened() -> str:
    """The rules with their durations divided by SPEED."""
    text = (DEPLOY / "prometheus/alerts.yml").read_text()
    durations = [int(each[2]) for each in _DURATION.finditer(text)]
    assert len(durations) == text.count(" for: ") + text.count("[")
    assert max(durations) * 60 / SPEED == LONGEST_S
    return _DURATION.sub(lambda each: f"{each[1]}{int(each[2]) * 60_000 // SPEED}ms", text)


class Workers:
    """Three workers as Prometheus sees them.

    sick: worker `one` shows all that a worker in need shows, `two` is not ready and restores, `three` does not answer.
    ready: whether any worker is ready.
    """

    def __init__(self) -> None:
        self.sick, self.ready = False, True
        self._began = time.time()

    async def answer(self, request: web.Request) -> web.Response:
        """The metrics of the worker that the path names."""
        worker = request.match_info["worker"]
        if self.sick and worker == "three":
            return web.Response(status=503)
        lines = [
            f"{name}{{{','.join(f'{key}={json.dumps(text)}' for key, text in labels.items())}}} {value}\n"
            for name, labels, value in self.series(worker)
        ]
        return web.Response(text="".join(lines))

    def series(self, worker: str) -> Series:
        """Name, labels and value of each sample."""
        now = time.time()
        so_far = (now - self._began) * 100  # a counter that rises
        sick = self.sick and worker == "one"
        rising = so_far if sick else 1
        waits = self.sick and worker == "two"
        return [
            ("customer_context_ready", {}, float(self.ready and not waits)),
            ("customer_context_partitions", {}, 0 if sick else 4),
            ("customer_context_kafka_silent_seconds", {}, 31 if sick else 0),
            ("customer_context_rules_differ", {}, float(sick)),
            ("customer_context_clock_ahead_seconds", {}, -61 if sick else 1),
            ("process_start_time_seconds", {}, now if sick else self._began),
            ("customer_context_lag_records", {"topic": "order.completed", "partition": "0"}, 20_000 * sick),
            ("customer_context_last_commit_timestamp_seconds", {}, now - 61 if sick else now),
            ("customer_context_restoring", {}, float(waits)),
            ("customer_context_dead_letters_total", {"reason": "INVALID"}, rising),
            ("customer_context_failed_inputs_total", {}, rising),
            ("customer_context_inputs_lost_unacknowledged", {}, float(sick)),
            ("customer_context_rebalances_total", {}, rising),
            ("customer_context_read_copy_lag_seconds", {}, 61 if sick else 0),
            ("customer_context_foreign_owners_total", {}, rising),
            ("customer_context_read_copy_failures_total", {}, rising),
            *_histogram("customer_context_end_to_end_seconds", {}, so_far, 10 if sick else 0.1),
            *_histogram("customer_context_commit_seconds", {}, so_far, 5 if sick else 0.1),
            *_histogram("customer_context_http_request_seconds", READ, so_far, 2 if sick else 0.1),
            ("customer_context_http_requests_total", {**READ, "status": "200"}, so_far),
            ("customer_context_http_requests_total", {**READ, "status": "500"}, rising),
        ]


def _histogram(name: str, labels: dict[str, str], count: float, seconds: float) -> Series:
    """The buckets of `count` observations of about `seconds`."""
    bounds = (0.1, 1.0, 2.0, 5.0, 10.0)
    buckets = [(str(bound), count if bound >= seconds else 0.0) for bound in bounds]
    return [(f"{name}_bucket", {**labels, "le": le}, value) for le, value in (*buckets, ("+Inf", count))]


def configuration(port: int) -> dict[str, Any]:
    """What Prometheus scrapes: three workers behind the port."""
    every = f"{EVERY_MS}ms"
    targets = [
        {"targets": [f"{HOST}:{port}"], "labels": {"instance": name, "__metrics_path__": f"/{name}"}}
        for name in ("one", "two", "three")
    ]
    return {
        "global": {"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every},
        "rule_files": ["alerts.yml"],
        "scrape_configs": [{"job_name": "customer-context", "static_configs": targets}],
    }


@asynccontextmanager
async def prometheus(folder: Path, port: int) -> AsyncIterator[str]:
    """A Prometheus that scrapes the workers behind the port. Yields its URL."""
    assert PROMETHEUS is not None
    (folder / "alerts.yml").write_text(hastened())
    (folder / "prometheus.yml").write_text(json.dumps(configuration(port)))  # JSON is YAML
    own = free_port()
    process = await asyncio.create_subprocess_exec(
        PROMETHEUS,
        "--config.file=prometheus.yml",
        "--storage.tsdb.path=data",
        f"--web.listen-address={HOST}:{own}",
        "--log.level=error",
        cwd=folder,
    )
    try:
        yield f"http://{HOST}:{own}"
    finally:
        process.kill()
        await process.wait()


async def alerts(client: ClientSession, url: str) -> list[Any] | None:
    """The active alerts; None while Prometheus does not answer."""
    try:
        async with client.get(f"{url}/api/v1/alerts") as response:
            return list((await response.json())["data"]["alerts"]) if response.status == 200 else None
    except ClientConnectionError:
        return None


async def until(client: ClientSession, url: str, told: Callable[[set[str], set[str]], bool]) -> None:
    """Wait until the active and the firing alerts are as told."""
    active, firing = set[str](), set[str]()
    ends = time.monotonic() + PATIENCE_S
    while time.monotonic() < ends:
        found = await alerts(client, url)
        if found is not None:
            active = {each["labels"]["alertname"] for each in found}
            firing = {each["labels"]["alertname"] for each in found if each["state"] == "firing"}
            if told(active, firing):
                return
        await asyncio.sleep(EVERY_MS / 1000)
    raise AssertionError(f"active {sorted(active)}, not firing {sorted(ALL - firing)}")


def test_the_series_are_those_of_a_worker():
    workers, known = Workers(), shown()
    for name, labels, _ in workers.series("one"):
        assert known[name] >= set(labels), name


@pytest.mark.long
@needs_prometheus
async def test_every_alert_fires_on_what_it_is_for_and_none_while_all_is_well(tmp_path: Path):
    workers = Workers()
    app = web.Application()
    app.router.add_get("/{worker}", workers.answer)
    async with TestServer(app, host=HOST) as server, ClientSession() as client:
        assert server.port is not None
        async with prometheus(tmp_path, server.port) as url:
            await until(client, url, lambda active, _: NO_WORKER not in active)
            await asyncio.sleep(LONGEST_S + 1)  # what is well stays well for longer than any alert waits
            await until(client, url, lambda active, _: not active)
            workers.sick = True
            await until(client, url, lambda _, firing: firing >= ALL - {NO_WORKER})
            workers.ready = False
            await until(client, url, lambda _, firing: NO_WORKER in firing)
