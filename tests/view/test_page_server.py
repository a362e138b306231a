"""The served page answers its own page: another site in the same browser reads nothing."""

from __future__ import annotations

import http.client
from collections.abc import Iterator

import pytest

viser = pytest.importorskip("viser")

from websockets.exceptions import InvalidStatus  # noqa: E402
from websockets.sync.client import connect  # noqa: E402
from websockets.typing import Subprotocol  # noqa: E402

from trivox.view.page_server import HOST, start_server, stop_server  # noqa: E402


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    server = start_server(None)
    yield server.get_port()
    stop_server(server)


OWN = [("127.0.0.1:{}", None), ("localhost:{}", "http://localhost:{}"), ("LOCALHOST:{}", None)]
OWN += [("127.0.0.1:{}", "http://127.0.0.1:{}"), ("[::1]:{}", "http://[::1]:{}"), ("localhost", "http://localhost")]
OWN += [("localhost:9000", "http://localhost:9000")]  # forwarded by ssh
STRANGE: list[tuple[str | None, str | None]] = [
    ("evil.example:{}", None),
    ("evil.example", "http://evil.example"),
    ("evil.example:{}", "http://evil.example:{}"),  # a name that came to mean this machine
    ("127.0.0.1:{}", "http://evil.example"),
    ("127.0.0.1:{}", "http://localhost:{}"),
    ("localhost:{}", "http://localhost:1"),  # another server of this machine
    ("localhost:{}", "https://localhost:{}"),
    ("localhost:{}", "null"),
    ("localhost:{}", ""),
    ("localhost.evil.example:{}", None),
    ("127.0.0.1.evil.example", None),
    ("evil.example:127.0.0.1", None),
    ("localhost:{}@evil.example", None),
    ("", None),
    (None, None),
]


def headers(host: str | None, origin: str | None, port: int) -> dict[str, str]:
    given = {"Host": host, "Origin": origin}
    return {name: value.format(port) for name, value in given.items() if value is not None}


def answer(port: int, given: dict[str, str]) -> int:
    connection = http.client.HTTPConnection(HOST, port, timeout=20)
    connection.putrequest("GET", "/", skip_host=True)
    for name, value in given.items():
        connection.putheader(name, value)
    connection.endheaders()
    try:
        return connection.getresponse().status
    finally:
        connection.close()


def socket_opens(port: int, given: dict[str, str]) -> bool:
    protocol = f"viser-v{viser.__version__}"
    try:
        with connect(
            f"ws://{HOST}:{port}",
            additional_headers=given,
            subprotocols=[Subprotocol(protocol)],
            max_size=None,
            proxy=None,
        ) as opened:
            opened.recv(timeout=20)
            return True
    except InvalidStatus as refused:
        assert refused.response.status_code == 403
        return False


@pytest.mark.parametrize(("host", "origin"), OWN)
def test_its_own_page_is_answered(port: int, host: str, origin: str | None) -> None:
    assert answer(port, headers(host, origin, port)) == 200


@pytest.mark.parametrize(("host", "origin"), STRANGE)
def test_other_sites_are_not_answered(port: int, host: str | None, origin: str | None) -> None:
    assert answer(port, headers(host, origin, port)) == 403
    assert answer(port, {**headers(host, origin, port), "Upgrade": "websocket", "Connection": "Upgrade"}) == 403


def test_the_websocket_opens_for_its_own_page_only(port: int) -> None:
    assert socket_opens(port, {})
    assert socket_opens(port, {"Origin": f"http://{HOST}:{port}"})
    for origin in ("http://evil.example", "null", f"http://localhost:{port}", f"https://{HOST}:{port}"):
        assert not socket_opens(port, {"Origin": origin})
