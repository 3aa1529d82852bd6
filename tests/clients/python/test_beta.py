"""Clients from before the current shape: spec/realtime §4.2, case 10, and §4.11."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

from openai import AsyncOpenAI, OpenAI
from openai.resources.beta.realtime.realtime import RealtimeConnection

from live import MODEL
from sound import b64, silence

AUDIO_LADDER = [
    "response.created",
    "response.output_item.added",
    "conversation.item.created",
    "response.content_part.added",
    "response.audio.done",
    "response.audio_transcript.done",
    "response.content_part.done",
    "response.output_item.done",
    "response.done",
]


def until(connection: RealtimeConnection, kind: str) -> list[Any]:
    events = []
    while not events or events[-1].type != kind:
        events.append(connection.recv())
        assert kind == "error" or events[-1].type != "error", events[-1]
    return events


def steps(events: list[Any]) -> list[str]:
    return [kind for kind, _ in itertools.groupby(event.type for event in events)]


def user(text: str) -> Any:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


def test_text_turn_and_flat_session(client: OpenAI) -> None:
    with client.beta.realtime.connect(model=MODEL) as connection:
        created = connection.recv()
        assert created.type == "session.created"
        assert created.session.modalities == ["audio", "text"] or created.session.modalities == ["text", "audio"]
        assert created.session.input_audio_format == "pcm16"
        connection.session.update(
            session={"modalities": ["text"], "instructions": "Be brief.", "voice": "echo", "temperature": 0.8}
        )
        updated = until(connection, "session.updated")[-1].session
        assert (updated.modalities, updated.instructions, updated.voice) == (["text"], "Be brief.", "echo")
        connection.conversation.item.create(item=user("say: Old times."))
        until(connection, "conversation.item.created")
        connection.response.create()
        events = until(connection, "response.done")
    assert steps(events) == [
        "response.created",
        "response.output_item.added",
        "conversation.item.created",
        "response.content_part.added",
        "response.text.delta",
        "response.text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.done",
    ]
    assert events[-1].response.output[0].content[0].text == "Old times."
    assert events[-1].response.output[0].content[0].type == "text"


def test_audio_turn(client: OpenAI) -> None:
    with client.beta.realtime.connect(model=MODEL) as connection:
        connection.session.update(
            session={
                "turn_detection": None,  # type: ignore[typeddict-item]
                "input_audio_format": "g711_ulaw",
                "input_audio_transcription": {"model": "whisper-1", "prompt": "say: say: Good evening."},
            }
        )
        until(connection, "session.updated")
        connection.input_audio_buffer.append(audio=b64(b"\xff" * 3200))
        connection.input_audio_buffer.commit()
        connection.response.create()
        events = until(connection, "response.done")
        deltas = ("response.audio.delta", "response.audio_transcript.delta")
        of_response = [
            event.type
            for event in events
            if event.type not in deltas
            and (event.type.startswith("response.") or getattr(getattr(event, "item", None), "role", "") == "assistant")
        ]
        assert sorted(of_response) == sorted(AUDIO_LADDER)
        spoken = "".join(event.delta for event in events if event.type == deltas[1])
        assert spoken == "Good evening." == events[-1].response.output[0].content[0].transcript


def test_cancelled_turn_async(async_client: AsyncOpenAI) -> None:
    async def run() -> None:
        async with async_client.beta.realtime.connect(model=MODEL) as connection:
            await connection.conversation.item.create(item=user("slowly 20 long"))
            await connection.response.create()
            async for event in connection:
                assert event.type != "error", event
                if event.type == "response.audio.delta":
                    break
            await connection.response.cancel()
            async for event in connection:
                if event.type == "response.done":
                    break
            assert event.response.status == "cancelled"
            assert event.response.status_details.reason == "client_cancelled"

    asyncio.run(run())


def test_function_call(client: OpenAI) -> None:
    tool: Any = {"type": "function", "name": "look_up", "description": "x", "parameters": {"type": "object"}}
    with client.beta.realtime.connect(model=MODEL) as connection:
        connection.session.update(session={"modalities": ["text"], "tools": [tool], "tool_choice": "look_up"})
        until(connection, "session.updated")
        connection.conversation.item.create(item=user("Anything"))
        connection.response.create()
        events = until(connection, "response.done")
        call = events[-1].response.output[0]
        assert (call.type, call.name) == ("function_call", "look_up")
        done = next(e for e in events if e.type == "response.function_call_arguments.done")
        assert "name" not in done.to_dict()
        connection.conversation.item.create(
            item={"type": "function_call_output", "call_id": call.call_id, "output": "42"}  # type: ignore[typeddict-item]
        )
        connection.response.create(response={"tool_choice": "none"})
        assert "42" in until(connection, "response.done")[-1].response.output[0].content[0].text


def test_spoken_turn(client: OpenAI, speech: bytes) -> None:
    with client.beta.realtime.connect(model=MODEL) as connection:
        connection.session.update(session={"turn_detection": {"type": "server_vad", "create_response": False}})
        until(connection, "session.updated")
        connection.input_audio_buffer.append(audio=b64(speech + silence(900)))
        kinds = steps(until(connection, "conversation.item.created"))
    assert kinds == [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.created",
    ]


def test_sessions_route(client: OpenAI) -> None:
    made = client.beta.realtime.sessions.create(model=MODEL, modalities=["text"], instructions="Stored.")  # type: ignore[arg-type]
    assert made.client_secret.value.startswith("ek_")
    assert made.modalities == ["text"]
    browser = client.with_options(api_key=made.client_secret.value)
    with browser.beta.realtime.connect(model=MODEL) as connection:
        assert connection.recv().session.instructions == "Stored."


def test_transcription_sessions_route(client: OpenAI) -> None:
    made = client.beta.realtime.transcription_sessions.create(
        input_audio_format="pcm16", input_audio_transcription={"model": "whisper-1"}
    )
    assert made.client_secret.value.startswith("ek_")
    assert made.input_audio_transcription is not None
    assert made.input_audio_transcription.model == "whisper-1"
