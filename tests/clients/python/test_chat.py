"""Chat completions through the official client: whole, streamed, with a function, and refused."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest
from openai import OpenAI

QUESTION: list[Any] = [
    {"role": "developer", "content": "Answer briefly."},
    {"role": "user", "content": "hello"},
]
WEATHER: list[Any] = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        },
    }
]


def test_whole_and_streamed_answers_say_the_same(client: OpenAI) -> None:
    whole = client.chat.completions.create(model="gpt-4o-mini", messages=QUESTION)
    said = whole.choices[0].message.content
    assert said and "hello" in said
    assert whole.choices[0].finish_reason == "stop"
    assert whole.usage and whole.usage.total_tokens > 0
    text, last = "", None
    for chunk in client.chat.completions.create(
        model="gpt-4o-mini", messages=QUESTION, stream=True, stream_options={"include_usage": True}
    ):
        last = chunk
        text += "".join(choice.delta.content or "" for choice in chunk.choices)
    assert text == said
    assert last is not None and last.usage == whole.usage


def test_a_function_is_called_and_its_output_is_read(client: OpenAI) -> None:
    messages: list[Any] = [{"role": "user", "content": "call get_weather"}]
    with client.chat.completions.stream(model="gpt-4o-mini", messages=messages, tools=WEATHER) as stream:
        answer = stream.get_final_completion().choices[0]
    assert answer.finish_reason == "tool_calls"
    assert answer.message.tool_calls
    call = answer.message.tool_calls[0]
    assert call.function.name == "get_weather"
    json.loads(call.function.arguments)
    messages += [
        {"role": "assistant", "tool_calls": [call.model_dump(include={"id", "type", "function"})]},
        {"role": "tool", "tool_call_id": call.id, "content": "sunny"},
    ]
    said = client.chat.completions.create(model="gpt-4o-mini", messages=messages, tools=WEATHER)
    assert "sunny" in (said.choices[0].message.content or "")


def test_what_is_not_done_is_refused_and_not_passed_over(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model="gpt-4o-mini", messages=QUESTION, n=2)
    assert refused.value.param == "n"
    with pytest.raises(openai.NotFoundError) as unknown:
        client.chat.completions.create(model="no-such-model", messages=QUESTION)
    assert unknown.value.code == "model_not_found"
