"""The agents SDK for Python, the strictest client there is: it parses every event and tells of each one that it cannot.

Run by pytest through the tap. Never passes with an error told by the SDK or by the server.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from agents import function_tool
from agents.realtime import RealtimeAgent, RealtimeRunner, RealtimeSession

from live import KEY, MODEL
from sound import PCM_BYTES_PER_MS, silence
from tap import Tap

LIMIT_S = 30


@asynccontextmanager
async def session(tap: Tap, tools: Any = (), **settings: Any) -> AsyncIterator[RealtimeSession]:
    """A connected session of an agent."""
    agent = RealtimeAgent(name="tested", instructions="Answer.", tools=list(tools))
    runner = RealtimeRunner(agent, config={"tracing_disabled": True})
    model = {
        "api_key": KEY,
        "url": f"{tap.ws}/v1/realtime?model={MODEL}",
        "initial_model_settings": {"model_name": MODEL, **settings},
    }
    async with await runner.run(model_config=model) as running:  # type: ignore[arg-type]
        yield running


async def until(running: RealtimeSession, wanted: Callable[[Any], bool]) -> list[Any]:
    """What the session tells, up to and with the first event that is wanted."""
    told: list[Any] = []

    async def read() -> None:
        async for event in running:
            told.append(event)
            assert event.type != "error", event
            raw = event.data if event.type == "raw_model_event" else None
            assert raw is None or raw.type not in ("error", "exception"), raw
            if wanted(event):
                return
        raise AssertionError("the session ended")

    await asyncio.wait_for(read(), LIMIT_S)
    return told


def ended(event: Any) -> bool:
    return event.type == "agent_end"


def texts(running: RealtimeSession) -> list[tuple[str, str | None]]:
    """Who said what, as the SDK's history has it."""
    said = []
    for item in running._history:
        if item.type == "message":
            part = item.content[0]
            said.append((item.role, getattr(part, "transcript", None) or getattr(part, "text", None)))
    return said


def test_a_turn_is_in_the_history(tap: Tap) -> None:
    async def run() -> None:
        text = "Told to the agent."
        async with session(tap) as running:
            await running.send_message(f"say: {text}")
            told = await until(running, ended)
            sound = b"".join(event.audio.data for event in told if event.type == "audio")
            assert len(sound) == len(text) * 60 * PCM_BYTES_PER_MS
            assert [event.type for event in told].count("audio_end") == 1
            assert texts(running) == [("user", f"say: {text}"), ("assistant", text)]

    asyncio.run(run())


def test_a_tool_is_called_once(tap: Tap) -> None:
    asked = []

    @function_tool
    def get_weather(city: str) -> str:
        """Weather of a city."""
        asked.append(city)
        return "18 degrees"

    async def run() -> None:
        async with session(tap, tools=[get_weather]) as running:
            await running.send_message('get_weather {"city":"Paris"}')
            await until(running, lambda event: event.type == "tool_end")
            await until(running, lambda event: ended(event) and "18 degrees" in (texts(running)[-1][1] or ""))

    asyncio.run(run())
    assert asked == ["Paris"]


def test_a_spoken_question_has_its_transcript(tap: Tap, speech: bytes) -> None:
    async def run() -> None:
        heard = {"model": "gpt-4o-mini-transcribe", "prompt": "say: say: Half past four."}
        async with session(tap, input_audio_transcription=heard) as running:
            await running.send_audio(speech + silence(900))
            await until(running, ended)
            wanted = [("user", "say: Half past four."), ("assistant", "Half past four.")]
            if texts(running) != wanted:
                await until(running, lambda _: texts(running) == wanted)

    asyncio.run(run())


def test_speech_interrupts_a_reply(tap: Tap, speech: bytes) -> None:
    async def run() -> None:
        detection = {"type": "server_vad", "create_response": False, "interrupt_response": True}
        async with session(tap, turn_detection=detection) as running:
            await running.send_message("slowly 20 long")
            await until(running, lambda event: event.type == "audio")
            await running.send_audio(speech + silence(900))
            await until(running, lambda event: event.type == "audio_interrupted")
            await until(running, ended)

    asyncio.run(run())
