"""The demo from the outside: the console script, a data folder of its own, and figures computed here from the file."""

import gzip
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SAMPLE = Path(__file__).parents[2] / "worker/demo/cdnow.txt.gz"
PROGRAM = str(Path(sys.executable).parent / "customer-context")
READY_AGAIN_WITHIN_S = 10


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CUSTOMER_CONTEXT_")}
    if "CUSTOMER_CONTEXT_CACHE_DIR" in os.environ:
        kept["CUSTOMER_CONTEXT_CACHE_DIR"] = os.environ["CUSTOMER_CONTEXT_CACHE_DIR"]
    data_dir = tmp_path_factory.mktemp("demo") / "data"
    return kept | {
        "CUSTOMER_CONTEXT_DATA_DIR": str(data_dir),
        "CUSTOMER_CONTEXT_WEB_PORT": "0",
        "COLUMNS": "200",
    }


@pytest.fixture(scope="module")
def first(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """The first demo in a new data folder."""
    return subprocess.run(
        [PROGRAM, "demo", "--once"], env=environment, capture_output=True, text=True, timeout=150
    )


def figures(output: str) -> dict[str, str]:
    return dict(re.findall(r"│ (\S.*?) +│ +(\S.*?) +│", output))


def expected() -> dict[str, str]:
    """What the worker must say of the sample, by the contract's rules, in cents."""
    spent: dict[bytes, int] = {}
    points = orders = 0
    for line in gzip.decompress(SAMPLE.read_bytes()).split(b"\n"):
        if line.strip():
            _, customer, _, _, dollars = line.split()
            cents = int(dollars.replace(b".", b""))
            spent[customer] = spent.get(customer, 0) + cents
            points += cents // 1_000
            orders += 1

    def members(low: int, high: int) -> str:
        return f"{sum(low <= cents < high for cents in spent.values()):,}"

    return {
        "Customers": f"{len(spent):,}",
        "Orders": f"{orders:,}",
        "Spending": f"{sum(spent.values()) / 100:,.2f} USD",
        "Points earned": f"{points:,}",
        "Standard members": members(0, 50_000),
        "Silver members": members(50_000, 200_000),
        "Gold members": members(200_000, 500_000),
        "Platinum members": members(500_000, 1_000_000_000),
    }


@pytest.mark.timeout(180)
def test_the_first_demo_counts_what_the_file_says(first):
    assert first.returncode == 0, first.stdout + first.stderr
    shown = figures(first.stdout)
    assert shown["Spending"] == "244,091.94 USD"
    assert shown["Orders"] == "6,919"
    assert {name: shown[name] for name in expected()} == expected()
    assert "Events published twice" not in shown


@pytest.mark.timeout(180)
def test_the_address_of_the_desk_comes_first(first):
    names = re.findall(r"^(\S+) +http", first.stdout, re.MULTILINE)
    assert names == ["Desk", "API", "Documentation"]


@pytest.mark.timeout(180)
def test_the_next_demo_reads_it_back_counts_nothing_twice_and_ends_with_all_it_started(first, environment):
    began = time.monotonic()
    demo = subprocess.Popen([PROGRAM, "demo"], env=environment, stdout=subprocess.PIPE, text=True)
    assert demo.stdout is not None
    output = ""
    for line in demo.stdout:
        output += line
        if "Live traffic follows" in line:
            break
    took = time.monotonic() - began
    first_live_event = next(line for line in demo.stdout if "CustomerCreatedEvent" in line)
    demo.send_signal(signal.SIGINT)
    rest, _ = demo.communicate(timeout=30)

    before, now = figures(first.stdout), figures(output)
    assert now.pop("Time taken").endswith("loaded by an earlier demo")
    assert now == {name: value for name, value in before.items() if name != "Time taken"}
    crowd = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))  # who else wants each core
    assert took < READY_AGAIN_WITHIN_S * crowd
    assert " live-" in first_live_event
    assert demo.returncode == 0
    assert "Stopped." in rest
    gone = subprocess.run([PROGRAM, "topics", "--check"], env=environment, capture_output=True, text=True)
    assert gone.returncode == 1
    assert "No embedded Kafka runs" in gone.stderr


def test_the_demo_refuses_a_kafka_that_it_did_not_start(environment):
    refused = subprocess.run(
        [PROGRAM, "demo"],
        env=environment | {"CUSTOMER_CONTEXT_BOOTSTRAP_SERVERS": "kafka:9092"},
        capture_output=True,
        text=True,
    )
    assert refused.returncode == 2
    assert "unset CUSTOMER_CONTEXT_BOOTSTRAP_SERVERS" in refused.stderr.replace("\n", " ")
