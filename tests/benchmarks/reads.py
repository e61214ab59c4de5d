"""GET of a customer by its owner against a bare aiohttp handler that returns the same bytes from a dict.

Both servers in turn on one core, the load from the other one; each on keep-alive connections without pipelining.
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
from pathlib import Path

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
    """Asks again as soon as an answer is complete."""

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


async def load(port: int, path: str, seconds: float) -> float:
    """Answers a second."""
    loop = asyncio.get_running_loop()
    made = [
        await loop.create_connection(lambda: Connection(path), "127.0.0.1", port) for _ in range(CONNECTIONS)
    ]
    await asyncio.sleep(0.5)
    before, started = sum(protocol.answers for _, protocol in made), time.monotonic()
    await asyncio.sleep(seconds)
    answers, lasted = sum(protocol.answers for _, protocol in made) - before, time.monotonic() - started
    for transport, _ in made:
        transport.close()
    return answers / lasted


def register(port: int) -> tuple[str, bytes]:
    """Register a customer once the worker is ready. Returns its path and its bytes."""
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
        worker = subprocess.Popen([sys.executable, "-m", "worker.cli", "worker"], env=environment)
        psutil.Process(worker.pid).cpu_affinity(list(SERVER_CORE))
        path, body = register(ports["worker"])
        bare = subprocess.Popen([sys.executable, "-c", BARE, str(ports["bare"]), path, body.decode()])
        psutil.Process(bare.pid).cpu_affinity(list(SERVER_CORE))
        time.sleep(2)
        rates: dict[str, list[float]] = {"worker": [], "bare": []}
        try:
            for _ in range(args.rounds):
                for server, port in ports.items():
                    rates[server].append(asyncio.run(load(port, path, args.seconds)))
        finally:
            for process in (worker, bare):
                process.terminate()
                process.wait(20)
    medians = {server: statistics.median(found) for server, found in rates.items()}
    for server, found in rates.items():
        console.print(f"{server}: {medians[server]:,.0f} GET/s (from {min(found):,.0f} to {max(found):,.0f})")
    console.print(f"worker / bare: {medians['worker'] / medians['bare']:.2f}")


if __name__ == "__main__":
    main()
