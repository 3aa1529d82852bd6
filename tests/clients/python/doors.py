"""Judges recordings of the doors beside the realtime one against the AsyncAPI document of the server.

    python doors.py FOLDER ASYNCAPI.json

The stories of `crates/gateway/tests/it` write them: a file a connection, `NUMBER.CHANNEL.jsonl`, a line a frame,
`{"dir": "client"|"server", "text": …}` or `{"dir": …, "bytes": LENGTH}`.

Every frame of the server's must be a message of its channel and fit its schema, and every message that the document
has for either side must have been seen. What clients say may be wrong on purpose: only what fits counts.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

# Channels that `validate.py` has.
ELSEWHERE = frozenset({"realtime"})
# Dialects of carriers of whose messages the stories play some: the others are held against the document by
# crates/wire/tests/it/documents.rs.
PARTLY = frozenset(f"telephone_{name}" for name in ("telnyx", "plivo", "exotel", "vonage", "genesys", "relay"))
# Messages of a channel that is played which no story makes yet; held against the document there as well.
UNSAID = {"telephone_signalwire": frozenset({"dtmf"})}
# Where a message says what it is.
KEYS = ("type", "event", "action")
# What others publish may be anything.
FOREIGN = "foreign"
SOUND = "application/octet-stream"
PLAIN = "text/plain"


class Side:
    """The messages of one direction of a channel."""

    def __init__(self, document: dict[str, Any], channel: str, action: str) -> None:
        components = document["components"]
        self.kinds: dict[str, Draft202012Validator] = {}
        self.sound: str | None = None
        self.plain: str | None = None
        for operation in document["operations"].values():
            if operation["channel"]["$ref"] != f"#/channels/{channel}" or operation["action"] != action:
                continue
            for reference in operation["messages"]:
                message = components["messages"][reference["$ref"].rpartition("/")[2]]
                schema = message["payload"] | {"components": components}
                Draft202012Validator.check_schema(schema)
                self.kinds[message["name"]] = Draft202012Validator(schema)
                if message.get("contentType") == SOUND:
                    self.sound = message["name"]
                if message.get("contentType") == PLAIN:
                    self.plain = message["name"]

    def judge(self, line: dict[str, Any]) -> tuple[str | None, str | None]:
        """Which message a frame is, and what is wrong with it."""
        if "bytes" in line:
            return self.sound, None if self.sound else "a binary frame"
        if self.plain:
            return self.plain, None
        try:
            frame = json.loads(line["text"])
        except (ValueError, RecursionError):
            # a story may nest deeper than this reader goes
            return None, "no JSON"
        said = (frame.get(key) for key in KEYS) if isinstance(frame, dict) else iter(())
        kind = next((kind for kind in said if isinstance(kind, str) and kind in self.kinds), None)
        if kind is None:
            return (FOREIGN, None) if FOREIGN in self.kinds else (None, "no message of this channel")
        error = next(self.kinds[kind].iter_errors(frame), None)
        return kind, error and f"{error.json_path}: {error.message[:200]}"


def main(folder: Path, document: Path) -> int:
    """Judges a folder, prints findings and coverage; 0 when there is nothing to say."""
    parsed = json.loads(document.read_text(encoding="utf-8"))
    findings = 0
    by_channel: dict[str, list[Path]] = {name: [] for name in parsed["channels"] if name not in ELSEWHERE}
    for path in sorted(folder.glob("*.jsonl")):
        channel = path.suffixes[-2].lstrip(".")
        if channel in by_channel:
            by_channel[channel].append(path)
        else:
            findings += 1
            print(f"{path.name}: the document has no channel {channel!r}")
    for channel, paths in by_channel.items():
        sides = {"server": Side(parsed, channel, "send"), "client": Side(parsed, channel, "receive")}
        seen: dict[str, Counter[str]] = {side: Counter() for side in sides}
        for path in paths:
            for number, text in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                line = json.loads(text)
                side = line["dir"]
                kind, wrong = sides[side].judge(line)
                if wrong is None and kind is not None:
                    seen[side][kind] += 1
                elif side == "server":
                    findings += 1
                    print(f"{path.name}:{number}: {kind}: {wrong}: {line.get('text', '')[:300]}")
        for side, messages in sides.items():
            unsaid = frozenset(messages.kinds) if channel in PARTLY and paths else UNSAID.get(channel, frozenset())
            for kind in sorted(set(messages.kinds) - set(seen[side]) - unsaid):
                findings += 1
                print(f"{channel}: described but never seen of the {side}: {kind}")
            print(f"{channel}: {sum(seen[side].values())} frames of {len(seen[side])} kinds from the {side} in {len(paths)} recordings")
    print(f"doors: {findings} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
