"""viser's server, on this machine only, for its own pages only, and without its own banner.

Any site that is open in the browser may send requests to this machine, and a name that it owns may come to mean this
machine while it is open (DNS rebinding). So a request is answered only where its Host is a name of this machine, and
its Origin, if it says one, is the page at that very host; the websocket, over which everything of a result goes, begins
as such a request. The port is that of the request: it may have been forwarded from another machine.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from http import HTTPStatus
from io import StringIO
from typing import TYPE_CHECKING, Any

from trivox.errors import InputError

if TYPE_CHECKING:
    from viser import ViserServer
    from websockets import Headers
    from websockets.asyncio.server import ServerConnection
    from websockets.http11 import Request, Response

HOST = "127.0.0.1"
FIRST_PORT, _PORTS_TRIED = 8080, 100
_NAMES = {HOST, "localhost", "[::1]"}


def start_server(port: int | None) -> ViserServer:
    """A server on this machine only, at the given port or the first free one."""
    from viser import ViserServer

    with redirect_stdout(StringIO()), _own_pages_only():  # viser's own banner
        return ViserServer(host=HOST, port=_free_port(port), label="trivox", verbose=False)


def stop_server(server: ViserServer) -> None:
    with redirect_stdout(StringIO()):
        server.stop()


@contextmanager
def _own_pages_only() -> Iterator[None]:
    """viser gives no way to look at requests first; the function that it starts its server with does."""
    from websockets.asyncio import server

    serve, guarded = server.serve, []

    def serve_own(*args: Any, process_request: Callable[[ServerConnection, Request], Any], **options: Any) -> Any:
        def checked(connection: ServerConnection, request: Request) -> Response | None:
            if not is_own(request.headers):
                return connection.respond(HTTPStatus.FORBIDDEN, "trivox answers pages of this machine only\n")
            return process_request(connection, request)

        guarded.append(True)
        return serve(*args, process_request=checked, **options)

    server.serve = serve_own  # pyright: ignore[reportAttributeAccessIssue]
    try:
        yield
        assert guarded, "viser started its server in another way"
    finally:
        server.serve = serve


def is_own(headers: Headers) -> bool:
    """Whether a request goes to this machine by one of its names, and comes from the page that is served there."""
    hosts, origins = headers.get_all("Host"), headers.get_all("Origin")
    if len(hosts) != 1 or len(origins) > 1:
        return False
    host = hosts[0].lower()
    name, colon, port = host.rpartition(":") if not host.endswith("]") else (host, "", "")
    if (name if colon else host) not in _NAMES or (colon and not (port.isascii() and port.isdigit())):
        return False
    return not origins or origins[0].lower() == f"http://{host}"


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
