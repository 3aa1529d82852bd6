"""Spoken turns: voice detection, barge-in, formats, silence (spec/realtime §4.12, cases 1, 3, 10 to 14)."""

from __future__ import annotations

import base64
import time
from typing import Any

import pytest

from sound import G711_BYTES_PER_MS, PCM_BYTES_PER_MS, b64, from_a_law, mu_law, share, silence, to_8k

MS_PER_CHARACTER = 60


def audio_of(connection: Any) -> bytes:
    """The response audio received so far."""
    return b"".join(
        base64.b64decode(event["delta"])
        for event in connection.events
        if event["type"] == "response.output_audio.delta"
    )


def heard(text: str) -> dict[str, Any]:
    """A transcription setting under which the scripted recogniser hears `text`."""
    return {"model": "gpt-4o-mini-transcribe", "prompt": text}


def test_a_spoken_turn_is_answered(raw: Any, speech: bytes) -> None:
    with raw() as connection:
        connection.update(audio={"input": {"transcription": heard("say: what time is it")}})
        connection.send("input_audio_buffer.append", audio=b64(speech + silence(900)))
        started = connection.until("input_audio_buffer.speech_started")
        stopped = connection.until("input_audio_buffer.speech_stopped")
        committed = connection.until("input_audio_buffer.committed")
        reply = connection.until("response.done")["response"]
        item = next(e for e in connection.events if e["type"] == "conversation.item.added")["item"]
        assert started["item_id"] == stopped["item_id"] == committed["item_id"] == item["id"]
        assert item["content"] == [{"type": "input_audio", "transcript": None}]
        assert 0 <= started["audio_start_ms"] < stopped["audio_end_ms"] <= 3900
        assert "what time is it" in reply["output"][0]["content"][0]["transcript"]
        connection.send("conversation.item.retrieve", item_id=item["id"])
        part = connection.until("conversation.item.retrieved")["item"]["content"][0]
        assert part["transcript"] == "what time is it"
        kept_ms = len(base64.b64decode(part["audio"])) / PCM_BYTES_PER_MS
        turn_ms = stopped["audio_end_ms"] - started["audio_start_ms"]
        assert abs(kept_ms - turn_ms) <= 400


def test_tiny_appends_are_heard_like_one_big_one(raw: Any, speech: bytes) -> None:
    # ten seconds with two utterances: a thousand appends of 10 ms
    sound = (speech + silence(2000)) * 2
    sound += silence(10_000)[len(sound) :]
    offsets = []
    for size in (len(sound), 10 * PCM_BYTES_PER_MS):
        with raw() as connection:
            detection = {"type": "server_vad", "create_response": False}
            connection.update(audio={"input": {"turn_detection": detection}})
            for at in range(0, len(sound), size):
                connection.send("input_audio_buffer.append", audio=b64(sound[at : at + size]))
            connection.until("conversation.item.done")
            connection.until("conversation.item.done")
            offsets.append(
                [
                    (event["type"], event.get("audio_start_ms"), event.get("audio_end_ms"))
                    for event in connection.events
                    if "speech_st" in event["type"]
                ]
            )
    assert offsets[0] == offsets[1]
    assert len(offsets[0]) == 4


def test_a_sample_may_be_split_between_appends(raw: Any, speech: bytes) -> None:
    sound = speech[: 1000 * PCM_BYTES_PER_MS]
    kept = []
    for cut in (24_000, 24_001):
        with raw() as connection:
            connection.manual()
            connection.send("input_audio_buffer.append", audio=b64(sound[:cut]))
            connection.send("input_audio_buffer.append", audio=b64(sound[cut:]))
            connection.send("input_audio_buffer.commit")
            item = connection.until("conversation.item.done")["item"]
            connection.send("conversation.item.retrieve", item_id=item["id"])
            part = connection.until("conversation.item.retrieved")["item"]["content"][0]
            kept.append(base64.b64decode(part["audio"]))
    assert kept[0] == kept[1] == sound


@pytest.mark.parametrize("creates", [True, False])
@pytest.mark.parametrize("interrupts", [True, False])
def test_speech_over_a_reply(raw: Any, speech: bytes, creates: bool, interrupts: bool) -> None:
    detection = {"type": "server_vad", "create_response": creates, "interrupt_response": interrupts}
    with raw() as connection:
        connection.update(audio={"input": {"turn_detection": detection, "transcription": heard("say: stop please")}})
        connection.say("slowly 5 long")
        connection.send("response.create")
        running = connection.until("response.created")["response"]["id"]
        connection.until("response.output_audio.delta")
        connection.send("input_audio_buffer.append", audio=b64(speech + silence(900)))
        ended = connection.until("response.done")["response"]
        assert ended["id"] == running
        if interrupts:
            assert ended["status"] == "cancelled"
            assert ended["status_details"]["reason"] == "turn_detected"
        else:
            assert ended["status"] == "completed"
        if not any(kind.endswith("transcription.completed") for kind in connection.kinds()):
            connection.until("conversation.item.input_audio_transcription.completed")
        if creates:
            answer = connection.until("response.done")["response"]
            assert "stop please" in answer["output"][0]["content"][0]["transcript"]
        connection.alive()
        assert connection.kinds().count("response.created") == 1 + creates


def test_barge_in_leaves_the_heard_part_to_be_truncated(raw: Any, speech: bytes) -> None:
    with raw() as connection:
        connection.update(audio={"input": {"turn_detection": {"type": "server_vad", "create_response": False}}})
        connection.say("slowly 10 long")
        connection.send("response.create")
        item_id = connection.until("response.output_audio.delta")["item_id"]
        connection.send("input_audio_buffer.append", audio=b64(speech + silence(900)))
        connection.until("response.done")
        connection.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=100)
        assert connection.until("conversation.item.truncated")["audio_end_ms"] == 100
        connection.send("conversation.item.retrieve", item_id=item_id)
        part = connection.until("conversation.item.retrieved")["item"]["content"][0]
        assert len(base64.b64decode(part["audio"])) == 100 * PCM_BYTES_PER_MS
        assert len(part["transcript"]) < 20


def test_g711_in_and_out(raw: Any, speech: bytes) -> None:
    text = "This sentence crosses the telephone"
    with raw() as connection:
        connection.manual(
            audio={
                "input": {"format": {"type": "audio/pcmu"}, "transcription": heard(f"say: say: {text}")},
                "output": {"format": {"type": "audio/pcma"}, "voice": "alloy"},
            }
        )
        phone = mu_law(to_8k(speech))
        connection.send("input_audio_buffer.append", audio=b64(phone))
        connection.send("input_audio_buffer.commit")
        connection.send("response.create")
        connection.until("response.done")
        usage = next(e for e in connection.events if e["type"].endswith("transcription.completed"))["usage"]
        assert abs(usage["seconds"] - len(phone) / 8000) <= 0.02
        spoken = audio_of(connection)
    wanted_ms = len(text) * MS_PER_CHARACTER
    assert abs(len(spoken) / G711_BYTES_PER_MS - wanted_ms) <= wanted_ms * 0.01
    # a tenth of a second from the middle: whole turns of both tones of the voice, and next to nothing else
    middle = from_a_law(spoken)[4000:4800]
    assert share(middle, 8000, (220.0, 330.0)) > 0.97


def test_the_idle_timer_waits_for_the_end_of_playback(raw: Any) -> None:
    text = "This takes almost three seconds to say."
    with raw() as connection:
        detection = {"type": "server_vad", "idle_timeout_ms": 500}
        connection.update(audio={"input": {"turn_detection": detection}})
        connection.say(f"say: {text}")
        connection.respond()
        done = time.monotonic()
        fired = connection.until("input_audio_buffer.timeout_triggered")
        waited = time.monotonic() - done
        assert waited >= (len(text) * MS_PER_CHARACTER + 500) / 1000 - 0.3
        committed = connection.until("input_audio_buffer.committed")
        assert committed["item_id"] == fired["item_id"]
        assert connection.until("response.done")["response"]["status"] == "completed"


def test_speaking_up_by_instruction(raw: Any) -> None:
    with raw() as connection:
        connection.manual(instructions="scripted: say: Welcome.", output_modalities=["text"])
        assert connection.respond()["output"][0]["content"][0]["text"] == "Welcome."


def test_a_failed_transcription_harms_nothing(raw: Any) -> None:
    with raw() as connection:
        connection.manual(audio={"input": {"transcription": heard("fail stt")}}, output_modalities=["text"])
        connection.send("input_audio_buffer.append", audio=b64(silence(400)))
        connection.send("input_audio_buffer.commit")
        assert connection.error()["code"] == "stt_degraded"
        failed = connection.until("conversation.item.input_audio_transcription.failed")
        assert failed["error"]["message"]
        connection.say("say: Still here.")
        assert connection.respond()["output"][0]["content"][0]["text"] == "Still here."


@pytest.mark.parametrize("failure", ["fail llm", "fail llm midway"])
def test_a_failed_provider_ends_the_response_and_nothing_else(raw: Any, failure: str) -> None:
    with raw() as connection:
        connection.say(failure)
        connection.send("response.create")
        while connection.next()["type"] != "response.done":
            pass
        ended = connection.events[-1]["response"]
        assert ended["status"] == "failed"
        assert ended["status_details"]["error"]["type"] == "server_error"
        connection.say("say: Again.")
        assert connection.respond()["status"] == "completed"


def test_a_voice_that_fails_leaves_the_words(raw: Any) -> None:
    with raw() as connection:
        connection.say("fail tts")
        connection.send("response.create")
        while connection.next()["type"] != "response.done":
            pass
        told = [event for event in connection.events if event["type"] == "error"]
        assert [event["error"]["code"] for event in told] == ["tts_degraded"]
        ended = connection.events[-1]["response"]
        assert ended["status"] == "completed"
        assert "This sentence is never heard." in ended["output"][0]["content"][0]["transcript"]
        connection.say("say: Again.")
        assert connection.respond()["status"] == "completed"


def test_a_limit_of_tokens_ends_the_response(raw: Any) -> None:
    with raw() as connection:
        connection.say("long")
        ended = connection.respond(max_output_tokens=5)
        assert ended["status"] == "incomplete"
        assert ended["status_details"]["reason"] == "max_output_tokens"
