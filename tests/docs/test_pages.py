"""Every command of README and docs is run, or listed here with the reason why it cannot be."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.docs.console import PAGES, ROOT, Shell, blocks_of, missing
from worker.cli import app
from worker.engine.exits import ExitCode

_MAKE = "runs or installs what this test is part of"
_CONTAINERS = "needs a container engine"
_CLUSTER = "needs a Kubernetes cluster"
_COMPANY = "needs a company's proxy and mirror; tests/broker/test_downloads.py has small ones"
_OFFLINE = "needs two machines, one of them without network"
_KAFKA_TOOLS = "needs Kafka's shell scripts and an authorizer; tests/security grants and uses the same ACLs"

_ALWAYS = ("README.md", "tutorial.md")  # what a new user follows

ELSEWHERE = {
    "make run": _MAKE,
    "make test": _MAKE,
    "make check": _MAKE,
    "make faults": _MAKE,
    "make bench": _MAKE,
    "bash .ci/run": _MAKE,
    "docker compose up --build --wait": _CONTAINERS,
    "docker compose up --detach --no-deps --build --wait worker-1": _CONTAINERS,
    "docker compose up --detach --no-deps --build --wait worker-2": _CONTAINERS,
    "docker build --tag registry.example.com/customer-context:0.2.0 .": _CONTAINERS,
    "docker push registry.example.com/customer-context:0.2.0": _CONTAINERS,
    "kubectl create secret generic customer-context --from-file=kafka-sasl-password --from-file=auth-jwt-secret": _CLUSTER,
    "kubectl create secret generic customer-context-kafka-ca --from-file=ca.crt": _CLUSTER,
    "kubectl apply --kustomize deploy/kubernetes": _CLUSTER,
    "kubectl rollout status statefulset customer-context": _CLUSTER,
    "kubectl set image statefulset customer-context worker=registry.example.com/customer-context:0.3.0": _CLUSTER,
    "kubectl scale statefulset customer-context --replicas 4": _CLUSTER,
    "bash acls.sh": _KAFKA_TOOLS,
    "kafka-features.sh --bootstrap-server kafka:9092 upgrade --feature transaction.version=2": _KAFKA_TOOLS,
    "export HTTPS_PROXY=http://USER:PASSWORD@proxy.example.com:3128": _COMPANY,
    "export NO_PROXY=nexus.example.com,127.0.0.1,localhost": _COMPANY,
    "export PIP_CERT=/etc/ssl/certs/ca-certificates.crt": _COMPANY,
    "export PIP_INDEX_URL=https://nexus.example.com/repository/pypi/simple": _COMPANY,
    "export CUSTOMER_CONTEXT_KAFKA_MIRROR=https://nexus.example.com/repository/maven-central": _COMPANY,
    "python3 -m pip download --dest wheels . hatchling editables": _OFFLINE,
    "tar --create --gzip --file jars.tar.gz --directory ~/.cache/customer-context .": _OFFLINE,
    "mkdir -p ~/.cache/customer-context": _OFFLINE,
    "tar --extract --file jars.tar.gz --directory ~/.cache/customer-context": _OFFLINE,
    "PIP_NO_INDEX=1 PIP_FIND_LINKS=$PWD/wheels make run": _OFFLINE,
    "python -m tests.deploy.sizing 20000 5": "takes minutes; it is what measured the figures",
}


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=() if page.name in _ALWAYS else pytest.mark.long, id=page.name)
        for page in PAGES
        if blocks_of(page)
    ],
)
def test_every_command_of_a_page_does_what_the_page_says(page: Path, tmp_path: Path):
    shell = Shell(tmp_path)
    try:
        for block in blocks_of(page):
            if block.kind == "console background":
                shell.start(block)
            elif block.kind == "console":
                done = shell.run(block)
                assert done.returncode == 0, f"{block.script}\n{done.stdout}\n{done.stderr}\n{shell.log}"
                absent = missing(block.expected, done.stdout)
                assert absent is None, f"{block.script}\nlacks {absent}\n{done.stdout}\n{done.stderr}"
    finally:
        codes = list(shell.end())
    assert codes == [0] * len(codes), shell.log


def test_what_is_not_run_is_listed_with_the_reason_and_nothing_else_is():
    not_run = [
        command
        for page in PAGES
        for block in blocks_of(page)
        if block.kind == "console elsewhere"
        for command in block.commands
    ]
    assert set(not_run) == set(ELSEWHERE)


def test_every_make_target_of_the_pages_exists():
    for command in (each for each in ELSEWHERE if each.startswith("make ")):
        tried = subprocess.run([*command.split(), "--dry-run"], cwd=ROOT, capture_output=True, text=True)
        assert tried.returncode == 0, tried.stderr


def test_the_readme_opens_with_how_to_run_and_to_test_it():
    first, *_ = blocks_of(ROOT / "README.md")
    assert [command.split()[:2] for command in first.commands] == [["make", "run"], ["make", "test"]]


def test_the_readme_is_short_and_names_every_command():
    page = (ROOT / "README.md").read_text()
    assert len(page.splitlines()) <= 160
    console = page.partition("## The console")[2].partition("\n## ")[0]
    commands = [each.name for each in app.registered_commands] + [each.name for each in app.registered_groups]
    assert [name for name in commands if f"| `{name}" not in console] == []


def test_every_exit_code_is_explained():
    page = (ROOT / "docs/operations.md").read_text()
    assert [code.name for code in ExitCode if f"| {code.value} | `{code.name}` |" not in page] == []


def test_every_message_in_troubleshooting_is_one_that_the_program_has():
    headings = re.findall(r"^### `(.+)`$", (ROOT / "docs/troubleshooting.md").read_text(), re.MULTILINE)
    source = "\n".join(
        path.read_text()
        for top in ("worker", "api", "agents", "tables")
        for path in (ROOT / top).rglob("*.py")
    )
    parts = {part.strip(" .:") for heading in headings for part in heading.split("…")}
    assert [part for part in parts if part and part not in source] == []
    assert len(headings) > 5


def test_the_check_of_output_sees_a_line_that_is_not_there():
    assert missing(["a…c", "d"], "abc\nx\nd\n") is None
    assert missing(["d", "a…c"], "abc\nx\nd\n") == "a…c"
