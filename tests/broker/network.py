"""A company's network on 127.0.0.1: Maven repositories with and without TLS, and a proxy that may ask for a password."""

import base64
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from ssl import PROTOCOL_TLS_SERVER, SSLContext, SSLError
from typing import Any
from urllib.request import ProxyHandler, build_opener

HOST = "127.0.0.1"
_WITHIN_S = 10


@dataclass(frozen=True)
class Answer:
    """One HTTP answer. length: the Content-Length that it claims; None for the true one."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    length: int | None = None


Route = Callable[[str, Mapping[str, str]], Answer]
"""The answer to a path and the headers of a request."""


class Server(ThreadingHTTPServer):
    """Listens at `port` until the end of the test."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up, or does not trust the certificate, is what some tests are about."""

    @property
    def port(self) -> int:
        """The port that was bound."""
        return int(self.server_address[1])


@contextmanager
def repository(route: Route, certificate: Path | None = None) -> Iterator[str]:
    """A Maven repository, and its base URL. certificate: PEM file of a certificate and its key; None: without TLS."""
    with _serving(partial(_Repository, route), certificate) as server:
        scheme = "https" if certificate else "http"
        yield f"{scheme}://{HOST}:{server.port}"


class Proxy:
    """A proxy at `address`. `asked` has the hosts and URLs that it was asked for, in order."""

    def __init__(self, password: str | None, refused: int | None) -> None:
        self.asked: list[str] = []
        self.address = ""
        self.refused = refused
        self.wanted = password and f"Basic {base64.b64encode(password.encode()).decode()}"


@contextmanager
def proxy(password: str | None = None, refused: int | None = None) -> Iterator[Proxy]:
    """A proxy. password: user:password that it asks for. refused: the status by which it refuses whatever it is asked."""
    state = Proxy(password, refused)
    with _serving(partial(_ProxyHandler, state), None) as server:
        state.address = f"{HOST}:{server.port}"
        yield state


@contextmanager
def _serving(handler: Callable[..., BaseHTTPRequestHandler], certificate: Path | None) -> Iterator[Server]:
    with Server((HOST, 0), handler) as server:
        if certificate:
            context = SSLContext(PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False
            )
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class _Quiet(BaseHTTPRequestHandler):
    timeout = _WITHIN_S

    def log_message(self, *_: object) -> None:
        pass

    def answer(self, given: Answer) -> None:
        self.send_response(given.status)
        for name, value in given.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(given.body) if given.length is None else given.length))
        self.end_headers()
        self.wfile.write(given.body)


class _Repository(_Quiet):
    def __init__(self, route: Route, *arguments: Any) -> None:
        self._route = route
        with suppress(SSLError, OSError):
            super().__init__(*arguments)

    def do_GET(self) -> None:
        self.answer(self._route(self.path, dict(self.headers)))


class _ProxyHandler(_Quiet):
    def __init__(self, state: Proxy, *arguments: Any) -> None:
        self._state = state
        super().__init__(*arguments)

    def do_CONNECT(self) -> None:
        if self._let_in():
            host, _, port = self.path.rpartition(":")
            with socket.create_connection((host, int(port)), timeout=_WITHIN_S) as there:
                self.send_response(200)
                self.end_headers()
                back = threading.Thread(target=_copy, args=[there, self.connection])
                back.start()
                _copy(self.connection, there)
                back.join()

    def do_GET(self) -> None:
        if self._let_in():
            with build_opener(ProxyHandler({})).open(self.path, timeout=_WITHIN_S) as there:
                self.answer(Answer(there.read()))

    def _let_in(self) -> bool:
        self._state.asked.append(self.path)
        status = self._state.refused
        if self._state.wanted and self.headers["Proxy-Authorization"] != self._state.wanted:
            status = 407
        if status:
            self.answer(Answer(status=status))
        return status is None


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
