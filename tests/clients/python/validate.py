"""Judges recordings of server events against the models that the official client ships.

    python validate.py FOLDER ASYNCAPI.json

reads every `*.ga.jsonl` and `*.beta.jsonl` of the folder, and says which events of the document were never seen.

Four judgements: the pydantic model (strict, JSON mode), fields that the model does not declare, rules that
shipped clients live by although the model is looser (spec/realtime §1.7, §4.0), and the order of §1.11.
"""

from __future__ import annotations

import json
import sys
import types
import typing
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from openai.types.beta.realtime import RealtimeServerEvent as BetaEvent
from openai.types.realtime import RealtimeServerEvent as GaEvent
from pydantic import BaseModel, TypeAdapter, ValidationError

from order import Order

# In the document of the protocol, but not sent: telephone keys and played-out audio belong to calls, segments to
# transcription models that tell speakers apart (docs/protocols/realtime.md, "Not sent").
NOT_SENT = frozenset(
    """
    input_audio_buffer.dtmf_event_received conversation.item.input_audio_transcription.segment
    output_audio_buffer.started output_audio_buffer.stopped output_audio_buffer.cleared
    """.split()
)

# Names of the older shape, where they differ (spec/realtime §1.12), and what only that shape has.
OLD_NAMES = {
    "conversation.item.added": "conversation.item.created",
    "conversation.item.done": "conversation.item.created",
    "response.output_text.delta": "response.text.delta",
    "response.output_text.done": "response.text.done",
    "response.output_audio.delta": "response.audio.delta",
    "response.output_audio.done": "response.audio.done",
    "response.output_audio_transcript.delta": "response.audio_transcript.delta",
    "response.output_audio_transcript.done": "response.audio_transcript.done",
}
ONLY_OLD = frozenset({"conversation.created", "transcription_session.updated"})
# A setting that the older shape does not have triggers it.
ONLY_NEW = frozenset({"input_audio_buffer.timeout_triggered"})

# Events of ours, which no model of the official client knows: sent only to those who ask for what they belong to.
OURS = {
    "session.resumed": {"type", "event_id", "session_id", "replayed", "complete", "items"},
    "tts.degraded": {"type", "event_id", "response_id", "item_id", "from", "to", "reason"},
    "speech.piece": {"type", "event_id", "response_id", "item_id", "text"},
    "transcript.partial": {"type", "event_id", "item_id", "text"},
}
# Fields of theirs that may be absent.
OURS_MAY_LACK = {"tts.degraded": {"item_id"}}

# Fields of hosted sessions that the client's models leave out: the current request-shaped ones (spec/realtime §1.3), and
# the older one of transcription sessions.
UNDECLARED = frozenset(
    """
    session.id session.object session.expires_at session.include session.input_audio_noise_reduction
    session.turn_detection.create_response session.turn_detection.interrupt_response
    """.split()
)
# The older model requires a secret here and says in the same place that only the REST route has one.
CONTRADICTION = ("transcription_session.updated", ("session", "client_secret"), "missing")
LARGEST_FRAME = 1 << 20
ITEM_KEYS = ("arguments", "call_id", "content", "name", "role", "status")


def variants(annotation: Any) -> list[Any]:
    """The members of an annotation, unions and aliases opened."""
    if isinstance(annotation, typing.TypeAliasType if hasattr(typing, "TypeAliasType") else ()):
        return variants(annotation.__value__)
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return variants(typing.get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType):
        return [leaf for member in typing.get_args(annotation) for leaf in variants(member)]
    return [annotation]


def models_by_type(union: Any) -> dict[str, type[BaseModel]]:
    """Event models by the value of their `type`."""
    return {
        name: model
        for model in variants(union)
        for name in typing.get_args(model.model_fields["type"].annotation)
    }


def undeclared(annotation: Any, value: Any, path: str) -> Iterator[str]:
    """Paths of fields that no fitting model declares."""
    members = variants(annotation)
    if isinstance(value, list):
        element = next((m for m in members if typing.get_origin(m) is list), None)
        for index, entry in enumerate(value):
            if element is not None:
                yield from undeclared(typing.get_args(element)[0], entry, f"{path}[{index}]")
        return
    models = [m for m in members if isinstance(m, type) and issubclass(m, BaseModel)]
    if not isinstance(value, dict) or not models:
        return
    fitting = [m for m in models if accepts(m, value)] or models
    yield from min((list(fields_beyond(m, value, path)) for m in fitting), key=len)


def accepts(model: type[BaseModel], value: dict[str, Any]) -> bool:
    """Whether the model takes the value in strict JSON mode."""
    try:
        model.model_validate_json(json.dumps(value), strict=True)
    except ValidationError:
        return False
    return True


def fields_beyond(model: type[BaseModel], value: dict[str, Any], path: str) -> Iterator[str]:
    known = {field.alias or name: field for name, field in model.model_fields.items()}
    for name, inner in value.items():
        where = f"{path}.{name}" if path else name
        if name in known:
            yield from undeclared(known[name].annotation, inner, where)
        elif where not in UNDECLARED:
            yield where


def nulls(where: str, value: Any, names: tuple[str, ...]) -> Iterator[str]:
    """Keys that must be left out rather than be null: agents-js drops the event."""
    for name in names:
        if isinstance(value, dict) and name in value and value[name] is None:
            yield f"{where}.{name} is null: leave it out"


def missing(where: str, value: Any, names: str) -> Iterator[str]:
    for name in names.split():
        if not isinstance(value, dict) or name not in value:
            yield f"{where}.{name} is missing"


def item_rules(where: str, item: dict[str, Any]) -> Iterator[str]:
    """What agents-js, pipecat and livekit need of an item."""
    yield from nulls(where, item, ITEM_KEYS)
    yield from missing(where, item, "id object type")
    if item.get("type") == "message":
        yield from missing(where, item, "role content status")
        for part in item.get("content") or []:
            kind = part.get("type")
            if kind == "input_audio" and "transcript" not in part:
                yield f"{where}: an input_audio part without the transcript key"
            if kind in ("text", "audio"):
                yield f"{where}: the short part name {kind!r} belongs to part events only"
            if kind in ("input_text", "output_text") and not isinstance(part.get("text"), str):
                yield f"{where}: a text part without text"
    if item.get("type") == "function_call":
        yield from missing(where, item, "name call_id arguments status")


def session_rules(session: dict[str, Any]) -> Iterator[str]:
    yield from missing("session", session, "id object type expires_at audio")
    audio_input = (session.get("audio") or {}).get("input") or {}
    if session.get("type") == "realtime":
        yield from missing(
            "session",
            session,
            "model output_modalities instructions tools tool_choice max_output_tokens truncation tracing prompt include",
        )
        detection = audio_input.get("turn_detection")
        if isinstance(detection, dict):
            yield from missing("turn_detection", detection, "type create_response interrupt_response")
    for key in set(audio_input.get("transcription") or {}) - {"model", "language", "prompt"}:
        yield f"transcription.{key}: pipecat ends its receive loop on it"


def response_rules(kind: str, response: dict[str, Any]) -> Iterator[str]:
    yield from missing(
        "response",
        response,
        "id object status status_details output conversation_id output_modalities max_output_tokens audio usage metadata",
    )
    for item in response.get("output") or []:
        yield from item_rules("response.output", item)
    if kind == "response.created" and response.get("status") != "in_progress":
        yield "a new response must be in_progress"
    if kind != "response.done":
        return
    usage = response.get("usage") or {}
    yield from missing(
        "usage", usage, "total_tokens input_tokens output_tokens input_token_details output_token_details"
    )
    if usage and usage["total_tokens"] != usage["input_tokens"] + usage["output_tokens"]:
        yield "usage does not add up"
    unfinished = response.get("status") != "completed"
    details = response.get("status_details")
    if unfinished != isinstance(details, dict):
        yield f"status_details do not fit the status {response.get('status')!r}"
    if unfinished and isinstance(details, dict) and details.get("type") != response.get("status"):
        yield "status_details.type differs from the status"


def ga_rules(event: dict[str, Any]) -> Iterator[str]:
    """Rules beyond the schema for the current shape."""
    kind = event.get("type", "")
    if not event.get("event_id"):
        yield "event_id is missing: pipecat ends its receive loop"
    if len(json.dumps(event)) >= LARGEST_FRAME and kind != "conversation.item.retrieved":
        yield "larger than 1 MiB: pipecat closes with 1009"
    if kind in ("conversation.created", "conversation.item.created"):
        yield "belongs to the beta shape"
    if isinstance(event.get("item"), dict):
        yield from item_rules("item", event["item"])
        bare = event["item"].get("content") or []
        if kind != "conversation.item.retrieved" and any(part.get("audio") for part in bare):
            yield "audio bytes belong into retrieved only"
    if kind in ("session.created", "session.updated"):
        yield from session_rules(event["session"])
    if kind in ("response.created", "response.done"):
        yield from response_rules(kind, event["response"])
    if kind.startswith("response.content_part."):
        yield from nulls("part", event.get("part"), ("text", "audio", "transcript"))
    if kind.endswith("input_audio_transcription.failed"):
        yield from nulls("error", event.get("error"), ("type", "code", "message", "param"))
    if kind.endswith("input_audio_transcription.delta"):
        yield from missing("", event, "content_index delta")
    if kind == "rate_limits.updated":
        for limit in event["rate_limits"]:
            yield from nulls("rate_limits", limit, tuple(limit))
    if kind == "error":
        yield from missing("error", event.get("error"), "type code message param event_id")


class Judge:
    """Checks events of one shape (`ga` or `beta`)."""

    def __init__(self, shape: str) -> None:
        self.shape = shape
        union = GaEvent if shape == "ga" else BetaEvent
        self.models = models_by_type(union)
        self.adapters = {kind: TypeAdapter(model) for kind, model in self.models.items()}

    def event(self, event: dict[str, Any]) -> Iterator[str]:
        """What is wrong with one event on its own."""
        kind = event.get("type")
        if kind in OURS:
            if set(event) != OURS[kind] and set(event) != OURS[kind] - OURS_MAY_LACK.get(kind, set()):
                yield f"fields {sorted(event)} and not {sorted(OURS[kind])}"
            return
        if kind not in self.models:
            yield f"unknown event type {kind!r}"
            return
        try:
            self.adapters[kind].validate_json(json.dumps(event), strict=True)
        except ValidationError as refused:
            errors = refused.errors(include_url=False, include_input=False)
            errors = [error for error in errors if (kind, error["loc"], error["type"]) != CONTRADICTION]
            for error in errors[:5]:
                yield f"schema: {'.'.join(map(str, error['loc']))}: {error['msg']}"
            if errors:
                return
        for path in undeclared(self.models[kind], event, ""):
            yield f"undeclared field {path}"
        if self.shape == "ga":
            yield from ga_rules(event)

    def recording(self, lines: list[dict[str, Any]]) -> Iterator[tuple[int, str, str]]:
        """What is wrong with one connection: line number, event type, finding."""
        order = Order(self.shape)
        for number, line in enumerate(lines, 1):
            event = line["event"]
            if line["dir"] == "client":
                order.asked(event)
                continue
            findings = list(self.event(event))
            if not any(f.startswith(("schema", "unknown")) for f in findings):
                findings += order.feed(event)
            for finding in findings:
                yield number, event.get("type", "?"), finding
        for finding in order.finish():
            yield len(lines), "(end)", finding


def claims(document: Path) -> dict[str, frozenset[str]]:
    """The event types that the server says it sends, by shape; `document` is the output of `antiphon asyncapi`."""
    parsed = json.loads(document.read_text(encoding="utf-8"))
    messages = parsed["components"]["messages"]
    names = [reference["$ref"].rpartition("/")[2] for reference in parsed["operations"]["send"]["messages"]]
    ga = frozenset(messages[name]["name"] for name in names) - NOT_SENT
    return {"ga": ga, "beta": frozenset(OLD_NAMES.get(name, name) for name in ga - ONLY_NEW) | ONLY_OLD}


def main(folder: Path, document: Path) -> int:
    """Judges a folder, prints findings and coverage; 0 when there is nothing to say."""
    findings = files = 0
    seen: dict[str, Counter[str]] = {"ga": Counter(), "beta": Counter()}
    judges = {shape: Judge(shape) for shape in seen}
    for path in sorted(folder.glob("*.jsonl")):
        shape = path.suffixes[-2].lstrip(".")
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        files += 1
        seen[shape].update(str(line["event"].get("type")) for line in lines if line["dir"] == "server")
        for number, kind, finding in judges[shape].recording(lines):
            findings += 1
            print(f"{path.name}:{number}: {kind}: {finding}")
    for shape, claimed in claims(document).items():
        gaps = [f"claimed but never seen: {kind}" for kind in sorted(claimed - set(seen[shape]))]
        gaps += [f"seen but not claimed: {kind}" for kind in sorted(set(seen[shape]) - claimed)]
        findings += len(gaps)
        for gap in gaps:
            print(f"{shape}: {gap}")
        print(f"{shape}: {sum(seen[shape].values())} events of {len(seen[shape])} types, {len(claimed)} claimed")
    print(f"{files} recordings, {findings} findings")
    return 1 if findings or not files else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
