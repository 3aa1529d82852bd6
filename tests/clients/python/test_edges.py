"""What no client sends on purpose: sizes, broken frames, wrong ids (spec/realtime §4.12, cases 2, 4 to 9, 19, 20)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from live import Server
from order import Order
from sound import b64, silence
from validate import Judge

MIB = 1024 * 1024


def test_an_append_of_15_mib_is_taken_and_one_of_16_refused(raw: Any) -> None:
    with raw() as connection:
        connection.manual()
        connection.send("input_audio_buffer.append", audio=b64(bytes(15 * MIB)))
        connection.send("input_audio_buffer.commit")
        connection.until("input_audio_buffer.committed")
        connection.send("input_audio_buffer.append", audio=b64(bytes(16 * MIB)), event_id="too_big")
        error = connection.error()
        assert (error["param"], error["event_id"]) == ("audio", "too_big")
        connection.alive()


@pytest.mark.parametrize(
    ("frame", "code", "param"),
    [
        (b"\x00\x01", "invalid_event", None),
        ("{not json", "invalid_json", None),
        ("[1,2]", "invalid_event", None),
        ("{}", "invalid_event", "type"),
        ('{"type":"no.such.event"}', "invalid_value", "type"),
        ('{"type":"session.update","session":{"type":"realtime","colour":1}}', "unknown_parameter", "session.colour"),
        ('{"type":"session.update","session":{"instructions":"x"}}', "missing_required_parameter", "session.type"),
        ('{"type":"input_audio_buffer.append","audio":"%%%"}', "invalid_value", "audio"),
        ('{"type":"input_audio_buffer.append"}', "missing_required_parameter", "audio"),
        ('{"type":"conversation.item.delete","item_id":"nobody"}', "item_delete_invalid_item_id", "item_id"),
        ('{"type":"conversation.item.retrieve","item_id":"nobody"}', "item_retrieve_invalid_item_id", "item_id"),
    ],
)
def test_what_cannot_be_used_is_named_and_survived(raw: Any, frame: Any, code: str, param: str | None) -> None:
    with raw() as connection:
        connection.socket.send(frame)
        error = connection.error()
        assert (error["code"], error["param"]) == (code, param), error
        assert error["type"] == "invalid_request_error"
        connection.alive()


def test_a_refusal_names_the_event(raw: Any) -> None:
    with raw() as connection:
        connection.send("no.such.event", event_id="mine")
        error = connection.error()
        assert error["event_id"] == "mine"
        assert "input_audio_buffer.append" in error["message"]


def test_invalid_utf8_ends_the_connection_and_no_other(raw: Any, server: Server) -> None:
    direct = server.url.replace("http", "ws")
    with raw(url=direct) as neighbour, raw(url=direct) as connection:
        connection.next()
        connection.socket.send(b'{"type":"\xff\xfe"}', text=True)
        with pytest.raises(ConnectionClosed):
            connection.next()
        neighbour.until("session.created")
        neighbour.alive()


def test_json_bombs(raw: Any, server: Server) -> None:
    with raw() as connection:
        connection.socket.send('{"type":"session.update","session":' + "[" * 200_000)
        assert connection.error()["code"] == "invalid_json"
        nested = '{"a":' * 5_000 + "1" + "}" * 5_000
        connection.socket.send('{"type":"response.create","response":{"metadata":' + nested + "}}")
        connection.error()
        connection.socket.send(json.dumps({"type": "x" * (20 * MIB)}))
        assert len(connection.error()["message"]) < 10_000
        connection.alive()
    with raw(url=server.url.replace("http", "ws")) as connection:
        connection.next()
        with pytest.raises(ConnectionClosed):
            connection.socket.send("x" * (40 * MIB))
            connection.next()
    with raw() as connection:
        connection.alive()


def test_items_go_where_they_are_put(raw: Any) -> None:
    with raw() as connection:
        first = connection.say("first")["id"]
        connection.say("second")
        connection.send(
            "conversation.item.create",
            previous_item_id=first,
            item={
                "id": "middle",
                "type": "message",
                "role": "assistant",
                "content": [{"type": "output_text", "text": "between"}],
            },
        )
        assert connection.until("conversation.item.added")["previous_item_id"] == first
        for previous, item_id, code in (
            ("nobody", "other", None),
            (None, "middle", "item_create_duplicate_item_id"),
        ):
            connection.send(
                "conversation.item.create",
                previous_item_id=previous,
                item={
                    "id": item_id,
                    "type": "message",
                    "role": "user",
                    "content": [{"type": "input_text", "text": "x"}],
                },
            )
            error = connection.error()
            assert code is None or (error["code"], "already exists" in error["message"]) == (code, True)
        connection.send("conversation.item.retrieve", item_id="other")
        assert connection.error()["code"] == "item_retrieve_invalid_item_id"


def test_the_head_of_the_conversation_is_called_root(raw: Any, server: Server) -> None:
    # Not through the tap: validators that see one direction only take the null for a slip. The judge knows who asked.
    put = {
        "type": "conversation.item.create",
        "previous_item_id": "root",
        "item": {"type": "message", "role": "system", "content": [{"type": "input_text", "text": "say: Head first."}]},
    }
    with raw(url=server.url.replace("http", "ws")) as connection:
        connection.say("Hello")
        connection.socket.send(json.dumps(put))
        assert connection.until("conversation.item.added")["previous_item_id"] is None
        connection.until("conversation.item.done")
        lines = [{"dir": "server", "event": event} for event in connection.events]
    judge = Judge("ga")
    assert list(judge.recording([{"dir": "client", "event": put}, *lines])) == []
    assert [finding for *_, finding in judge.recording(lines)] == [Order.UNASKED_HEAD]


def test_truncation(raw: Any) -> None:
    with raw() as connection:
        asked = connection.say("say: These words are spoken.")["id"]
        spoken = connection.respond()["output"][0]["id"]

        def truncate(item_id: str, end: int) -> None:
            connection.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=end)

        truncate(spoken, 60_000)
        error = connection.error()
        assert error["message"] == "Audio content of 1380ms is already shorter than 60000ms"
        assert error["code"] is None
        truncate(asked, 0)
        error = connection.error()
        assert error["code"] == "unsupported_content_type"
        assert error["message"] == "Only model output audio messages can be truncated"
        truncate("nobody", 0)
        assert connection.error()["code"] == "item_truncate_invalid_item_id"
        truncate(spoken, 500)
        connection.until("conversation.item.truncated")
        truncate(spoken, 400)
        assert connection.error()["code"] == "item_already_truncated"


def test_truncation_while_speaking(raw: Any) -> None:
    with raw() as connection:
        connection.say("slowly 20 long")
        connection.send("response.create")
        item_id = connection.until("response.output_audio.delta")["item_id"]
        connection.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=20)
        connection.until("conversation.item.truncated")
        connection.send("response.cancel")
        assert connection.until("response.done")["response"]["status"] == "cancelled"


def test_the_item_being_made_may_be_deleted(raw: Any) -> None:
    with raw() as connection:
        connection.say("slowly 5 long")
        connection.send("response.create", response={"output_modalities": ["text"]})
        item_id = connection.until("response.output_text.delta")["item_id"]
        connection.send("conversation.item.delete", item_id=item_id)
        connection.until("conversation.item.deleted")
        connection.until("response.done")
        connection.say("say: Next.")
        assert connection.respond(output_modalities=["text"])["output"][0]["content"][0]["text"] == "Next."


def test_cancelling(raw: Any) -> None:
    with raw() as connection:
        connection.send("response.cancel", event_id="early")
        error = connection.error()
        assert (error["code"], error["event_id"]) == ("response_cancel_not_active", "early")
        assert error["message"].startswith("Cancellation failed: no active response found")
        connection.say("slowly 20 long")
        connection.send("response.create")
        active = connection.until("response.created")["response"]["id"]
        connection.send("response.cancel", response_id="resp_wrong")
        assert connection.error()["code"] == "response_cancel_not_active"
        connection.send("response.create", event_id="second")
        error = connection.error()
        assert error["code"] == "conversation_already_has_active_response"
        assert active in error["message"] and error["event_id"] == "second"
        connection.send("response.cancel", response_id=active)
        assert connection.until("response.done")["response"]["id"] == active


def test_settings_that_cannot_be_changed(raw: Any) -> None:
    with raw() as connection:
        before = connection.next()["session"]
        # every SDK sends a model, often one of its own choice (spec/realtime §1.3)
        after = connection.update(model="gpt-realtime-2.1", tracing="auto", instructions="x")
        assert after["model"] == before["model"]
        connection.say("say: Spoken.")
        connection.respond()
        connection.send("session.update", session={"type": "realtime", "audio": {"output": {"voice": "echo"}}})
        error = connection.error()
        assert error["code"] == "cannot_update_voice"
        assert error["message"] == "Cannot update a conversation's voice if assistant audio is present."
        connection.send("session.update", session={"type": "transcription"})
        connection.error()


def test_a_commit_below_100_ms(raw: Any) -> None:
    with raw() as connection:
        connection.manual()
        connection.send("input_audio_buffer.append", audio=b64(silence(99)))
        connection.send("input_audio_buffer.commit")
        error = connection.error()
        assert error["code"] == "input_audio_buffer_commit_empty"
        assert "99.00ms" in error["message"]
        connection.send("input_audio_buffer.append", audio=b64(silence(1)))
        connection.send("input_audio_buffer.commit")
        connection.until("input_audio_buffer.committed")
