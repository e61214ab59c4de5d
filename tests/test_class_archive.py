"""The brokers of the tests start from an archive of their classes, once there is one."""

import os
from pathlib import Path

import psutil
import pytest

from tests import class_archive


def test_the_broker_of_the_tests_takes_the_archive_once_it_is_made(kafka):
    # Other tests of this process may have brokers of their own, so the port says which one is meant.
    port = int(kafka.rpartition(":")[2])
    children = [each for each in psutil.Process().children(recursive=True) if each.name() == "java"]
    (runtime,) = (each for each in children if port in listens_at(each))
    made = class_archive.archive()
    used = {Path(each.path) for each in runtime.memory_maps() if each.path.endswith(".jsa")}
    assert used == ({made} if made else set())


def listens_at(process: psutil.Process) -> set[int]:
    """The TCP ports at which this process takes connections."""
    found = process.net_connections("tcp")
    return {each.laddr.port for each in found if each.status == psutil.CONN_LISTEN}


def test_an_archive_of_other_jars_is_another_file(tmp_path):
    jar = tmp_path / "kafka.jar"
    jar.write_bytes(b"a jar")
    before = class_archive.place([jar])
    assert class_archive.place([jar]) == before
    os.utime(jar, (0, 0))
    assert class_archive.place([jar]) != before


def test_what_java_is_told_already_stays_and_the_archive_is_named_once(monkeypatch, tmp_path):
    monkeypatch.setattr(class_archive, "archive", lambda: tmp_path / "made.jsa")
    monkeypatch.setenv("JDK_JAVA_OPTIONS", "-Dours=1")
    for _ in range(2):
        class_archive.use()
        assert (
            os.environ["JDK_JAVA_OPTIONS"]
            == f"-Dours=1 -XX:SharedArchiveFile={tmp_path}/made.jsa -Xlog:disable"
        )


def test_without_jars_there_is_no_archive(monkeypatch: pytest.MonkeyPatch, tmp_path):
    monkeypatch.setenv("CUSTOMER_CONTEXT_CACHE_DIR", str(tmp_path))
    assert class_archive.archive() is None


def test_classes_come_before_lambdas_and_without_the_numbers_of_one_run():
    lambdas = "@lambda-proxy kafka/Kafka apply ()V"
    assert class_archive.list_of(["# made by Java", lambdas, "b id: 2", "a id: 9", "b id: 3", lambdas]) == [
        "a",
        "b",
        lambdas,
    ]
