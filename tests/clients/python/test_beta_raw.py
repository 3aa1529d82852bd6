"""The older shape by hand, where the client of that time has no call for it, and as a client that is gone spoke it.

Run by pytest through the tap, whose recordings `validate.py` judges by the types of that shape (spec/realtime §1.12, §4.11).
Never looks at what the current shape calls things: `test_edges.py` and `test_turns.py` do.
"""

from __future__ import annotations

import base64
from typing import Any

from openai import OpenAI

from live import MODEL
from sound import PCM_BYTES_PER_MS, b64, silence

BETA = {"OpenAI-Beta": "realtime=v1"}

# What llama-index-voice-agents-openai 0.4.0 sends at the start; the package itself needs a sound card's library.
LLAMA_INDEX_SESSION = {
    "modalities": ["text", "audio"],
    "instructions": "You are a helpful assistant.",
    "voice": "sage",
    "input_audio_format": "pcm16",
    "output_audio_format": "pcm16",
    "input_audio_transcription": {"model": "whisper-1"},
    "turn_detection": {
        "type": "server_vad",
        "threshold": 0.5,
        "prefix_padding_ms": 300,
        "silence_duration_ms": 500,
        "create_response": True,
    },
    "tools": [
        {
            "type": "function",
            "name": "add",
            "description": "Adds",
            "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
        }
    ],
    "tool_choice": "auto",
    "temperature": 0.8,
    "max_response_output_tokens": "inf",
    "speed": 1.1,
    "tracing": "auto",
}


def update(connection: Any, **session: Any) -> dict[str, Any]:
    connection.send("session.update", session=session)
    return connection.until("session.updated")["session"]


def say(connection: Any, text: str) -> str:
    """A user message; returns the id of its item."""
    content = [{"type": "input_text", "text": text}]
    connection.send("conversation.item.create", item={"type": "message", "role": "user", "content": content})
    return connection.until("conversation.item.created")["item"]["id"]


def test_the_first_events_and_the_flat_session(raw: Any) -> None:
    with raw(headers=BETA) as connection:
        first, second = connection.next(), connection.next()
        assert (first["type"], second["type"]) == ("session.created", "conversation.created")
        session = first["session"]
        assert session["object"] == "realtime.session" and session["model"] == MODEL
        assert "audio" not in session and "type" not in session and "output_modalities" not in session
        assert (session["input_audio_format"], session["output_audio_format"]) == ("pcm16", "pcm16")
        assert session["turn_detection"]["type"] == "server_vad"
        assert session["max_response_output_tokens"] == "inf"


def test_a_spoken_reply_is_truncated_retrieved_and_deleted(raw: Any) -> None:
    with raw(headers=BETA) as connection:
        say(connection, "say: These words are spoken.")
        connection.send("response.create")
        item = connection.until("response.done")["response"]["output"][0]
        assert item["content"][0]["type"] == "audio"
        connection.send("conversation.item.truncate", item_id=item["id"], content_index=0, audio_end_ms=500)
        assert connection.until("conversation.item.truncated")["audio_end_ms"] == 500
        connection.send("conversation.item.retrieve", item_id=item["id"])
        part = connection.until("conversation.item.retrieved")["item"]["content"][0]
        assert part["type"] == "audio"
        assert len(base64.b64decode(part["audio"])) == 500 * PCM_BYTES_PER_MS
        connection.send("conversation.item.delete", item_id=item["id"])
        assert connection.until("conversation.item.deleted")["item_id"] == item["id"]


def test_a_refusal_names_the_flat_parameter_and_is_survived(raw: Any) -> None:
    with raw(headers=BETA) as connection:
        connection.send("session.update", session={"voice": 7}, event_id="flat")
        error = connection.error()
        assert (error["event_id"], error["param"]) == ("flat", "session.voice")
        connection.send("conversation.item.delete", item_id="nobody")
        assert connection.error()["code"] == "item_delete_invalid_item_id"
        connection.alive()


def test_a_failed_transcription_is_told(raw: Any) -> None:
    with raw(headers=BETA) as connection:
        transcription = {"model": "whisper-1", "prompt": "fail stt"}
        session = update(connection, turn_detection=None, input_audio_transcription=transcription)
        assert session["turn_detection"] is None
        assert session["input_audio_transcription"] == transcription
        connection.send("input_audio_buffer.append", audio=b64(silence(400)))
        connection.send("input_audio_buffer.commit")
        assert connection.error()["code"] == "stt_degraded"
        failed = connection.until("conversation.item.input_audio_transcription.failed")
        assert failed["error"]["message"]
        connection.alive()


def test_a_transcription_session_has_events_of_its_own(raw: Any, speech: bytes) -> None:
    with raw(query="intent=transcription", headers=BETA) as connection:
        connection.send(
            "transcription_session.update",
            session={
                "input_audio_format": "pcm16",
                "input_audio_transcription": {"model": "whisper-1", "prompt": "say: only heard"},
                "turn_detection": {"type": "server_vad", "silence_duration_ms": 400},
            },
        )
        session = connection.until("transcription_session.updated")["session"]
        assert session["input_audio_format"] == "pcm16"
        assert session["turn_detection"]["silence_duration_ms"] == 400
        connection.send("input_audio_buffer.append", audio=b64(speech + silence(900)))
        completed = connection.until("conversation.item.input_audio_transcription.completed")
        assert completed["transcript"] == "only heard"
        connection.alive()
        assert not [kind for kind in connection.kinds() if kind.startswith("response.")]


def test_the_opening_frame_of_llama_index(raw: Any, speech: bytes) -> None:
    with raw(headers=BETA, query="model=gpt-4o-realtime-preview") as connection:
        echoed = update(connection, **LLAMA_INDEX_SESSION)
        for name in ("modalities", "voice", "temperature", "tools", "speed", "input_audio_transcription"):
            wanted = LLAMA_INDEX_SESSION[name]
            assert (sorted(echoed[name]) if name == "modalities" else echoed[name]) == (
                sorted(wanted) if name == "modalities" else wanted
            )
        connection.send("input_audio_buffer.append", audio=b64(speech + silence(900)))
        reply = connection.until("response.done")["response"]
        spoken = "".join(e["delta"] for e in connection.events if e["type"] == "response.audio_transcript.delta")
        assert reply["status"] == "completed"
        assert spoken == reply["output"][0]["content"][0]["transcript"] != ""
        say(connection, 'add {"a":1}')
        connection.send("response.create")
        call = connection.until("response.function_call_arguments.done")
        assert "name" not in call and call["arguments"] == '{"a":1}'
        connection.until("response.done")
        output = {"type": "function_call_output", "call_id": call["call_id"], "output": "2"}
        connection.send("conversation.item.create", item=output)
        connection.until("conversation.item.created")


def test_a_stored_transcription_session_starts_a_socket(client: OpenAI, raw: Any) -> None:
    made = client.beta.realtime.transcription_sessions.create(
        input_audio_format="g711_ulaw", input_audio_transcription={"model": "whisper-1", "language": "en"}
    )
    secret = made.client_secret.value
    with raw(query="intent=transcription", headers=BETA, key=secret) as connection:
        session = connection.next()["session"]
        assert session["input_audio_format"] == "g711_ulaw"
        assert session["input_audio_transcription"] == {"model": "whisper-1", "language": "en"}


def test_the_frames_of_the_livekit_plugin(raw: Any, speech: bytes) -> None:
    # @livekit/agents-plugin-openai 2.0.0, which brings a native media library along
    def item(name: str, role: str, kind: str, text: str) -> dict[str, Any]:
        return {"id": name, "type": "message", "role": role, "content": [{"type": kind, "text": text}]}

    def created() -> tuple[str, str | None]:
        event = connection.until("conversation.item.created")
        return event["item"]["id"], event["previous_item_id"]

    with raw(headers={**BETA, "User-Agent": "LiveKit-Agents-JS"}) as connection:
        session = update(
            connection,
            model="gpt-realtime",
            voice="marin",
            input_audio_format="pcm16",
            output_audio_format="pcm16",
            modalities=["text", "audio"],
            turn_detection={
                "type": "server_vad",
                "threshold": 0.5,
                "prefix_padding_ms": 300,
                "silence_duration_ms": 200,
                "create_response": True,
                "interrupt_response": True,
            },
            input_audio_transcription={"model": "gpt-4o-mini-transcribe"},
            temperature=0.8,
            tool_choice="auto",
            max_response_output_tokens="inf",
            instructions="Answer.",
        )
        assert (session["voice"], session["turn_detection"]["silence_duration_ms"]) == ("marin", 200)
        # its history: ids of its own, assistant text under the old name, nothing before the first
        connection.send("conversation.item.create", item=item("item_a", "system", "input_text", "Be kind."))
        assert created() == ("item_a", None)
        connection.send(
            "conversation.item.create",
            item=item("item_b", "assistant", "text", "How can I help?"),
            previous_item_id="item_a",
            event_id="chat_ctx_create_1",
        )
        assert created() == ("item_b", "item_a")
        connection.send("conversation.item.delete", item_id="item_a", event_id="chat_ctx_delete_1")
        assert connection.until("conversation.item.deleted")["item_id"] == "item_a"
        # its reply on request is known by the metadata that come back
        connection.send(
            "response.create",
            event_id="response_create_1",
            response={"instructions": "say: Shall I go on?", "metadata": {"client_event_id": "response_create_1"}},
        )
        made = connection.until("response.created")["response"]
        assert made["metadata"] == {"client_event_id": "response_create_1"}
        reply = connection.until("response.done")["response"]
        assert reply["output"][0]["content"][0]["transcript"] == "Shall I go on?"
        # and a spoken turn, whose item it puts behind the one that the event names
        connection.send("input_audio_buffer.append", audio=b64(speech + silence(900)))
        started = connection.until("input_audio_buffer.speech_started")
        assert created() == (started["item_id"], reply["output"][0]["id"])
        connection.until("response.done")


def test_the_frames_of_the_mastra_voice(raw: Any, speech: bytes) -> None:
    # @mastra/voice-openai-realtime 0.11.12, which needs all of @mastra/core
    with raw(headers=BETA) as connection:
        transcription = {"model": "whisper-1", "prompt": "say: say: I heard you."}
        session = update(
            connection, instructions="Answer.", tools=[], input_audio_transcription=transcription, voice="alloy"
        )
        assert (session["instructions"], session["tools"]) == ("Answer.", [])
        content = [{"type": "input_audio", "audio": b64(speech)}]
        connection.send("conversation.item.create", item={"type": "message", "role": "user", "content": content})
        connection.send("response.create", response={"modalities": ["text"], "instructions": "ONLY repeat the input"})
        reply = connection.until("response.done")["response"]
        assert reply["output"][0]["content"] == [{"type": "text", "text": "I heard you."}]
        connection.send("response.create", response={"instructions": "say: Spoken.", "voice": "echo"})
        assert connection.until("response.done")["response"]["output"][0]["content"][0]["type"] == "audio"


def test_a_session_goes_on_over_another_connection(raw: Any) -> None:
    with raw(headers=BETA) as connection:
        created = connection.next()
        updated = update(connection, instructions="Be brief.")
        assert updated["instructions"] == "Be brief."
    with raw(query=f"session_id={created['session']['id']}", headers=BETA) as connection:
        again = connection.next()
        assert again["session"]["id"] == created["session"]["id"]
        assert again["session"]["instructions"] == "Be brief."
        resumed = connection.until("session.resumed")
        assert resumed["complete"] is True


def test_who_asks_is_told_of_another_voice(raw: Any, tap_of_fallen_voice: Any) -> None:
    query = "model=gpt-4o-realtime-preview&extra_events=tts.degraded"
    with raw(query=query, url=tap_of_fallen_voice.ws, headers=BETA) as connection:
        connection.next()
        content = [{"type": "input_text", "text": "say: One voice is as good as another."}]
        connection.send("conversation.item.create", item={"type": "message", "role": "user", "content": content})
        connection.send("response.create")
        told = connection.until("tts.degraded")
        assert (told["from"], told["to"]) == ("nowhere", "scripted")
        assert connection.until("response.done")["response"]["status"] == "completed"


def test_who_asks_is_told_of_pieces_and_of_what_is_heard_so_far(raw: Any, speech: bytes) -> None:
    query = "model=gpt-4o-realtime-preview&extra_events=speech.piece,transcript.partial"
    with raw(query=query, headers=BETA) as connection:
        connection.next()
        update(connection, input_audio_transcription={"model": "whisper-1", "prompt": "say: what is the weather"})
        connection.send("input_audio_buffer.append", audio=b64(speech))
        assert connection.until("transcript.partial")["text"]
        connection.send("input_audio_buffer.append", audio=b64(silence(900)))
        assert connection.until("speech.piece")["text"]
        assert connection.until("response.done")["response"]["status"] == "completed"
