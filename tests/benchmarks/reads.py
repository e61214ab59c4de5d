"""Compares GET of a customer at its owner with a bare aiohttp handler. The handler returns the same bytes from a dict.

Rules:
- The servers run in turn on one core with all their threads. The load and the broker run on the other core. The
  connections are keep-alive, without pipelining.
- The report has CPU per GET besides the rate. It is valid on a busy machine too, and shows when the client was the limit.

Usage: python -m tests.benchmarks.reads [--rounds N] [--seconds S]
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import psutil
from rich.console import Console

from worker.broker import EmbeddedKafka
from worker.broker.ports import free_port

CONNECTIONS = 16
SERVER_CORE, LOAD_CORE = {0}, {1}
console = Console()

BARE = """
import sys
from aiohttp import web
port, path, body = int(sys.argv[1]), sys.argv[2], sys.argv[3].encode()
bodies = {path.rsplit("/", 1)[1]: body}
async def get(request):
    return web.Response(body=bodies[request.match_info["id"]], content_type="application/json")
app = web.Application()
app.router.add_get("/api/v1/customers/{id}", get)
web.run_app(app, host="127.0.0.1", port=port, access_log=None, print=None)
"""


class Connection(asyncio.Protocol):
    """A client connection that sends the next request as soon as an answer is complete."""

    def __init__(self, path: str) -> None:
        self.answers = 0
        self._request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
        self._buffer = b""
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        if found and len(body) >= int(head.partition(b"Content-Length: ")[2].split(b"\r", 1)[0]):
            assert head.startswith(b"HTTP/1.1 200"), head
            self.answers += 1
            self._buffer = b""
            assert self._transport is not None
            self._transport.write(self._request)


class Figures(NamedTuple):
    """The figures of a server. rate: answers per second. cpu_us: its CPU microseconds per answer, user and system."""

    rate: float
    cpu_us: float


async def load(port: int, path: str, seconds: float, server: psutil.Process) -> Figures:
    """Load a server for some seconds, after a short warm-up."""
    loop = asyncio.get_running_loop()
    made = [
        await loop.create_connection(lambda: Connection(path), "127.0.0.1", port) for _ in range(CONNECTIONS)
    ]
    await asyncio.sleep(0.5)
    before, cpu, started = sum(protocol.answers for _, protocol in made), _cpu_s(server), time.monotonic()
    await asyncio.sleep(seconds)
    answers, lasted = sum(protocol.answers for _, protocol in made) - before, time.monotonic() - started
    cpu = _cpu_s(server) - cpu
    for transport, _ in made:
        transport.close()
    return Figures(answers / lasted, cpu / answers * 1e6)


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def serve(command: Sequence[str], environment: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
    """Start a server on its core. Its threads inherit the core."""
    os.sched_setaffinity(0, SERVER_CORE)
    try:
        return subprocess.Popen(command, env=environment)
    finally:
        os.sched_setaffinity(0, LOAD_CORE)


def register(port: int) -> tuple[str, bytes]:
    """Register a customer once the worker is ready. Returns the path and the body of its GET."""
    url = f"http://127.0.0.1:{port}"
    body = json.dumps({"name": "Ada", "email": "ada@example.com"}).encode()
    for _ in range(300):
        try:
            urllib.request.urlopen(f"{url}/health/ready").close()  # noqa: S310 - our own server
            break
        except OSError:
            time.sleep(0.1)
    request = urllib.request.Request(  # noqa: S310
        f"{url}/api/v1/customers", data=body, headers={"Content-Type": "application/json"}, method="POST"
    )
    with urllib.request.urlopen(request) as answer:  # noqa: S310
        return answer.headers["Location"], answer.read()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0)
    args = parser.parse_args()
    os.sched_setaffinity(0, LOAD_CORE)
    with tempfile.TemporaryDirectory() as name, EmbeddedKafka(Path(name) / "kafka") as broker:
        ports = {"worker": free_port(), "bare": free_port()}
        environment = {
            **os.environ,
            "CUSTOMER_CONTEXT_BOOTSTRAP_SERVERS": str(broker.bootstrap),
            "CUSTOMER_CONTEXT_DATA_DIR": name,
            "CUSTOMER_CONTEXT_WEB_PORT": str(ports["worker"]),
            "CUSTOMER_CONTEXT_REPLICATION_FACTOR": "1",
            "CUSTOMER_CONTEXT_LOG_LEVEL": "error",
        }
        worker = serve([sys.executable, "-m", "worker.cli", "worker"], environment)
        path, body = register(ports["worker"])
        bare = serve([sys.executable, "-c", BARE, str(ports["bare"]), path, body.decode()])
        processes = {"worker": psutil.Process(worker.pid), "bare": psutil.Process(bare.pid)}
        time.sleep(2)
        runs: dict[str, list[Figures]] = {"worker": [], "bare": []}
        try:
            for _ in range(args.rounds):
                for server, port in ports.items():
                    runs[server].append(asyncio.run(load(port, path, args.seconds, processes[server])))
        finally:
            for process in (worker, bare):
                process.terminate()
                process.wait(20)
    medians = {
        server: Figures(*map(statistics.median, zip(*found, strict=True))) for server, found in runs.items()
    }
    for server, found in runs.items():
        rates, (rate, cpu_us) = [each.rate for each in found], medians[server]
        console.print(
            f"{server}: {rate:,.0f} GET/s (from {min(rates):,.0f} to {max(rates):,.0f}), "
            f"{cpu_us:.1f} us CPU per GET"
        )
    worker_figures, bare_figures = medians["worker"], medians["bare"]
    console.print(f"worker / bare, throughput: {worker_figures.rate / bare_figures.rate:.2f}")
    console.print(f"bare / worker, CPU per GET: {bare_figures.cpu_us / worker_figures.cpu_us:.2f}")


if __name__ == "__main__":
    main()
