"""viser's server, on this machine only and without its own banner."""

from __future__ import annotations

import socket
from contextlib import redirect_stdout
from io import StringIO
from typing import TYPE_CHECKING

from trivox.errors import InputError

if TYPE_CHECKING:
    from viser import ViserServer

HOST = "127.0.0.1"
FIRST_PORT, _PORTS_TRIED = 8080, 100


def start_server(port: int | None) -> ViserServer:
    """A server on this machine only, at the given port or the first free one."""
    from viser import ViserServer

    with redirect_stdout(StringIO()):  # viser's own banner
        return ViserServer(host=HOST, port=_free_port(port), label="trivox", verbose=False)


def stop_server(server: ViserServer) -> None:
    with redirect_stdout(StringIO()):
        server.stop()


def _free_port(wanted: int | None) -> int:
    for port in range(FIRST_PORT, FIRST_PORT + _PORTS_TRIED) if wanted is None else (wanted,):
        if not 0 < port < 65536:
            raise InputError(f"there is no port {port}; give one from 1 to 65535")
        with socket.socket() as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                tried.bind((HOST, port))
            except OSError:
                continue
            return port
    if wanted is None:
        raise InputError(f"ports {FIRST_PORT} to {FIRST_PORT + _PORTS_TRIED - 1} are all in use; give one with --port")
    raise InputError(f"port {wanted} cannot be used here: another program has it, or it is reserved; leave --port out")
