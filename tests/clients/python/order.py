"""The order of server events on one connection (spec/realtime §1.11), for both shapes.

Used by `validate.py`, one `Order` per recording.
Never looks at a field's type: the schema has done that.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

GA_TEXTS = {
    "response.output_text": "text",
    "response.output_audio_transcript": "transcript",
    "response.function_call_arguments": "arguments",
}
BETA_TEXTS = {
    "response.text": "text",
    "response.audio_transcript": "transcript",
    "response.function_call_arguments": "arguments",
}
FINAL = ("completed", "cancelled", "failed", "incomplete")


class Order:
    """What has been announced and not yet closed."""

    UNASKED_HEAD = "previous_item_id is null in a conversation with items, and nobody asked for its head"

    def __init__(self, shape: str) -> None:
        self.ga = shape == "ga"
        self.texts = GA_TEXTS if self.ga else BETA_TEXTS
        self.first = True
        self.ids: set[str] = set()
        self.responses: dict[str, dict[str, Any]] = {}
        self.announced: set[str] = set()
        self.finished: set[str] = set()
        self.deleted: set[str] = set()
        self.put_first = 0
        self.spoken: list[str] = []
        self.committed: list[str] = []
        self.last_committed_previous: dict[str, Any] = {}

    def asked(self, event: dict[str, Any]) -> None:
        """Takes note of what the client sent, as far as the order of the answers depends on it."""
        if event.get("type") == "conversation.item.create" and event.get("previous_item_id") == "root":
            self.put_first += 1

    def feed(self, event: dict[str, Any]) -> list[str]:
        """What is out of order with this event."""
        return list(self._feed(event))

    def _feed(self, event: dict[str, Any]) -> Iterator[str]:
        kind = event["type"]
        if self.first and kind not in ("session.created", "error"):
            yield "the first event must be session.created"
        if not self.first and kind == "session.created":
            yield "session.created comes once"
        self.first = False
        if event.get("event_id") in self.ids:
            yield "event_id used twice"
        self.ids.add(event.get("event_id", ""))
        if kind.startswith("response."):
            yield from self._response(kind, event)
        elif kind.startswith("conversation.item."):
            yield from self._item(kind, event)
        elif kind.startswith("input_audio_buffer."):
            yield from self._input(kind, event)

    def _response(self, kind: str, event: dict[str, Any]) -> Iterator[str]:
        if kind == "response.created":
            response = event["response"]
            if response["id"] in self.responses:
                yield "response created twice"
            others = [r for r in self.responses.values() if r["state"] == "open" and r["conversation"]]
            if response.get("conversation_id") and others:
                yield "two responses write to the default conversation"
            self.responses[response["id"]] = {
                "state": "open",
                "conversation": response.get("conversation_id"),
                "items": {},
                "parts": {},
                "texts": {},
                "closed": [],
            }
            return
        name = event["response"]["id"] if kind == "response.done" else event.get("response_id")
        record = self.responses.get(name)
        if record is None or record["state"] != "open":
            yield f"response {name} is not open"
            return
        if kind == "response.done":
            yield from self._done(record, event["response"])
        elif kind == "response.output_item.added":
            if event["output_index"] != len(record["closed"]) + len(record["items"]):
                yield "output_index does not count up"
            if event["item"].get("status") != "in_progress":
                yield "a new output item must be in_progress"
            record["items"][event["output_index"]] = event["item"]["id"]
        elif kind == "response.output_item.done":
            item_id = event["item"]["id"]
            if record["items"].pop(event["output_index"], None) != item_id:
                yield "no output_item.added for this item"
            if any(key[0] == item_id for key in record["parts"]):
                yield "a part of this item is still open"
            if self._in_conversation(record, item_id) and item_id not in self.finished:
                yield "conversation.item.done must come before output_item.done"
            record["closed"].append(item_id)
        else:
            yield from self._content(kind, event, record)

    def _done(self, record: dict[str, Any], response: dict[str, Any]) -> Iterator[str]:
        record["state"] = "done"
        if record["items"] or record["parts"]:
            yield f"still open: items {list(record['items'].values())}, parts {list(record['parts'])}"
        if record["texts"]:
            yield f"deltas without their done: {list(record['texts'])}"
        if response["status"] not in FINAL:
            yield f"{response['status']!r} is not a final status"
        if [item["id"] for item in response["output"]] != record["closed"]:
            yield "output does not list the finished items in order"

    def _content(self, kind: str, event: dict[str, Any], record: dict[str, Any]) -> Iterator[str]:
        item_id = event["item_id"]
        key = (item_id, event.get("content_index"))
        if record["items"].get(event["output_index"]) != item_id:
            yield f"item {item_id} is not open"
        elif self._in_conversation(record, item_id) and item_id not in self.announced:
            yield "conversation.item.added must come before what happens in the item"
        if kind == "response.content_part.added":
            record["parts"][key] = event["part"]["type"]
            return
        if kind == "response.content_part.done":
            if record["parts"].pop(key, None) != event["part"]["type"]:
                yield "no content_part.added of this type"
            return
        if "content_index" in event and key not in record["parts"]:
            yield "the part is not open"
        base, _, step = kind.rpartition(".")
        field = self.texts.get(base)
        if field is None:
            return
        texts = record["texts"]
        if step == "delta":
            texts[base, *key] = texts.get((base, *key), "") + event["delta"]
        elif texts.pop((base, *key), "") != event[field]:
            yield f"the deltas do not add up to {field}"

    def _in_conversation(self, record: dict[str, Any], item_id: str) -> bool:
        """Whether the conversation must tell of this item: an item deleted while it is made has left it."""
        return bool(self.ga and record["conversation"] and item_id not in self.deleted)

    def _item(self, kind: str, event: dict[str, Any]) -> Iterator[str]:
        item_id = event["item"]["id"] if "item" in event else event["item_id"]
        step = kind.removeprefix("conversation.item.")
        if step in ("added", "created"):
            if item_id in self.announced:
                yield "item announced twice"
            previous = event.get("previous_item_id")
            if previous is not None and previous not in self.announced:
                yield f"previous_item_id {previous} was never announced"
            if previous is None and self.announced:
                self.put_first -= 1
                if self.put_first < 0:
                    yield self.UNASKED_HEAD
            wanted = self.last_committed_previous.pop(item_id, previous)
            if wanted != previous:
                yield f"previous_item_id differs from that of committed ({wanted})"
            self.announced.add(item_id)
            return
        if item_id not in self.announced:
            yield f"item {item_id} was never announced"
        if step == "done":
            if item_id in self.finished:
                yield "item finished twice"
            self.finished.add(item_id)
        elif step == "deleted":
            self.announced.discard(item_id)
            self.finished.discard(item_id)
            self.deleted.add(item_id)

    def _input(self, kind: str, event: dict[str, Any]) -> Iterator[str]:
        step = kind.removeprefix("input_audio_buffer.")
        if step == "cleared":
            self.spoken.clear()
        if step == "speech_started":
            if self.spoken:
                yield "speech started twice"
            self.spoken.append(event["item_id"])
        elif step == "speech_stopped" and self.spoken != [event["item_id"]]:
            yield "speech_stopped of another item than speech_started"
        elif step == "committed":
            if self.spoken and self.spoken != [event["item_id"]]:
                yield "committed another item than speech_started announced"
            self.spoken.clear()
            self.committed.append(event["item_id"])
            self.last_committed_previous[event["item_id"]] = event.get("previous_item_id")

    def finish(self) -> Iterator[str]:
        """What the recording leaves open; a client that hangs up may leave a response and its last turn so."""
        for item_id in self.committed[:-1]:
            if item_id in self.last_committed_previous:
                yield f"committed item {item_id} was never announced"
