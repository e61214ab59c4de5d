"""A process of several takes the shared port's sockets, unless it stops before it has them."""

import socket
from types import SimpleNamespace
from typing import Any

import pytest

from worker.app.run import Companion


class App:
    """Stands for the app, whose web server runs or does not."""

    def __init__(self) -> None:
        self.serves = True
        self.served: list[int] = []

    async def serve_at(self, listener: socket.socket) -> None:
        if not self.serves:
            raise RuntimeError("no server")  # as aiohttp does
        self.served.append(listener.getsockname()[1])
        listener.close()


class Siblings:
    """Stands for the siblings, of whom none is ready. stops: the app that stops while they are asked."""

    def __init__(self, stops: App | None) -> None:
        self._stops = stops

    async def somebody_is_ready(self) -> bool:
        if self._stops is not None:
            self._stops.serves = False
        return False


@pytest.mark.parametrize("stops", [False, True])
async def test_a_process_that_stops_meanwhile_takes_no_socket(stops: bool):
    app: Any = App()
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    gateway: Any = SimpleNamespace(readiness=lambda: SimpleNamespace(ready=False))
    parts: Any = SimpleNamespace(context=SimpleNamespace(siblings=Siblings(app if stops else None)))
    place: Any = SimpleNamespace(web=[listener.detach()])
    nothing: Any = None
    companion = Companion(app, gateway, nothing, parts, place)
    await Companion._share_the_port(companion)
    assert app.served == ([] if stops else [port])
    if stops:
        socket.socket(fileno=place.web[0]).close()
