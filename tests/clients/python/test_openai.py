"""The official Python client, current shape: spec/realtime §4.2, cases 1 to 8 and 11."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.resources.realtime.realtime import AsyncRealtimeConnection, RealtimeConnection
from websockets.exceptions import ConnectionClosedError

from live import KEY, MODEL
from sound import b64, silence
from tap import Tap

TEXT_LADDER = [
    "response.created",
    "response.output_item.added",
    "conversation.item.added",
    "response.content_part.added",
    "response.output_text.delta",
    "response.output_text.done",
    "response.content_part.done",
    "conversation.item.done",
    "response.output_item.done",
    "response.done",
    "rate_limits.updated",
]
WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "Weather of a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


def user(text: str) -> Any:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


def until(connection: RealtimeConnection, kind: str) -> list[Any]:
    """Events up to and with the first of this kind."""
    events = []
    while not events or events[-1].type != kind:
        events.append(connection.recv())
        assert kind == "error" or events[-1].type != "error", events[-1]
    return events


async def until_async(connection: AsyncRealtimeConnection, kind: str) -> list[Any]:
    events: list[Any] = []
    while not events or events[-1].type != kind:
        events.append(await connection.recv())
        assert kind == "error" or events[-1].type != "error", events[-1]
    return events


def steps(events: list[Any]) -> list[str]:
    """Event types, repeated ones once."""
    return [kind for kind, _ in itertools.groupby(event.type for event in events)]


def test_text_turn(client: OpenAI) -> None:
    with client.realtime.connect(model=MODEL) as connection:
        assert connection.recv().type == "session.created"
        connection.session.update(session={"type": "realtime", "output_modalities": ["text"]})
        until(connection, "session.updated")
        connection.conversation.item.create(item=user("say: The quick brown fox. It jumps!"))
        added, done = until(connection, "conversation.item.done")
        assert added.item == done.item and added.previous_item_id is None
        connection.response.create()
        events = until(connection, "rate_limits.updated")
    assert steps(events) == TEXT_LADDER
    deltas = "".join(e.delta for e in events if e.type == "response.output_text.delta")
    response = next(e for e in events if e.type == "response.done").response
    assert deltas == response.output[0].content[0].text == "The quick brown fox. It jumps!"
    assert response.status == "completed"
    assert response.usage.total_tokens > 0


def test_audio_turn_async(async_client: AsyncOpenAI) -> None:
    async def run() -> None:
        async with async_client.realtime.connect(model=MODEL) as connection:
            await connection.session.update(
                session={
                    "type": "realtime",
                    "audio": {
                        "input": {
                            "turn_detection": None,
                            "transcription": {"model": "gpt-4o-mini-transcribe", "prompt": "say: good morning"},
                        }
                    },
                }
            )
            await until_async(connection, "session.updated")
            await connection.input_audio_buffer.append(audio=b64(silence(400)))
            await connection.input_audio_buffer.commit()
            await connection.response.create()
            events = await until_async(connection, "rate_limits.updated")
            kinds = [event.type for event in events]
            assert kinds.count("input_audio_buffer.committed") == 1
            asked = next(e for e in events if e.type == "input_audio_buffer.committed").item_id
            of_item = [
                e.type for e in events if e.type.startswith("conversation.item.") and "transcription" not in e.type
                and e.item.id == asked
            ]
            assert of_item == ["conversation.item.added", "conversation.item.done"]
            transcript = next(e for e in events if e.type.endswith("transcription.completed"))
            assert (transcript.item_id, transcript.transcript) == (asked, "good morning")
            assert transcript.usage.type == "duration"
            assert abs(transcript.usage.seconds - 0.4) <= 0.02
            spoken = "".join(e.delta for e in events if e.type == "response.output_audio_transcript.delta")
            reply = next(e for e in events if e.type == "response.done").response
            assert spoken == reply.output[0].content[0].transcript
            assert "good morning" in spoken

    asyncio.run(run())


def test_update_changes_only_what_is_named(client: OpenAI) -> None:
    with client.realtime.connect(model=MODEL) as connection:
        before = connection.recv().session.to_dict()
        connection.session.update(session={"type": "realtime", "audio": {"input": {"turn_detection": None}}})
        after = until(connection, "session.updated")[-1].session.to_dict()
    assert after["audio"]["input"]["turn_detection"] is None
    assert before["audio"]["input"]["turn_detection"]["type"] == "server_vad"
    after["audio"]["input"]["turn_detection"] = before["audio"]["input"]["turn_detection"]
    assert after == before


def test_function_call_round_trip(client: OpenAI) -> None:
    with client.realtime.connect(model=MODEL) as connection:
        connection.session.update(
            session={"type": "realtime", "output_modalities": ["text"], "tools": [WEATHER]}  # type: ignore[list-item]
        )
        until(connection, "session.updated")
        connection.conversation.item.create(item=user('get_weather {"city":"Paris"}'))
        connection.response.create()
        events = until(connection, "response.done")
        by_type = {event.type: event for event in events}
        done = by_type["response.function_call_arguments.done"]
        assert json.loads(done.arguments) == {"city": "Paris"}
        assert done.name == "get_weather"
        ids = {
            by_type["response.output_item.added"].item.call_id,
            by_type["response.function_call_arguments.delta"].call_id,
            done.call_id,
            by_type["response.output_item.done"].item.call_id,
            by_type["response.done"].response.output[0].call_id,
        }
        assert len(ids) == 1
        assert steps(events)[-8:] == [
            "response.created",
            "response.output_item.added",
            "conversation.item.added",
            "response.function_call_arguments.delta",
            "response.function_call_arguments.done",
            "conversation.item.done",
            "response.output_item.done",
            "response.done",
        ]
        connection.conversation.item.create(
            item={"type": "function_call_output", "call_id": done.call_id, "output": "18 degrees"}
        )
        connection.response.create()
        reply = until(connection, "response.done")[-1].response
    assert "18 degrees" in reply.output[0].content[0].text


def test_cancel_in_the_middle_of_audio(client: OpenAI) -> None:
    with client.realtime.connect(model=MODEL) as connection:
        connection.conversation.item.create(item=user("slowly 20 long"))
        connection.response.create()
        until(connection, "response.output_audio.delta")
        connection.response.cancel()
        ended = until(connection, "response.done")[-1].response
        assert (ended.status, ended.status_details.reason) == ("cancelled", "client_cancelled")
        assert ended.output[0].status == "incomplete"
        # a further turn proves that nothing of the cancelled response comes late
        connection.conversation.item.create(item=user("say: Next."))
        connection.response.create()
        later = until(connection, "response.done")
    assert not [e for e in later if getattr(e, "response_id", None) == ended.id]
    assert later[-1].response.status == "completed"


def test_response_outside_the_conversation(client: OpenAI) -> None:
    with client.realtime.connect(model=MODEL) as connection:
        connection.session.update(session={"type": "realtime", "output_modalities": ["text"]})
        connection.conversation.item.create(item=user("slowly 8 long"))
        until(connection, "conversation.item.done")
        connection.response.create()
        default = until(connection, "response.created")[-1].response.id
        connection.response.create(
            response={"conversation": "none", "metadata": {"topic": "side"}, "input": [user("say: Aside.")]}
        )
        events: list[Any] = []
        ended: dict[str, Any] = {}
        while len(ended) < 2:
            events.append(connection.recv())
            assert events[-1].type != "error", events[-1]
            if events[-1].type == "response.done":
                ended[events[-1].response.id] = events[-1].response
    side = next(response for name, response in ended.items() if name != default)
    assert next(iter(ended)) == side.id, "the short response ends first"
    assert side.metadata == {"topic": "side"} and side.conversation_id is None
    assert side.output[0].content[0].text == "Aside."
    items = {e.item.id for e in events if e.type.startswith("conversation.item.")}
    assert side.output[0].id not in items
    assert ended[default].status == "completed" and ended[default].output[0].id in items


def test_commit_of_nothing(client: OpenAI) -> None:
    with client.realtime.connect(model=MODEL) as connection:
        connection.input_audio_buffer.commit(event_id="my_commit")
        error = until(connection, "error")[-1].error
        assert (error.code, error.event_id) == ("input_audio_buffer_commit_empty", "my_commit")
        connection.input_audio_buffer.clear()
        until(connection, "input_audio_buffer.cleared")


def test_client_secret(client: OpenAI) -> None:
    made = client.realtime.client_secrets.create(
        expires_after={"anchor": "created_at", "seconds": 60},
        session={"type": "realtime", "model": MODEL, "instructions": "scripted: say: From the secret."},
    )
    assert made.value.startswith("ek_")
    assert 55 <= made.expires_at - time.time() <= 61
    assert made.session.type == "realtime" and made.session.instructions == "scripted: say: From the secret."
    browser = client.with_options(api_key=made.value)
    with browser.realtime.connect(model=MODEL) as connection:
        assert connection.recv().session.instructions == "scripted: say: From the secret."
        connection.conversation.item.create(item=user("Hello"))
        connection.response.create(response={"output_modalities": ["text"]})
        reply = until(connection, "response.done")[-1].response
        assert reply.output[0].content[0].text == "From the secret."
    with pytest.raises(Exception, match="401"), browser.realtime.connect(model=MODEL) as connection:
        connection.recv()
    with pytest.raises(openai.AuthenticationError):
        browser.models.list()


def test_unknown_model_is_one_error_and_a_close(client: OpenAI) -> None:
    with client.realtime.connect(model="no-such-model") as connection:
        error = connection.recv()
        assert (error.type, error.error.code) == ("error", "invalid_model")
        with pytest.raises(ConnectionClosedError) as closed:
            connection.recv()
    assert closed.value.rcvd is not None and closed.value.rcvd.code == 1008


def test_a_session_goes_on_over_another_connection(client: OpenAI) -> None:
    with client.realtime.connect(model=MODEL) as connection:
        created = connection.recv()
        assert created.type == "session.created"
        connection.session.update(session={"type": "realtime", "instructions": "Be brief."})
        updated = until(connection, "session.updated")[-1]
    query = {"session_id": created.session.id, "last_event_id": updated.event_id}
    with client.realtime.connect(extra_query=query) as connection:
        again, resumed = connection.recv(), connection.recv()
        assert (again.session.id, again.session.instructions) == (created.session.id, "Be brief.")
        assert resumed.type == "session.resumed"
        connection.conversation.item.create(item=user("say: still here"))
        connection.response.create(response={"output_modalities": ["text"]})
        done = until(connection, "response.done")[-1]
        assert done.response.status == "completed"


def test_who_asks_is_told_that_another_voice_speaks(
    tap_of_fallen_voice: Tap,
) -> None:
    def told(query: dict[str, str]) -> list[object]:
        with (
            OpenAI(
                api_key=KEY, base_url="http://127.0.0.1:9/v1", websocket_base_url=f"{tap_of_fallen_voice.ws}/v1"
            ) as client,
            client.realtime.connect(model="gpt-4o-realtime-preview", extra_query=query) as connection,
        ):
            assert connection.recv().type == "session.created"
            connection.conversation.item.create(item=user("say: One voice is as good as another."))
            connection.response.create()
            events = until(connection, "response.done")
            assert events[-1].response.status == "completed"
            assert any(event.type == "response.output_audio.delta" for event in events)
            return [event for event in events if event.type == "tts.degraded"]

    [event] = told({"extra_events": "tts.degraded"})
    assert (event.to_dict()["from"], event.to_dict()["to"]) == ("nowhere", "scripted")
    assert event.to_dict()["reason"] == "provider_unavailable"
    # a client that says nothing is told nothing
    assert told({}) == []


def test_who_asks_is_told_of_pieces_of_speech_and_of_what_is_heard_so_far(client: OpenAI, speech: bytes) -> None:
    query = {"extra_events": "speech.piece,transcript.partial"}
    with client.realtime.connect(model=MODEL, extra_query=query) as connection:
        assert connection.recv().type == "session.created"
        transcription = {"model": "whisper-1", "prompt": "say: what is the weather"}
        connection.session.update(session={"type": "realtime", "audio": {"input": {"transcription": transcription}}})
        until(connection, "session.updated")
        connection.input_audio_buffer.append(audio=b64(speech))
        assert until(connection, "transcript.partial")[-1].to_dict()["text"]
        connection.input_audio_buffer.append(audio=b64(silence(900)))
        events = until(connection, "response.done")
        pieces = [event.to_dict()["text"] for event in events if event.type == "speech.piece"]
        said = events[-1].response.output[0].content[0].transcript
        assert "".join(pieces).strip() == said


def test_transcription_session(client: OpenAI, speech: bytes) -> None:
    with client.realtime.connect(extra_query={"intent": "transcription"}) as connection:
        created = connection.recv()
        assert created.session.type == "transcription"
        connection.session.update(
            session={
                "type": "transcription",
                "audio": {"input": {"transcription": {"model": "whisper-1", "prompt": "say: what is the weather"}}},
            }
        )
        until(connection, "session.updated")
        connection.input_audio_buffer.append(audio=b64(speech + silence(900)))
        events = until(connection, "conversation.item.input_audio_transcription.completed")
        assert events[-1].transcript == "what is the weather"
        wanted = [
            "input_audio_buffer.speech_started",
            "input_audio_buffer.speech_stopped",
            "input_audio_buffer.committed",
            "conversation.item.added",
            "conversation.item.done",
            "conversation.item.input_audio_transcription.delta",
            "conversation.item.input_audio_transcription.completed",
        ]
        assert [kind for kind in steps(events) if kind in wanted] == wanted
        connection.response.create()
        until(connection, "error")
