"""Many sessions, vanishing clients, clients that do not read, sessions that end (spec/realtime §4.12, cases 15 to 18)."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from openai import OpenAI
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from live import KEY, MODEL, Server
from tap import Tap

SESSIONS = 200
ACTIVE = "antiphon_sessions_active"
CLOSED_AS_SLOW = "antiphon_slow_clients_closed_total"
HEADERS = {"Authorization": f"Bearer {KEY}"}


def address(server: Server) -> str:
    return f"{server.url.replace('http', 'ws')}/v1/realtime?model={MODEL}"


async def turn(server: Server, number: int, ready: asyncio.Barrier) -> None:
    """A text turn; every second client then vanishes without a word in the middle of a reply."""
    async with connect(address(server), additional_headers=HEADERS, max_size=None, proxy=None) as socket_:
        text = f"say: This is session {number}."
        await ask(socket_, text)
        reply = await until(socket_, "response.done")
        assert reply["response"]["output"][0]["content"][0]["text"] == f"This is session {number}."
        await ready.wait()  # all are connected
        await ready.wait()  # and counted
        if number % 2:
            await ask(socket_, "slowly 50 long")
            await until(socket_, "response.output_text.delta")
            socket_.transport.abort()


async def ask(socket_: Any, text: str) -> None:
    content = [{"type": "input_text", "text": text}]
    item = {"type": "message", "role": "user", "content": content}
    await socket_.send(json.dumps({"type": "conversation.item.create", "item": item}))
    await socket_.send(json.dumps({"type": "response.create", "response": {"output_modalities": ["text"]}}))


async def until(socket_: Any, kind: str) -> dict[str, Any]:
    while True:
        event: dict[str, Any] = json.loads(await asyncio.wait_for(socket_.recv(), 60))
        assert event["type"] != "error", event
        if event["type"] == kind:
            return event


def test_many_sessions_and_vanishing_clients(server: Server) -> None:
    server.wait_for(ACTIVE, 0)

    async def run() -> None:
        ready = asyncio.Barrier(SESSIONS + 1)
        async with asyncio.TaskGroup() as group:
            for number in range(SESSIONS):
                group.create_task(turn(server, number, ready))
            await ready.wait()
            assert await asyncio.to_thread(server.metric, ACTIVE) == SESSIONS
            await ready.wait()

    asyncio.run(run())
    server.wait_for(ACTIVE, 0)


@pytest.fixture(scope="module")
def small_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a short queue for events and short sessions."""
    running = Server(
        tmp_path_factory.mktemp("small"),
        ANTIPHON_SESSIONS__SEND_QUEUE_EVENTS="16",
        ANTIPHON_SESSIONS__MAX_DURATION_S="40",
    )
    yield running
    assert running.stop() == 0, running.log()[-4000:]


def test_a_client_that_does_not_read_is_closed_and_nobody_else(small_server: Server) -> None:
    async def run() -> None:
        narrow = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        narrow.connect(("127.0.0.1", small_server.port))
        narrow.setblocking(False)
        deaf = await connect(
            address(small_server), additional_headers=HEADERS, sock=narrow, max_queue=1, max_size=None, proxy=None
        )
        audio = {"output_modalities": ["audio"]}
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "long"}]}
        for _ in range(4):
            out_of_band = {"conversation": "none", "input": [item], **audio}
            await deaf.send(json.dumps({"type": "response.create", "response": out_of_band}))
        async with connect(address(small_server), additional_headers=HEADERS, proxy=None) as neighbour:
            closed = asyncio.ensure_future(asyncio.to_thread(small_server.wait_for, CLOSED_AS_SLOW, 1))
            while not closed.done():
                await ask(neighbour, "slowly 250 say: I am served.")
                await until(neighbour, "response.done")
            await closed
            # it may still read what was on its way, and why it was closed
            with pytest.raises(ConnectionClosed) as told:
                while True:
                    await asyncio.wait_for(deaf.recv(), 30)
            assert told.value.rcvd is not None and told.value.rcvd.code == 1008
            assert told.value.rcvd.reason.startswith("slow_consumer")
            await ask(neighbour, "say: I am served.")
            await until(neighbour, "response.done")

    asyncio.run(run())
    small_server.wait_for(ACTIVE, 0)


def test_a_session_ends_at_its_time(tmp_path_factory: pytest.TempPathFactory) -> None:
    running = Server(tmp_path_factory.mktemp("short"), ANTIPHON_SESSIONS__MAX_DURATION_S="2")
    try:
        tap = Tap(running.url, running.log_path.parent, tmp_path_factory.mktemp("short-tap"), label="short")
        client = OpenAI(api_key=KEY, base_url=f"{running.url}/v1", websocket_base_url=f"{tap.ws}/v1")
        with client.realtime.connect(model=MODEL) as connection:
            events = list(connection)
        tap.stop()
    finally:
        code = running.stop()
    assert code == 0
    assert [event.type for event in events] == ["session.created", "error"]
    assert events[-1].type == "error" and events[-1].error.code == "session_expired"


def test_a_server_that_stops_closes_its_sessions(tmp_path_factory: pytest.TempPathFactory) -> None:
    running = Server(tmp_path_factory.mktemp("stopping"), ANTIPHON_SERVER__DRAIN_S="1")

    async def run() -> int | None:
        async with connect(address(running), additional_headers=HEADERS, proxy=None) as open_session:
            await until(open_session, "session.created")
            stopping = asyncio.ensure_future(asyncio.to_thread(running.stop))
            await open_session.wait_closed()
            assert await stopping == 0
            return open_session.close_code

    assert asyncio.run(run()) == 1001
