"""What a worker that should not answer HTTP as it is configured says before it does anything else."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.api.tokens import RSA_KEY, jwk
from tests.fork_server import run_console

NO_KAFKA = {"BOOTSTRAP_SERVERS": "127.0.0.1:1", "WEB_PORT": "0"}
PRIVATE: dict[str, Any] = jwk(RSA_KEY, private=True, kid="x")


@pytest.mark.parametrize(
    ("setting", "text", "said"),
    [
        (
            "AUTH_JWKS_FILE",
            json.dumps({"keys": [PRIVATE]}),
            "AUTH_JWKS_FILE: key 0 is a private or symmetric key",
        ),
        ("AUTH_JWKS_FILE", "no json", "AUTH_JWKS_FILE: this is not a JSON Web Key Set"),
        ("WEB_SSL_CERTFILE", "no certificate", "WEB_SSL_CERTFILE or _KEYFILE cannot be used"),
        ("PEER_SSL_CAFILE", "no certificate", "PEER_SSL_CAFILE cannot be used"),
    ],
)
def test_files_that_cannot_be_used_end_the_worker_before_it_asks_kafka(
    tmp_path: Path, setting: str, text: str, said: str
) -> None:
    file = tmp_path / "file"
    file.write_text(text)
    settings = {**NO_KAFKA, "DATA_DIR": str(tmp_path / "data"), setting: str(file)}
    ours = {name: value for name, value in os.environ.items() if not name.startswith("CUSTOMER_CONTEXT_")}
    given = {f"CUSTOMER_CONTEXT_{name}": value for name, value in settings.items()}
    done = run_console(["worker"], ours | given, within_s=120.0)  # it would wait for Kafka for longer
    assert done.returncode == 2, done.stderr
    assert said in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert PRIVATE["d"] not in done.stderr
