"""The judge of the recordings is judged: a good conversation passes, and every fault that is planted in it is found.

Run by pytest with the rest; needs no server.
Never uses a recording: a server's fault must not become the measure.
"""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from validate import Judge, claims, main

Events = list[dict[str, Any]]

SESSION = {
    "type": "realtime",
    "object": "realtime.session",
    "id": "sess_1",
    "model": "gpt-realtime",
    "output_modalities": ["text"],
    "instructions": "",
    "tools": [],
    "tool_choice": "auto",
    "max_output_tokens": "inf",
    "truncation": "auto",
    "tracing": None,
    "prompt": None,
    "include": None,
    "expires_at": 1,
    "audio": {"input": {"transcription": {"model": "whisper-1"}, "turn_detection": None}},
}


def turn() -> Events:
    """A question and its answer in text, as they should be."""
    asked = {
        "id": "item_1",
        "object": "realtime.item",
        "type": "message",
        "role": "user",
        "status": "completed",
        "content": [{"type": "input_text", "text": "Hello"}],
    }
    made = {**asked, "id": "item_2", "role": "assistant", "status": "in_progress", "content": []}
    ready = {**made, "status": "completed", "content": [{"type": "output_text", "text": "Hi there"}]}
    place = {"response_id": "resp_1", "output_index": 0}
    part = {**place, "item_id": "item_2", "content_index": 0}
    response = {
        "id": "resp_1",
        "object": "realtime.response",
        "status": "in_progress",
        "status_details": None,
        "output": [],
        "conversation_id": "conv_1",
        "output_modalities": ["text"],
        "max_output_tokens": "inf",
        "audio": {"output": {"voice": "alloy"}},
        "usage": None,
        "metadata": None,
    }
    usage = {
        "total_tokens": 5,
        "input_tokens": 3,
        "output_tokens": 2,
        "input_token_details": {"text_tokens": 3},
        "output_token_details": {"text_tokens": 2},
    }
    finished = {**response, "status": "completed", "output": [ready], "usage": usage}
    events: Events = [
        {"type": "session.created", "session": SESSION},
        {"type": "conversation.item.added", "previous_item_id": None, "item": asked},
        {"type": "conversation.item.done", "previous_item_id": None, "item": asked},
        {"type": "response.created", "response": response},
        {"type": "response.output_item.added", **place, "item": made},
        {"type": "conversation.item.added", "previous_item_id": "item_1", "item": made},
        {"type": "response.content_part.added", **part, "part": {"type": "text", "text": ""}},
        {"type": "response.output_text.delta", **part, "delta": "Hi "},
        {"type": "response.output_text.delta", **part, "delta": "there"},
        {"type": "response.output_text.done", **part, "text": "Hi there"},
        {"type": "response.content_part.done", **part, "part": {"type": "text", "text": "Hi there"}},
        {"type": "conversation.item.done", "previous_item_id": "item_1", "item": ready},
        {"type": "response.output_item.done", **place, "item": ready},
        {"type": "response.done", "response": finished},
    ]
    numbered = [{**event, "event_id": f"event_{number}"} for number, event in enumerate(events)]
    return copy.deepcopy(numbered)


def findings(events: Events) -> list[str]:
    return [finding for *_, finding in Judge("ga").recording([{"dir": "server", "event": event} for event in events])]


def at(events: Events, kind: str) -> dict[str, Any]:
    """The last event of this kind."""
    return [event for event in events if event["type"] == kind][-1]


def without(kind: str) -> Callable[[Events], None]:
    """Takes the last event of this kind out."""
    return lambda events: events.remove(at(events, kind))


def changed(kind: str, *path: Any, to: Any) -> Callable[[Events], None]:
    """Sets a field of the last event of this kind."""

    def change(events: Events) -> None:
        place = at(events, kind)
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = to

    return change


FAULTS: dict[str, Callable[[Events], None]] = {
    "unknown event type": changed("response.done", "type", to="response.finished"),
    "schema: response_id": changed("response.output_text.delta", "response_id", to=7),
    "schema: output_index": changed("response.output_item.added", "output_index", to=0.5),
    "undeclared field response.colour": changed("response.done", "response", "colour", to="red"),
    "event_id used twice": changed("response.done", "event_id", to="event_1"),
    "event_id is missing": changed("response.done", "event_id", to=""),
    "the first event must be session.created": without("session.created"),
    "session.expires_at is missing": lambda events: at(events, "session.created")["session"].pop("expires_at"),
    "transcription.languages": changed(
        "session.created", "session", "audio", "input", "transcription", "languages", to=["en"]
    ),
    "schema: part.type": changed("response.content_part.added", "part", "type", to="output_text"),
    "the deltas do not add up to text": without("response.output_text.delta"),
    "deltas without their done": without("response.output_text.done"),
    "the part is not open": without("response.content_part.added"),
    "a part of this item is still open": without("response.content_part.done"),
    "no output_item.added": without("response.output_item.added"),
    "still open": without("response.output_item.done"),
    "was never announced": changed("conversation.item.added", "previous_item_id", to="item_0"),
    "nobody asked for its head": changed("conversation.item.added", "previous_item_id", to=None),
    "conversation.item.done must come before": without("conversation.item.done"),
    "item finished twice": lambda events: events.append({**at(events, "conversation.item.done"), "event_id": "e"}),
    "is not open": lambda events: events.append({**at(events, "response.output_text.delta"), "event_id": "e"}),
    "usage does not add up": changed("response.done", "response", "usage", "total_tokens", to=6),
    "status_details do not fit": changed("response.done", "response", "status", to="cancelled"),
    "item.status is null": changed("response.output_item.done", "item", "status", to=None),
}


def test_a_good_conversation_passes() -> None:
    assert findings(turn()) == []


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(fault: str) -> None:
    events = turn()
    FAULTS[fault](events)
    assert [finding for finding in findings(events) if fault in finding], findings(events)


def test_what_is_claimed_must_be_seen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def announce(*kinds: str) -> None:
        messages = {f"server_{number}": {"name": kind} for number, kind in enumerate(kinds)}
        send = [{"$ref": f"#/channels/realtime/messages/{name}"} for name in messages]
        document.write_text(
            json.dumps({"components": {"messages": messages}, "operations": {"send": {"messages": send}}})
        )

    document = tmp_path / "asyncapi.json"
    seen = [kind for kind, _ in itertools.groupby(sorted(event["type"] for event in turn()))]
    lines = [json.dumps({"dir": "server", "event": event}) for event in turn()]
    (tmp_path / "made-0001.ga.jsonl").write_text("\n".join(lines))
    announce(*seen, "output_audio_buffer.started")
    assert claims(document)["ga"] == set(seen)
    main(tmp_path, document)
    assert "ga: claimed" not in capsys.readouterr().out
    announce(*seen, "input_audio_buffer.cleared")
    assert main(tmp_path, document) == 1
    assert "ga: claimed but never seen: input_audio_buffer.cleared" in capsys.readouterr().out
    announce(*seen[1:])
    assert main(tmp_path, document) == 1
    assert f"ga: seen but not claimed: {seen[0]}" in capsys.readouterr().out
