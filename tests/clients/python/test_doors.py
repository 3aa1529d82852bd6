"""The judge of the doors' recordings is judged: what fits passes, and every fault that is planted is found.

Run by pytest with the rest; needs no server.
Never uses a recording: a server's fault must not become the measure.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from doors import main

TEXT = {"type": "object", "properties": {"type": {"enum": ["hello"]}, "to": {"$ref": "#/components/schemas/Name"}}, "required": ["to"]}
GOOD = [
    {"dir": "client", "text": "{"},
    {"dir": "client", "text": '{"type":"hello","to":"Ann"}'},
    {"dir": "server", "text": '{"type":"hello","to":"Bob"}'},
    {"dir": "server", "bytes": 640},
]


def document(foreign: bool = False) -> dict[str, Any]:
    """A document of one door that says hello, and sound to the client."""
    messages: dict[str, Any] = {
        "hello": {"name": "hello", "payload": TEXT},
        "sound": {"name": "audio", "contentType": "application/octet-stream", "payload": {"type": "string"}},
    }
    send = ["hello", "sound"]
    if foreign:
        messages["other"] = {"name": "foreign", "payload": {}}
        send.append("other")

    def reference(name: str) -> dict[str, str]:
        return {"$ref": f"#/channels/door/messages/{name}"}

    return {
        "channels": {"realtime": {}, "door": {}, "telephone_vonage": {}},
        "operations": {
            "receive": {"action": "receive", "channel": {"$ref": "#/channels/door"}, "messages": [reference("hello")]},
            "send": {"action": "send", "channel": {"$ref": "#/channels/door"}, "messages": [reference(name) for name in send]},
        },
        "components": {"messages": messages, "schemas": {"Name": {"type": "string"}}},
    }


def judged(folder: Path, lines: list[dict[str, Any]], described: dict[str, Any], channel: str = "door") -> int:
    """What the judge says of one recording."""
    (folder / f"1-0.{channel}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    (folder / "asyncapi.json").write_text(json.dumps(described), encoding="utf-8")
    return main(folder, folder / "asyncapi.json")


def test_what_fits_passes(tmp_path: Path) -> None:
    assert judged(tmp_path, GOOD, document()) == 0


@pytest.mark.parametrize(
    "fault",
    [
        {"dir": "server", "text": "{"},
        {"dir": "server", "text": '{"type":"goodbye"}'},
        {"dir": "server", "text": '{"type":"hello"}'},
        {"dir": "server", "text": '{"type":"hello","to":7}'},
        {"dir": "server", "text": "[]"},
    ],
)
def test_a_frame_that_does_not_fit_is_found(tmp_path: Path, fault: dict[str, Any]) -> None:
    assert judged(tmp_path, [*GOOD, fault], document()) == 1


@pytest.mark.parametrize("missing", [1, 2, 3])
def test_a_message_that_nobody_has_seen_is_found(tmp_path: Path, missing: int) -> None:
    lines = [line for number, line in enumerate(GOOD) if number != missing]
    assert judged(tmp_path, lines, document()) == 1


def test_a_channel_that_is_not_described_and_one_without_recordings_are_found(tmp_path: Path) -> None:
    assert judged(tmp_path, GOOD, document(), channel="window") == 1
    for path in tmp_path.glob("*.jsonl"):
        path.unlink()
    assert main(tmp_path, tmp_path / "asyncapi.json") == 1


def test_what_others_publish_may_be_anything_where_that_is_described(tmp_path: Path) -> None:
    foreign = {"dir": "server", "text": '{"type":"goodbye"}'}
    assert judged(tmp_path, [*GOOD, foreign], document(foreign=True)) == 0
    broken = {"dir": "server", "text": '{"type":"hello","to":7}'}
    assert judged(tmp_path, [*GOOD, foreign, broken], document(foreign=True)) == 1
