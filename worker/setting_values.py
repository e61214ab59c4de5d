"""The kinds of values that settings have. Each kind checks a text, and makes the value of it.

Rules:
- A check raises ValueError. Its text says what to give, and never quotes what was given, because that could be a secret.
"""

import re
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationInfo

from worker import peers
from worker.processes.cores import cores
from worker.wire.type_aliases import read_aliases

MIN_SECRET_BYTES = 32
MOST_PROCESSES = 64
HIGHEST_PORT = 65_535

_KAFKA_NAME = re.compile(r"[A-Za-z0-9._-]*")
_SERVER = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:,\[\]/@]+):\d{1,5}")
_SWITCH = {"on": True, "off": False}


def _kafka_name(text: str) -> str:
    if not _KAFKA_NAME.fullmatch(text):
        raise ValueError("use letters, digits, dots, dashes and underscores only")
    return text


def _servers(text: str) -> str:
    servers = [server.strip() for server in text.split(",")] if text.strip() else []
    if not all(_SERVER.fullmatch(server) for server in servers):
        raise ValueError("give host:port, separated by commas")
    return ",".join(servers)


def _switch(value: object) -> object:
    if isinstance(value, str):
        if value.lower() not in _SWITCH:
            raise ValueError("use on or off")
        return _SWITCH[value.lower()]
    return value


def _processes(value: object, info: ValidationInfo) -> object:
    """The number of processes for `auto`; any other value as it is."""
    return min(cores(), info.data.get("partitions", 1), MOST_PROCESSES) if value == "auto" else value


def _base_url(text: str) -> str:
    parts = urlsplit(text)
    try:
        given = bool(parts.hostname) and "@" not in parts.netloc and parts.port != 0
    except ValueError:  # its text would contain the given port
        given = False
    if parts.scheme not in ("http", "https") or not given or parts.query or parts.fragment:
        raise ValueError("give a URL such as http://worker-1:6066")
    return text.rstrip("/")


def _peer_urls(text: str) -> str:
    return ",".join(peers.split(text))


def _type_aliases(text: str) -> str:
    read_aliases(text)
    return text


def _redis_url(secret: SecretStr) -> SecretStr:
    if urlsplit(secret.get_secret_value()).scheme not in ("redis", "rediss", "unix"):
        raise ValueError("give a URL such as redis://host:6379/0")
    return secret


def _repository_url(secret: SecretStr) -> SecretStr:
    parts = urlsplit(secret.get_secret_value())
    try:
        given = bool(parts.hostname) and parts.port != 0 and "@" not in parts.path
    except ValueError:  # its text would contain the given port
        given = False
    given = given and not re.search(r"[\s?#]", secret.get_secret_value())
    if parts.scheme not in ("http", "https") or not given:
        raise ValueError("give a URL such as https://nexus.example.com/repository/maven-public")
    return secret


def _readable(path: Path) -> Path:
    if not path.is_file():
        raise ValueError("there is no such file")
    return path


def _long_enough(secret: SecretStr) -> SecretStr:
    if len(secret.get_secret_value().encode()) < MIN_SECRET_BYTES:
        raise ValueError(f"use at least {MIN_SECRET_BYTES} bytes")
    return secret


Port = Annotated[int, Field(ge=0, le=HIGHEST_PORT)]
KafkaName = Annotated[str, Field(max_length=100), AfterValidator(_kafka_name)]
Servers = Annotated[str, AfterValidator(_servers)]
Switch = Annotated[bool, BeforeValidator(_switch)]
Processes = Annotated[int, BeforeValidator(_processes), Field(ge=1, le=MOST_PROCESSES)]
BaseUrl = Annotated[str, AfterValidator(_base_url)]
PeerUrls = Annotated[str, AfterValidator(_peer_urls)]
TypeAliases = Annotated[str, AfterValidator(_type_aliases)]
RedisUrl = Annotated[SecretStr, AfterValidator(_redis_url)]
RepositoryUrl = Annotated[SecretStr, AfterValidator(_repository_url)]
ReadableFile = Annotated[Path, AfterValidator(_readable)]
SigningSecret = Annotated[SecretStr, AfterValidator(_long_enough)]
