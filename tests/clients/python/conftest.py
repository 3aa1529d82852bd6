"""The running server, the tap and the clients that the tests share."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI, OpenAI
from websockets.sync.client import ClientConnection, connect

from live import KEY, MODEL, Server, recordings
from tap import Tap

RECEIVE_S = 30


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for the whole run; it must stop with exit code 0."""
    running = Server(tmp_path_factory.mktemp("server"))
    yield running
    code = running.stop()
    assert code == 0, running.log()[-4000:]


@pytest.fixture(scope="session")
def tap(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tap]:
    """The recording proxy in front of it."""
    running = Tap(server.url, recordings(), tmp_path_factory.mktemp("tap"), label="python")
    yield running
    running.stop()


@pytest.fixture(scope="session")
def tap_of_fallen_voice(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tap]:
    """The tap in front of a server whose first voice is where nobody listens."""
    folder = tmp_path_factory.mktemp("fallen")
    settings = folder / "antiphon.toml"
    settings.write_text(
        '[providers.nowhere]\nkind = "openai"\nbase_url = "http://127.0.0.1:9/v1"\n'
        '[pipelines.gpt-4o-realtime-preview]\nstt = ["scripted"]\nllm = ["scripted"]\ntts = ["nowhere", "scripted"]\n',
        encoding="utf-8",
    )
    server = Server(folder, config=settings)
    running = Tap(server.url, recordings(), tmp_path_factory.mktemp("tap"), label="fallen")
    yield running
    running.stop()
    code = server.stop()
    assert code == 0, server.log()[-4000:]


@pytest.fixture
def client(server: Server, tap: Tap) -> Iterator[OpenAI]:
    """The official client: REST straight to the server, sockets through the tap."""
    with OpenAI(
        api_key=KEY, base_url=f"{server.url}/v1", websocket_base_url=f"{tap.ws}/v1", max_retries=0
    ) as made:
        yield made


@pytest.fixture
def async_client(server: Server, tap: Tap) -> AsyncOpenAI:
    """The same for asyncio."""
    return AsyncOpenAI(
        api_key=KEY, base_url=f"{server.url}/v1", websocket_base_url=f"{tap.ws}/v1", max_retries=0
    )


@pytest.fixture(scope="session")
def speech() -> bytes:
    """A spoken question, 24 kHz 16-bit mono samples."""
    path = Path(__file__).resolve().parent.parent / "speech.wav"
    return path.read_bytes()[44:]


class Raw:
    """A WebSocket that speaks the protocol by hand."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.events: list[dict[str, Any]] = []

    def send(self, kind: str, **fields: Any) -> None:
        self.socket.send(json.dumps({"type": kind, **fields}))

    def next(self) -> dict[str, Any]:
        event = json.loads(self.socket.recv(timeout=RECEIVE_S))
        self.events.append(event)
        return event

    def until(self, kind: str) -> dict[str, Any]:
        """The next event of this kind; those before it stay in `events`."""
        while True:
            event = self.next()
            if event["type"] == kind:
                return event
            if event["type"] == "error":
                raise AssertionError(f"waiting for {kind}: {event['error']}")

    def error(self) -> dict[str, Any]:
        """The next error, whatever comes before it."""
        while True:
            event = self.next()
            if event["type"] == "error":
                return event["error"]

    def update(self, **session: Any) -> dict[str, Any]:
        self.send("session.update", session={"type": "realtime", **session})
        return self.until("session.updated")["session"]

    def manual(self, **session: Any) -> dict[str, Any]:
        """Turn detection off, other settings as given."""
        audio = session.pop("audio", {})
        audio["input"] = {**audio.get("input", {}), "turn_detection": None}
        return self.update(audio=audio, **session)

    def say(self, text: str, **item: Any) -> dict[str, Any]:
        """A user message; returns the finished item."""
        content = [{"type": "input_text", "text": text}]
        self.send(
            "conversation.item.create",
            item={"type": "message", "role": "user", "content": content, **item},
        )
        return self.until("conversation.item.done")["item"]

    def respond(self, **response: Any) -> dict[str, Any]:
        """Asks for a response and waits for its end."""
        self.send("response.create", response=response)
        return self.until("response.done")["response"]

    def alive(self) -> None:
        """The session still answers."""
        self.send("input_audio_buffer.clear")
        self.until("input_audio_buffer.cleared")

    def kinds(self) -> list[str]:
        return [event["type"] for event in self.events]


@pytest.fixture
def raw(tap: Tap) -> Any:
    """Opens `Raw` connections through the tap."""

    @contextmanager
    def opened(
        query: str = f"model={MODEL}", url: str = tap.ws, key: str | None = KEY, **options: Any
    ) -> Iterator[Raw]:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        with connect(
            f"{url}/v1/realtime?{query}",
            additional_headers=headers | options.pop("headers", {}),
            max_size=None,
            compression=None,
            proxy=None,
            **options,
        ) as socket:
            yield Raw(socket)

    return opened
