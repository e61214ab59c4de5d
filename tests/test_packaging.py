"""The distribution: what it installs, and that nobody else installs the same names."""

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import distribution, distributions, packages_distributions
from pathlib import Path

import pytest

from tests.broker.network import HOST, Answer, proxy, repository
from tests.security.certificates import Authority

ROOT = Path(__file__).parent.parent
NAME = "customer-context"
PACKAGES = {"worker", "tables", "agents", "api"}


@pytest.fixture(scope="module")
def wheel_files(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Names of the files in a wheel built from the tree; without isolation, so that no network is needed.

    Without the codecs in C, with which tests/native builds one.
    """
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        env={**os.environ, "CUSTOMER_CONTEXT_NATIVE": "off"},
    )
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if not name.startswith("customer_context-")}


def test_no_other_installed_distribution_owns_our_top_level_names():
    owners = packages_distributions()
    others = {name: set(owners.get(name, [])) - {NAME} for name in PACKAGES}
    assert others == {name: set() for name in PACKAGES}


def test_no_other_distribution_installs_a_file_under_our_names():
    intruders = {
        f"{other.name}: {file}"
        for other in distributions()
        if other.name != NAME
        for file in other.files or ()
        if file.parts[0].removesuffix(".py") in PACKAGES
    }
    assert intruders == set()


def test_our_names_are_imported_from_this_tree():
    for name in PACKAGES:
        assert Path(__import__(name).__file__ or "").parent == ROOT / name


def test_the_console_script_exists_and_runs():
    (script,) = distribution(NAME).entry_points.select(group="console_scripts")
    assert (script.name, script.value) == (NAME, "worker.cli:main")
    program = shutil.which(NAME, path=str(Path(sys.executable).parent))
    assert program is not None
    ran = subprocess.run([program, "--help"], capture_output=True, text=True, check=True)
    for command in ("demo", "worker", "broker", "topics", "send", "events"):
        assert command in ran.stdout


def test_the_wheel_holds_every_module_and_the_sample_and_nothing_else(wheel_files):
    tracked = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *PACKAGES],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    expected = {name for name in tracked if (ROOT / name).exists()}
    assert wheel_files == expected
    assert "worker/demo/cdnow.txt.gz" in wheel_files


def test_the_distribution_can_never_be_uploaded_by_accident():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert "Private :: Do Not Upload" in project["classifiers"]


@pytest.mark.parametrize("name", ["faust-streaming", "mode-streaming", "aiokafka", "rocksdict"])
def test_what_the_engine_overrides_is_pinned_to_the_installed_version(name):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (pinned,) = (line for line in project["dependencies"] if line.partition("=")[0].partition("[")[0] == name)
    assert pinned.endswith(f"=={distribution(name).version}")


def test_make_lets_pip_use_the_proxy_the_mirror_and_the_certificate_of_the_environment(tmp_path):
    asked = []

    def index(path, headers):
        asked.append(path)
        return Answer(status=404)  # so that pip ends here

    authority = Authority(tmp_path, "company")
    _, certificate = authority.issue("mirror", (HOST,))
    program = tmp_path / "venv" / "bin" / "python"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    program.chmod(0o755)
    unwanted = ("PIP_", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")  # requests prefers the two to PIP_CERT
    with repository(index, certificate) as url, proxy() as company:
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(unwanted)},
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_DRY_RUN": "1",
            "PIP_RETRIES": "0",
            "PIP_INDEX_URL": f"{url}/simple",
            "HTTPS_PROXY": f"http://{company.address}",
            "https_proxy": f"http://{company.address}",
            "NO_PROXY": "",
            "no_proxy": "",
            "PIP_CERT": str(authority.path),
        }
        made = subprocess.run(
            ["make", f"VENV={tmp_path}/venv", f"{tmp_path}/venv/.installed"],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert set(company.asked) == {url.removeprefix("https://")}
    assert made.returncode != 0
    assert asked[:1] == ["/simple/hatchling/"], made.stderr
