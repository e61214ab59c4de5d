"""The processes of one worker: their sockets, their places and their commands."""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, closing
from pathlib import Path
from secrets import token_bytes
from typing import NamedTuple

from worker.processes.place import STATE_HOST, Place, encode
from worker.processes.supervisor import USUAL, Child, Pace, Supervisor
from worker.settings import PREFIX, Settings


class Crew(NamedTuple):
    """A supervisor that is not run yet, and the URL at which its processes will answer."""

    supervisor: Supervisor
    url: str


@asynccontextmanager
async def crew(
    settings: Settings,
    given: Mapping[str, str],
    env_file: Path | None,
    write: Callable[[bytes], object],
    on_end: Callable[[int, int, float], None],
    pace: Pace = USUAL,
) -> AsyncIterator[Crew]:
    """The supervisor of settings.processes workers. Their sockets are bound while the block runs.

    One process alone gets no sockets, and is a worker like any other.

    Args:
        settings: of this process.
        given: settings for the workers by name, beside those of this process's environment.
        env_file: the file given by --env-file.
        write: as for Supervisor.
        on_end: as for Supervisor.
        pace: as for Supervisor.

    Raises:
        OSError: a port cannot be bound.
    """
    options = () if env_file is None else ("--env-file", str(env_file))
    command = (sys.executable, "-P", "-m", "worker.cli", *options, "worker")
    own = {PREFIX + name: value for name, value in {**given, "PROCESSES": str(settings.processes)}.items()}
    environment = {**os.environ, **own}
    url = settings.public_url(settings.web_port)
    with ExitStack() as sockets:
        if settings.processes == 1:
            children = [Child(0, (*command, "--stop-with-stdin"), environment)]
        else:
            web = await _bound(settings.web_host, settings.web_port, sockets)
            url = settings.public_url(web[0].getsockname()[1])
            children = [
                Child(
                    place.number,
                    (*command, "--process", str(place.number)),
                    environment,
                    place.files,
                    encode(place),
                )
                for place in await _places(settings, _files(web), url, sockets)
            ]
        supervisor = Supervisor(children, write, on_end, pace)
        yield Crew(supervisor, url)


async def _places(settings: Settings, web: tuple[int, ...], url: str, sockets: ExitStack) -> list[Place]:
    """The places of all processes, with their sockets.

    Args:
        settings: of this process.
        web: file descriptors of WEB_PORT.
        url: where all processes answer.
        sockets: closes what is bound for them.
    """
    metrics: tuple[int, ...] = ()
    if settings.metrics_port is not None:
        metrics = _files(await _bound(settings.web_host, settings.metrics_port, sockets))
    states = [sockets.enter_context(socket.create_server((STATE_HOST, 0))) for _ in range(settings.processes)]
    ports, secret = tuple(state.getsockname()[1] for state in states), token_bytes(32)
    return [
        Place(
            number=number,
            web=web,
            metrics=metrics,
            state=state.fileno(),
            state_ports=ports,
            url=url,
            secret=secret,
        )
        for number, state in enumerate(states)
    ]


async def _bound(host: str, port: int, sockets: ExitStack) -> Sequence[socket.socket]:
    """Sockets for all addresses of the host, as asyncio's servers bind them. They do not listen yet."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(asyncio.Protocol, host, port, start_serving=False)
    sockets.enter_context(closing(server))
    return server.sockets


def _files(bound: Sequence[socket.socket]) -> tuple[int, ...]:
    return tuple(each.fileno() for each in bound)
