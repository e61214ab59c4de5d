"""The list of patches tells the truth about the files that it names, and an import patches nothing."""

import ast
import re
import subprocess
import sys
from collections import Counter

import pytest

from tests.docs.console import ROOT
from tests.source import parsed
from worker.engine.patches.table import PATCHES, RELIED_ON, Patch

UNPATCHED = """
import aiohttp.web, aiokafka, aiokafka.consumer.consumer, aiokafka.producer.sender, email_validator, faust.assignor.partition_assignor
from aiokafka.errors import kafka_errors
def state():
    return (
        aiohttp.web.RequestHandler.handle_error, aiohttp.web.Server.connection_made,
        vars(aiokafka.conn)["AIOKafkaConnection"], vars(aiokafka.consumer.consumer)["Fetcher"], vars(aiokafka.consumer.consumer)["AIOKafkaClient"],
        vars(aiokafka.producer.sender)["BACKOFF_OVERRIDE"], len(kafka_errors),
        vars(faust.assignor.partition_assignor)["CopartitionedAssignor"],
        len(email_validator.SPECIAL_USE_DOMAIN_NAMES),
    )
before = state()
import worker.app.run, worker.cli
from worker.engine import patches
assert state() == before, "an import has patched a library"
patches.install_clients()
patches.install(lambda *_: None)
assert not any(one == other for one, other in zip(state(), before)), "something was not patched"
patches.install(lambda *_: None)
"""


def test_no_method_is_listed_twice():
    assert [method for method, times in Counter(each.method for each in PATCHES).items() if times > 1] == []


@pytest.mark.parametrize(
    "patch", [each for each in PATCHES if each.use != RELIED_ON], ids=lambda each: each.method
)
def test_what_is_overridden_is_defined_in_the_package_where_the_list_says(patch: Patch):
    name = re.split("[.:]", patch.method)[-1]
    defined = {
        node.name
        for node in ast.walk(parsed(ROOT / patch.where))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert name in defined
    assert patch.where.startswith("worker/engine/patches/")


def test_imports_patch_nothing_and_one_call_patches_everything_also_when_it_is_repeated():
    done = subprocess.run([sys.executable, "-c", UNPATCHED], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
