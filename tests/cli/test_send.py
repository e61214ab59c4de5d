"""What people give to `customer-context send`, and what it tells them, on a real Kafka."""

import asyncio
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.console import PROGRAM, on_terminal, run, settings
from worker.kafka.reader import reading

PREFIX = "sends."
# A process of its own, because a child's peak includes what its parent held when it forked.
MEASURED = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
ORDER = json.dumps({"customerId": "c1", "orderId": "o1", "totalAmount": {"amount": "1.00"}})


@pytest.fixture(scope="module")
def environment(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    ours = settings(kafka, PREFIX, tmp_path_factory.mktemp("data"))
    assert run(ours, "topics").returncode == 0
    return ours


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (b"\xef\xbb\xbf" + ORDER.encode(), 1),
        (ORDER.encode() + b"\r\n\r\n" + ORDER.encode() + b"\r\n", 2),
        (b"", 0),
        (b"\n \n\t\n", 0),
    ],
    ids=["byte order mark", "CRLF", "nothing", "blank lines"],
)
def test_what_other_programs_write_is_sent(environment, given, sent):
    done = run(environment, "send", stdin=given)
    assert (done.returncode, f"Sent {sent}" in done.stderr) == (0, True), done.stderr


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (ORDER.encode("utf-16"), ["The input is UTF-16", "iconv -f UTF-16"]),
        (b"\xfe\xff" + ORDER.encode("utf-16-be"), ["The input is UTF-16", "iconv -f UTF-16"]),
        (b"\x1f\x8b\x08\x00", ["The input is compressed", "gunzip -c"]),
        (f"[{ORDER}]".encode(), ["line 1: not a JSON object", "jq -c '.[]'"]),
        (json.dumps([json.loads(ORDER)], indent=1).encode(), ["line 1: not JSON", "jq -c '.[]'"]),
        (b"orderId,customerId\no1,c1\n", ["line 1: not JSON", "line 2: not JSON", "mlr --icsv"]),
        (b"[" * 100_000, ["line 1: not JSON"]),
        (b"a\0\n\xff\n", ["line 1: not JSON", "line 2: not JSON"]),
        (b"x" * 44_000_000 + b"\n", ["line 1: over 1048576 bytes", "TOO_LARGE"]),
    ],
    ids=["UTF-16", "UTF-16 BE", "gzip", "array", "array in lines", "CSV", "deep", "bytes", "44 MB"],
)
def test_what_cannot_be_sent_is_told_with_what_to_do(environment, given, told):
    done = run(environment, "send", stdin=given)
    assert done.returncode == 1
    assert [words for words in told if words not in done.stderr] == []
    assert "Traceback" not in done.stderr
    assert len(done.stderr) < 1_000


def test_a_line_of_44_mb_takes_little_memory(environment, tmp_path):
    def peak_kib(line: bytes, times: int) -> int:
        given = tmp_path / "given"
        with given.open("wb") as file:
            for _ in range(times):
                file.write(line)
        with given.open("rb") as file:
            measured = subprocess.run(
                [sys.executable, "-c", MEASURED, *PROGRAM, "send"],
                env=environment,
                stdin=file,
                stdout=subprocess.PIPE,
                check=True,
            )
        return int(measured.stdout)

    assert peak_kib(b"x" * 1_000_000, 44) - peak_kib(ORDER.encode(), 1) < 20_000


def test_a_topic_that_does_not_exist_ends_it_at_once(environment):
    began = time.monotonic()
    done = run(environment | {"CUSTOMER_CONTEXT_TOPIC_PREFIX": "nowhere."}, "send", stdin=f"{ORDER}\n" * 10)
    assert done.returncode == 1
    assert "there is no topic nowhere.order.completed. `customer-context topics` creates" in done.stderr
    assert done.stderr.count("there is no topic") == 1
    assert time.monotonic() - began < 35  # one line alone used to wait 40 s


@pytest.mark.parametrize("name", ["missing\x1b[31m.jsonl", "folder"])
def test_a_file_that_cannot_be_read_is_one_sentence(environment, tmp_path, name):
    (tmp_path / "folder").mkdir()
    done = run(environment, "send", str(tmp_path / name))
    assert done.returncode == 1
    assert done.stderr.splitlines()[0].endswith(("No such file or directory.", "Is a directory."))
    assert "\x1b" not in done.stderr


def test_two_files_are_wrong_usage_in_two_lines(environment):
    done = run(environment, "send", "a.jsonl", "a.jsonl")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 2)


def test_a_closed_standard_input_is_told_as_that(environment):
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" <&-', "sh", *PROGRAM, "send"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (
        1,
        "Standard input is closed; name a FILE, or send the lines through a pipe.\n",
    )


def test_a_full_disk_is_told_and_fails(environment):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*PROGRAM, "topics", "--check", "--json"],
            env=environment,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    assert (done.returncode, done.stderr) == (1, "The output cannot be written: No space left on device.\n")


async def _is_on_the_topic(kafka: str, words: bytes) -> None:
    client = {"bootstrap_servers": kafka}
    async with reading(client, [f"{PREFIX}customer.commands"], range(3), from_beginning=True) as reader:
        async for records in reader.follow():
            if any(words in record.value for record in records):
                return


def test_ctrl_c_while_it_waits_for_results_is_130(environment, kafka):
    command = json.dumps({"customerId": "c1", "commandId": "k-never", "commandType": "ChangeStatus"})
    with subprocess.Popen(
        [*PROGRAM, "send", "--wait"],
        env=environment,
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as sending:
        assert sending.stdin is not None
        assert sending.stderr is not None
        sending.stdin.write(command)
        sending.stdin.close()
        asyncio.run(_is_on_the_topic(kafka, b"k-never"))
        sending.send_signal(signal.SIGINT)
        assert sending.wait(10) == 130
        assert sending.stderr.read() == "Sent 1: 1 to sends.customer.commands\n"


def test_progress_on_a_terminal_leaves_the_count(environment, tmp_path):
    file = tmp_path / "lines"
    file.write_text(ORDER)
    assert "Sent 1: 1 to sends.order.completed" in on_terminal(environment, "send", str(file))
