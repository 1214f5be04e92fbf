"""Sending over the real adapter: what it takes for an answer, and where it never goes."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from control_plane.adapters.receivers import EXCERPT_BYTES, HttpReceivers
from control_plane.domain.webhooks.addresses import Allowed
from control_plane.ports.receivers import NotSentError, Receivers, Reply
from tests.support.receiver import Receiver, receiving, saying

HERE = Allowed.of("127.0.0.0/8")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


@pytest.fixture
def receivers() -> Receivers:
    return HttpReceivers(HERE, timeout_s=2.0)


def post(receivers: Receivers, url: str) -> Reply:
    return receivers.post(url, {"webhook-id": "evt_1"}, b'{"x":1}')


def test_an_answer_is_its_status_its_wish_and_its_first_bytes(
    receiver: Receiver, receivers: Receivers
) -> None:
    receiver.answers = [saying(503, b"busy\0" + b"x" * 5000, Retry_After="7")]
    reply = post(receivers, receiver.url + "?key=a%20b")
    assert (reply.status, reply.retry_after) == (503, "7")
    assert reply.excerpt.startswith("busy\N{REPLACEMENT CHARACTER}x")
    assert len(reply.excerpt) <= EXCERPT_BYTES
    [got] = receiver.got
    assert (got.path, got.body) == ("/hook?key=a%20b", b'{"x":1}')
    assert got.headers["webhook-id"] == "evt_1"
    assert got.headers["host"] == receiver.url.split("/")[2]
    assert got.headers["content-length"] == "7"


def test_a_url_is_asked_as_it_was_entered(receiver: Receiver, receivers: Receivers) -> None:
    for path in ("/a;v=1/b;c?x=1;2", "/?", "/a//b"):
        assert post(receivers, receiver.url.replace("/hook", path)).status == 204
    assert [got.path for got in receiver.got] == ["/a;v=1/b;c?x=1;2", "/", "/a//b"]


def test_a_redirect_is_an_answer_and_is_not_followed(
    receiver: Receiver, receivers: Receivers
) -> None:
    receiver.answers = [saying(307, Location=receiver.url + "/elsewhere")]
    assert post(receivers, receiver.url).status == 307
    assert len(receiver.got) == 1


def test_nobody_listens(receivers: Receivers) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(NotSentError, match="refused"):
        post(receivers, f"http://127.0.0.1:{port}/")


def test_a_name_that_nobody_has(receivers: Receivers) -> None:
    with pytest.raises(NotSentError, match=r"nobody\.invalid is not known"):
        post(receivers, "http://nobody.invalid/")


def test_what_speaks_something_else_is_no_receiver(receivers: Receivers) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            link = server.accept()[0]
            link.recv(65536)
            link.sendall(b"220 mail.example.com ESMTP\r\n")
            link.close()

        thread = threading.Thread(target=greet)
        thread.start()
        with pytest.raises(NotSentError):
            post(receivers, f"http://127.0.0.1:{server.getsockname()[1]}/")
        thread.join()


def test_a_receiver_that_drips_its_head_is_given_up(receiver: Receiver) -> None:
    left = threading.Event()

    def drip(request: BaseHTTPRequestHandler) -> None:
        try:
            for byte in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 1000:
                request.wfile.write(bytes([byte]))
                if left.wait(0.05):
                    return
        except OSError:
            left.set()

    receiver.always = drip
    with pytest.raises(NotSentError, match=r"no whole answer within 0\.5 s"):
        post(HttpReceivers(HERE, timeout_s=0.5), receiver.url)
    assert left.wait(10), "the connection is closed, not left to drip"


def test_a_receiver_that_sips_what_it_is_sent_is_given_up() -> None:
    body, sipped = b"x" * (32 << 20), 0
    with socket.create_server(("127.0.0.1", 0)) as server:
        given_up = threading.Event()

        def sip() -> None:
            nonlocal sipped
            link = server.accept()[0]
            with link, suppress(OSError):
                while got := len(link.recv(65536)):
                    sipped += got
                    given_up.wait(0.01)  # what was on its way is read out quickly at the end

        thread = threading.Thread(target=sip)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        with pytest.raises(NotSentError, match=r"no whole answer within 0\.5 s"):
            HttpReceivers(HERE, timeout_s=0.5).post(url, {}, body)
        given_up.set()
        thread.join()
    assert sipped < len(body), "the whole body was written, however long that took"


def test_a_body_that_never_ends_changes_nothing_of_the_status(receiver: Receiver) -> None:
    left = threading.Event()

    def hang(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", "1000")
        request.end_headers()
        request.wfile.write(b"so far")
        left.wait(10)

    receiver.always = hang
    reply = post(HttpReceivers(HERE, timeout_s=0.5), receiver.url)
    left.set()
    assert (reply.status, reply.excerpt) == (200, "so far")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "0", "[::1]"])
def test_this_machine_is_not_reached_by_any_spelling(receiver: Receiver, host: str) -> None:
    url = receiver.url.replace("127.0.0.1", host)
    with pytest.raises(NotSentError):
        post(HttpReceivers(Allowed()), url)
    assert receiver.got == []


def test_the_name_is_resolved_once_and_that_address_is_connected_to(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name server that answers the check with a public address and the connection with ours."""
    port = int(receiver.url.split(":")[2].split("/")[0])
    asked: list[str] = []
    plain = socket.getaddrinfo

    def rebinding(host: Any, *args: Any, **options: Any) -> Any:
        if host != "rebind.example.com":
            return plain(host, *args, **options)
        asked.append(host)
        address = "127.0.0.9" if len(asked) == 1 else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    url = f"http://rebind.example.com:{port}/hook"
    with pytest.raises(NotSentError):  # nobody listens at the first one
        post(HttpReceivers(Allowed.of("127.0.0.9")), url)
    assert asked == ["rebind.example.com"]
    assert receiver.got == []
    asked.clear()
    with pytest.raises(NotSentError, match=r"rebind\.example\.com is 127\.0\.0\.9"):
        post(HttpReceivers(Allowed()), url)


def test_no_proxy_of_the_environment_is_used(
    receiver: Receiver, receivers: Receivers, monkeypatch: pytest.MonkeyPatch
) -> None:
    with receiving() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        assert post(receivers, receiver.url).status == 204
        assert proxy.got == []


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\0b"])
def test_no_header_can_bring_another(receiver: Receiver, receivers: Receivers, value: str) -> None:
    with pytest.raises(NotSentError):
        receivers.post(receiver.url, {"webhook-id": value}, b"")
    assert receiver.got == []
