"""The way to Kafka's jars behind a company's proxy. Each failure is one sentence that names the host and what to set."""

import hashlib
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest
from jgo.constants import MAVEN_CENTRAL_URL

from tests.broker.network import HOST, Answer, proxy, repository
from tests.security.certificates import Authority
from worker.broker import BrokerError
from worker.broker.downloads import Repository
from worker.broker.pins import Jar

DATA = b"a small jar"
JAR = Jar("org.example:small:1.0", len(DATA), hashlib.sha256(DATA).hexdigest())
PATH = "/org/example/small/1.0/small-1.0.jar"
MIRROR = "CUSTOMER_CONTEXT_KAFKA_MIRROR"
CENTRAL = urlsplit(MAVEN_CENTRAL_URL).netloc
COMPANY = "to a Maven repository of your company"


class Https(NamedTuple):
    """A repository with TLS, whose authority the company made. authority: the PEM file of that."""

    url: str
    authority: Path

    @property
    def host(self) -> str:
        return self.url.removeprefix("https://")


def small_jar(path: str, headers: Mapping[str, str]) -> Answer:
    return Answer(DATA) if path == PATH else Answer(status=404)


@pytest.fixture(scope="module")
def https(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Https]:
    folder = tmp_path_factory.mktemp("certificates")
    authority = Authority(folder, "company")
    _, certificate = authority.issue("mirror", (HOST,))
    with repository(small_jar, certificate) as url:
        yield Https(url, authority.path)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def trusted(https: Https, monkeypatch: pytest.MonkeyPatch) -> Https:
    """The repository with TLS, once the system trusts its authority."""
    monkeypatch.setenv("SSL_CERT_FILE", str(https.authority))
    return https


def fetched(folder: Path, mirror: str | None, timeout_s: float = 5.0) -> bytes:
    target = folder / JAR.file_name
    Repository(mirror, timeout_s).fetch(JAR, target)
    return target.read_bytes()


def refusal(folder: Path, mirror: str | None, timeout_s: float = 5.0) -> str:
    with pytest.raises(BrokerError) as refused:
        fetched(folder, mirror, timeout_s)
    assert list(folder.iterdir()) == []
    assert refused.value.__cause__ is None
    begin, told = str(refused.value).split(": ", 1)
    assert begin == "Kafka cannot be fetched"
    return told


def test_a_mirror_is_used_whose_authority_the_system_trusts(trusted: Https, tmp_path: Path):
    assert fetched(tmp_path, f"{trusted.url}/") == DATA


def test_without_that_trust_the_same_download_fails_and_the_certificate_is_named(
    https: Https, tmp_path: Path
):
    assert refusal(tmp_path, https.url) == (
        f"the certificate of {https.host} is not trusted (unable to get local issuer certificate); put the certificate "
        "of your company's authority into the system's trust store, or on Linux name its file in SSL_CERT_FILE."
    )


def test_a_certificate_of_another_host_is_not_trusted(trusted: Https, tmp_path: Path):
    told = refusal(tmp_path, trusted.url.replace(HOST, "localhost"))
    assert told.startswith("the certificate of localhost:")
    assert "Hostname mismatch" in told


def test_the_proxy_of_the_environment_is_asked(
    trusted: Https, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with proxy() as company:
        monkeypatch.setenv("HTTPS_PROXY", f"http://{company.address}")
        assert fetched(tmp_path, trusted.url) == DATA
        assert company.asked == [trusted.host]


def test_a_mirror_without_tls_is_asked_through_http_proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with proxy() as company, repository(small_jar) as url:
        monkeypatch.setenv("HTTP_PROXY", company.address)  # curl takes it without a scheme, too
        assert fetched(tmp_path, url) == DATA
        assert company.asked == [f"{url}{PATH}"]


def test_no_proxy_leads_past_the_proxy(trusted: Https, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with proxy() as company:
        monkeypatch.setenv("HTTPS_PROXY", f"http://{company.address}")
        monkeypatch.setenv("NO_PROXY", HOST)
        assert fetched(tmp_path, trusted.url) == DATA
        assert company.asked == []


def test_a_proxy_that_asks_for_a_password_gets_it(
    trusted: Https, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with proxy("ada:p@ss/word") as company:
        monkeypatch.setenv("HTTPS_PROXY", f"http://ada:p%40ss%2Fword@{company.address}")
        assert fetched(tmp_path, trusted.url) == DATA


@pytest.mark.parametrize("user", ["", "ada:wrong-secret@"])
@pytest.mark.parametrize("tls", [True, False])
def test_a_proxy_that_refuses_a_password_is_asked_once_and_named_without_it(
    user: str, tls: bool, trusted: Https, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    variable = "HTTPS_PROXY" if tls else "HTTP_PROXY"
    with proxy("ada:right-secret") as company:
        monkeypatch.setenv(variable, f"http://{user}{company.address}")
        told = refusal(tmp_path, trusted.url if tls else "http://mirror.example")
        assert len(company.asked) == 1
    assert told == (
        f"the proxy {company.address} asks for a user name and a password that it accepts (407); "
        f"set {variable} to http://USER:PASSWORD@proxy.example.com:3128."
    )


def test_a_proxy_that_lets_nobody_to_maven_central_is_told_with_the_other_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with proxy(refused=403) as company:
        monkeypatch.setenv("HTTPS_PROXY", f"http://{company.address}")
        assert refusal(tmp_path, None) == (
            f"the proxy {company.address} does not let this machine reach {CENTRAL} (403); "
            f"set {MIRROR} {COMPANY}."
        )
        assert company.asked == [f"{CENTRAL}:443"]


@pytest.mark.parametrize("url", ["http://ada:se/cret@{}", "http://ada:12/34@{}", "http://{}x", "http://"])
def test_a_proxy_that_is_no_url_is_told_without_its_text(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HTTPS_PROXY", url.format(f"{HOST}:1"))
    assert refusal(tmp_path, None) == (
        "HTTPS_PROXY is not a URL such as http://USER:PASSWORD@proxy.example.com:3128; "
        "write special characters of the password as %40 and the like."
    )


def test_a_mirror_that_asks_for_a_password_gets_it_and_no_other_host_does(tmp_path: Path):
    seen: list[str | None] = []

    def elsewhere(path: str, headers: Mapping[str, str]) -> Answer:
        seen.append(headers.get("Authorization"))
        return Answer(DATA)

    def mirror(path: str, headers: Mapping[str, str]) -> Answer:
        seen.append(headers.get("Authorization"))
        return Answer(status=302, headers={"Location": f"{store}/{path}"})

    with repository(elsewhere) as store, repository(mirror) as url:
        assert fetched(tmp_path, url.replace("//", "//ada:p%40ss@")) == DATA
    assert seen == ["Basic YWRhOnBAc3M=", None]


def test_a_mirror_that_refuses_a_password_is_asked_once_and_named_without_it(tmp_path: Path):
    asked: list[str] = []

    def mirror(path: str, headers: Mapping[str, str]) -> Answer:
        asked.append(path)
        return Answer(status=401)

    with repository(mirror) as url:
        told = refusal(tmp_path, url.replace("//", "//ada:secret@"))
    host = url.removeprefix("http://")
    assert told == f"{host} refuses (401); put USER:PASSWORD@ before the host in {MIRROR}."
    assert asked == [PATH]


def test_a_mirror_without_the_jar_is_named(tmp_path: Path):
    with repository(small_jar) as url:
        told = refusal(tmp_path, f"{url}/elsewhere")
    host = url.removeprefix("http://")
    assert told == f"{host} answers with status 404 in place of a jar; check {MIRROR}."


@pytest.mark.parametrize("page", [b"<html>Please log in", b"<html>" + b"x" * 1_000, b"A small jar"])
def test_a_page_in_place_of_a_jar_is_refused(page: bytes, tmp_path: Path):
    with repository(lambda path, headers: Answer(page)) as url:
        told = refusal(tmp_path, url)
    host = url.removeprefix("http://")
    assert told == (
        f"{host} sends something else than org.example:small:1.0, such as a login page, "
        f"because its SHA-256 is not the expected one; check {MIRROR}."
    )


def test_what_a_redirect_leads_to_is_what_is_named(tmp_path: Path):
    def mirror(path: str, headers: Mapping[str, str]) -> Answer:
        return Answer(status=302, headers={"Location": f"{login}/login"})

    with repository(small_jar) as login, repository(mirror) as url:
        assert refusal(tmp_path, url).startswith(f"{login.removeprefix('http://')} answers with status 404")


@pytest.mark.parametrize("by_proxy", [True, False])
def test_a_host_that_refuses_connections_is_named(
    by_proxy: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    if by_proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://ada:secret@{HOST}:9")
        told = refusal(tmp_path, None)
        assert told == (
            f"the proxy {HOST}:9 refuses the connection; check HTTPS_PROXY, or set {MIRROR} {COMPANY}."
        )
    else:
        assert refusal(tmp_path, f"https://{HOST}:9") == f"{HOST}:9 refuses the connection; check {MIRROR}."


def test_a_host_that_is_not_found_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert refusal(tmp_path, "https://mirror.invalid/maven") == (
        f"mirror.invalid is not found by name; check {MIRROR}."
    )
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.invalid:3128")
    assert refusal(tmp_path, None) == (
        f"the proxy proxy.invalid:3128 is not found by name; check HTTPS_PROXY, or set {MIRROR} {COMPANY}."
    )


def test_a_host_that_is_silent_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with socket.create_server((HOST, 0)) as silent:
        port = silent.getsockname()[1]
        assert refusal(tmp_path, f"http://{HOST}:{port}", timeout_s=0.1) == (
            f"{HOST}:{port} did not answer within 0.1 s; check {MIRROR}."
        )
        monkeypatch.setenv("HTTPS_PROXY", f"http://{HOST}:{port}")
        assert refusal(tmp_path, None, timeout_s=0.1) == (
            f"{CENTRAL}, asked through the proxy {HOST}:{port}, did not answer within 0.1 s; "
            f"check HTTPS_PROXY, or set {MIRROR} {COMPANY}."
        )


def test_a_port_without_tls_is_told(tmp_path: Path):
    with repository(small_jar) as url:
        told = refusal(tmp_path, url.replace("http:", "https:"))
    assert told == f"{url.removeprefix('http://')} does not speak TLS (WRONG_VERSION_NUMBER); check {MIRROR}."


def test_a_connection_that_breaks_off_each_time_is_told(tmp_path: Path):
    with repository(lambda path, headers: Answer(DATA[:3], length=len(DATA))) as url:
        told = refusal(tmp_path, url)
    host = url.removeprefix("http://")
    assert told == f"{host} broke the connection off (IncompleteRead); check {MIRROR}."
