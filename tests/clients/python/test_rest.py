"""The routes beside the socket, through the official client: models, speech, transcriptions, and who gets in."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import OpenAI
from websockets.exceptions import InvalidStatus

from live import KEY, MODEL, Server
from sound import PCM_BYTES_PER_MS

SPEECH = Path(__file__).resolve().parent.parent / "speech.wav"
# The one line that shows the key goes to the terminal of who started the server (docs/decisions/0005-talk-key.md).
PAGE = "Talk to it:"
TEXT = "A sentence to be spoken."
TEXT_MS = len(TEXT) * 60


def test_models(client: OpenAI) -> None:
    names = [model.id for model in client.models.list()]
    assert names and all(model.object == "model" for model in client.models.list())
    assert client.models.retrieve(names[0]).id == names[0]
    with pytest.raises(openai.NotFoundError) as refused:
        client.models.retrieve("no-such-model")
    assert refused.value.code == "model_not_found"


def test_a_wrong_key_is_refused_everywhere(client: OpenAI) -> None:
    stranger = client.with_options(api_key="sk-wrong-wrong-wrong-wrong")
    with pytest.raises(openai.AuthenticationError) as refused:
        stranger.models.list()
    assert refused.value.code == "invalid_api_key"
    with pytest.raises(Exception, match="401"), stranger.realtime.connect(model=MODEL) as connection:
        connection.recv()


def test_speech_as_bytes(client: OpenAI) -> None:
    pcm = client.audio.speech.create(model="tts-1", voice="alloy", input=TEXT, response_format="pcm")
    assert pcm.response.headers["content-type"].startswith("audio/pcm")
    assert len(pcm.content) == TEXT_MS * PCM_BYTES_PER_MS
    wav = client.audio.speech.create(model="tts-1", voice="alloy", input=TEXT, response_format="wav")
    assert wav.content[:4] == b"RIFF" and wav.content[44:] == pcm.content
    fast = client.audio.speech.create(model="tts-1", voice="alloy", input=TEXT, response_format="pcm", speed=2.0)
    assert abs(len(fast.content) * 2 - len(pcm.content)) <= PCM_BYTES_PER_MS * 4
    with client.audio.speech.with_streaming_response.create(
        model="tts-1", voice="alloy", input=TEXT, response_format="pcm"
    ) as streamed:
        assert b"".join(streamed.iter_bytes()) == pcm.content


def test_speech_as_events(client: OpenAI) -> None:
    with client.audio.speech.with_streaming_response.create(
        model="tts-1", voice="alloy", input=TEXT, response_format="pcm", stream_format="sse"
    ) as streamed:
        assert streamed.headers["content-type"].startswith("text/event-stream")
        lines = [line.removeprefix("data: ") for line in streamed.iter_lines() if line.startswith("data: {")]
    events = [json.loads(line) for line in lines]
    audio = b"".join(base64.b64decode(e["audio"]) for e in events if e["type"] == "speech.audio.delta")
    assert len(audio) == TEXT_MS * PCM_BYTES_PER_MS
    assert events[-1]["type"] == "speech.audio.done"
    usage = events[-1]["usage"]
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]


def test_speech_refusals(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.audio.speech.create(model="tts-1", voice="alloy", input="x" * 4097, response_format="pcm")
    assert refused.value.param == "input"
    with pytest.raises(openai.BadRequestError):
        client.audio.speech.create(model="tts-1", voice="alloy", input="x", response_format="aac")


def transcribe(client: OpenAI, **options: Any) -> Any:
    with SPEECH.open("rb") as file:
        return client.audio.transcriptions.create(model="whisper-1", file=file, prompt="say: weather in Paris", **options)


def test_transcription_formats(client: OpenAI) -> None:
    assert transcribe(client).text == "weather in Paris"
    assert transcribe(client, response_format="text").strip() == "weather in Paris"
    verbose = transcribe(client, response_format="verbose_json")
    assert verbose.text == "weather in Paris"
    assert abs(float(verbose.duration) - 2.93) < 0.03
    assert verbose.segments and verbose.segments[0].text.strip() == "weather in Paris"
    srt = transcribe(client, response_format="srt")
    assert srt.startswith("1\n00:00:0") and "," in srt.splitlines()[1] and "weather in Paris" in srt
    vtt = transcribe(client, response_format="vtt")
    assert vtt.startswith("WEBVTT\n\n") and "." in vtt.splitlines()[2]


def test_transcription_stream(client: OpenAI) -> None:
    events = list(transcribe(client, stream=True))
    assert events[-1].type == "transcript.text.done"
    assert "".join(e.delta for e in events if e.type == "transcript.text.delta") == events[-1].text == "weather in Paris"


def test_transcription_refuses_what_is_no_sound(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError):
        client.audio.transcriptions.create(model="whisper-1", file=("x.wav", b"this is no sound at all"))


@pytest.mark.parametrize("way", ["header", "api-key", "query", "subprotocol"])
def test_keys_are_taken_wherever_clients_put_them(raw: Any, server: Server, way: str) -> None:
    options: dict[str, Any] = {
        "header": {"headers": {"Authorization": f"Bearer {KEY}"}},
        "api-key": {"headers": {"api-key": KEY}},
        "query": {"query": f"model={MODEL}&api_key={KEY}"},
        "subprotocol": {
            "subprotocols": ["realtime", f"openai-insecure-api-key.{KEY}", "openai-agents-sdk.0.20.0"],
        },
    }[way]
    with raw(key=None, **options) as connection:
        connection.until("session.created")
        assert connection.socket.subprotocol == ("realtime" if way == "subprotocol" else None)
        connection.alive()
    assert [line for line in server.log().splitlines() if KEY in line and PAGE not in line] == []


@pytest.mark.parametrize("key", [None, "sk-wrong-wrong-wrong-wrong", "ek_madeup"])
def test_no_usable_key_is_a_401(raw: Any, key: str | None) -> None:
    with pytest.raises(InvalidStatus) as refused, raw(key=key):
        pass
    assert refused.value.response.status_code == 401
    assert b"invalid_api_key" in refused.value.response.body


def test_a_beta_subprotocol_selects_the_beta_shape(raw: Any) -> None:
    protocols = ["realtime", f"openai-insecure-api-key.{KEY}", "openai-beta.realtime-v1"]
    with raw(key=None, subprotocols=protocols) as connection:
        assert connection.next()["session"]["input_audio_format"] == "pcm16"
        assert connection.socket.subprotocol == "realtime"


def test_a_missing_model_is_named(raw: Any) -> None:
    with raw(query="x=1") as connection:
        assert connection.error()["code"] == "missing_model"


def test_there_are_no_calls_to_attach_to(raw: Any) -> None:
    with pytest.raises(InvalidStatus) as refused, raw(query="call_id=rtc_1"):
        pass
    assert refused.value.response.status_code == 404
    assert json.loads(refused.value.response.body)["error"]["message"]
