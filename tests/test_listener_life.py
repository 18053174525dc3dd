"""The listener from its opening to its end: who waits, who is told what at the end, and whose port it is."""

import asyncio
import errno
import os
import socket
import sys

import pytest
from listener_desk import (
    ADDRESS,
    DIRECT,
    GENUINE,
    LINKED,
    OURS,
    Forms,
    RedirectReceiver,
    ask,
    listening,
    paste,
    read_answer,
    told,
)

from oauth_helper.errors import MachineError, PortTakenError
from oauth_helper.listener.handlers import Listener
from oauth_helper.models import RepoType


async def test_three_genuine_redirects_at_once_all_get_the_outcome() -> None:
    async with listening(RedirectReceiver(ending=None)) as opened:
        async with asyncio.TaskGroup() as tasks:
            answers = [tasks.create_task(ask(opened.port, f"{DIRECT}?{OURS}")) for _ in range(3)]
            tasks.create_task(_end_after(opened.receiver, captures=3))
        pages = [await ask(opened.port, answer.result().headers["location"]) for answer in answers]
    assert [told(page) for page in pages] == ["linked"] * 3


async def _end_after(receiver: RedirectReceiver, captures: int) -> None:
    for _ in range(captures):
        await receiver.arrivals.get()
    receiver.end(LINKED)


async def test_a_browser_is_not_kept_waiting_for_ever_but_given_a_page_that_waits() -> None:
    async with listening(RedirectReceiver(ending=None), patience=0.05) as opened:
        page = await paste(opened, ADDRESS)
        assert (page.status, told(page)) == (200, "waiting")
        refresh = next(meta for meta in Forms(page.body).all("meta") if meta.get("http-equiv") == "refresh")
        wait, _, address = str(refresh["content"]).partition("; url=")
        assert wait == "1"
        assert told(await ask(opened.port, address)) == "waiting"
        opened.receiver.end(LINKED)
        assert told(await ask(opened.port, address)) == "linked"


async def test_the_page_opened_once_more_after_the_capture_leads_to_the_outcome() -> None:
    async with listening(RedirectReceiver(ending=None), patience=0.05) as opened:
        await paste(opened, ADDRESS)
        start = await ask(opened.port, f"/start?k={opened.key}")
        assert start.status == 303
        assert told(await ask(opened.port, start.headers["location"])) == "waiting"


async def test_the_page_opened_after_the_end_leads_to_the_outcome_however_it_came_about() -> None:
    async with listening(RedirectReceiver()) as opened:
        opened.receiver.end(LINKED)
        start = await ask(opened.port, f"/start?k={opened.key}")
        assert told(await ask(opened.port, start.headers["location"])) == "linked"


async def test_a_browser_that_waits_when_the_command_is_stopped_is_told_that_the_outcome_is_not_known() -> None:
    async with asyncio.TaskGroup() as tasks, listening(RedirectReceiver(ending=None)) as opened:
        page = tasks.create_task(paste(opened, ADDRESS))
        await opened.receiver.arrivals.get()
    assert told(page.result()) == "unknown"
    assert "stopped" in page.result().body


async def test_a_browser_sent_to_the_final_page_may_still_fetch_it_while_the_listener_closes() -> None:
    async with asyncio.TaskGroup() as tasks, listening(RedirectReceiver()) as opened:
        answer = await ask(opened.port, f"{DIRECT}?{OURS}")
        page = tasks.create_task(ask(opened.port, answer.headers["location"]))
    assert told(page.result()) == "linked"


async def test_who_connects_before_serving_begins_is_answered_as_soon_as_it_does() -> None:
    async with Listener() as listener:
        host, _, port = listener.address.removeprefix("http://").partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"GET {DIRECT}?{OURS} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
        await listener.serve(RedirectReceiver())
        answer = await read_answer(reader)
        assert answer.status == 303
        await ask(int(port), answer.headers["location"])
        writer.close()


@pytest.mark.parametrize("repo_type", RepoType)
async def test_the_page_names_the_git_host_that_is_being_linked(repo_type: RepoType) -> None:
    async with listening(RedirectReceiver(repo_type=repo_type)) as opened:
        page = await ask(opened.port, f"/start?k={opened.key}")
    assert f"Continue to {repo_type.display_name}<" in page.body


async def test_the_listener_alone_has_its_port() -> None:
    async with Listener() as listener:
        port = int(listener.address.rpartition(":")[2])
        for address in ("127.0.0.1", "0.0.0.0"):  # noqa: S104 - the attempt must fail
            with socket.socket() as other:
                other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                with pytest.raises(OSError, match="in use") as caught:
                    other.bind((address, port))
                assert caught.value.errno == errno.EADDRINUSE
        with pytest.raises(PortTakenError, match=f"Port {port} on 127.0.0.1 is taken"):
            await Listener(port).__aenter__()


async def test_the_port_is_free_at_once_when_the_listener_is_closed_with_connections_open() -> None:
    async with listening(RedirectReceiver()) as opened:
        _, silent = await asyncio.open_connection("127.0.0.1", opened.port)
        assert told(await paste(opened, ADDRESS, Connection="close")) == "linked"
    async with Listener(opened.port) as again:
        assert again.address == opened.listener.address
    silent.close()
    await silent.wait_closed()


async def test_a_listener_that_never_served_gives_its_port_back_too() -> None:
    async with Listener() as listener:
        port = int(listener.address.rpartition(":")[2])
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
    async with Listener(port):
        pass


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have other options")
async def test_a_socket_that_listens_shares_nothing() -> None:
    from oauth_helper.listener.server import listen  # noqa: PLC0415 - the one test beneath the public face

    with listen(None) as sock:
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR) == 0
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT) == 0
        assert sock.getsockname()[0] == "127.0.0.1"
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="no low port is reserved there")
async def test_a_port_that_the_system_reserves_is_said_to_be_reserved() -> None:
    user = os.geteuid()
    os.seteuid(user or 65534)
    try:
        with pytest.raises(PortTakenError, match="is reserved") as caught:
            await Listener(2).__aenter__()
    finally:
        os.seteuid(user)
    assert "above 1023" in caught.value.hint


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such limit there")
async def test_a_machine_that_has_no_socket_left_is_said_to_be_at_fault() -> None:
    import resource  # noqa: PLC0415 - there is none on Windows

    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
    try:
        with pytest.raises(MachineError, match=r"Cannot listen on 127\.0\.0\.1: Too many open files"):
            await Listener().__aenter__()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


async def test_the_same_port_of_the_other_family_is_held_while_we_listen_and_nobody_is_answered_there() -> None:
    async with listening(RedirectReceiver()) as opened:
        with socket.socket(socket.AF_INET6) as stranger:
            stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with pytest.raises(OSError, match="Address already in use"):
                stranger.bind(("::1", opened.port))
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("::1", opened.port)
    with socket.socket(socket.AF_INET6) as next_one:
        next_one.bind(("::1", opened.port))


async def test_at_the_end_the_browser_forgets_its_cookie() -> None:
    async with listening(RedirectReceiver()) as opened:
        first = await ask(opened.port, f"/start?k={opened.first}")
        answer = await ask(opened.port, GENUINE)
        cookie = first.headers["set-cookie"].partition(";")[0]
        done = await ask(opened.port, answer.headers["location"], Cookie=cookie)
        assert done.headers["set-cookie"].startswith(f'{cookie.partition("=")[0]}=""; ')
        assert "max-age=0" in done.headers["set-cookie"].lower()
