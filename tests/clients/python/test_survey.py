"""The text survey with the client of the README, and with the loop that its first clients were given."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect

from live import KEY, REPOSITORY, Server

WAIT_S = 20
QUESTIONS = [
    {"text": "Do you like surveys?", "kind": "yes_no"},
    {"text": "Why?", "kind": "text"},
]


def call(server: Server, path: str, body: Any = None) -> Any:
    """A request with the key; what it answers."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    request = urllib.request.Request(server.url + path, data, headers)
    with urllib.request.urlopen(request, timeout=WAIT_S) as answer:
        return json.loads(answer.read())


@pytest.fixture(scope="module")
def polls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that writes codes into its log instead of mailing them, and asks a survey."""
    server = Server(tmp_path_factory.mktemp("polls"), ANTIPHON_MAIL__PRINT_CODES="true")
    call(server, "/v1/surveys", {"id": "poll", "name": "Poll", "questions": QUESTIONS, "active": True})
    yield server
    code = server.stop()
    assert code == 0, server.log()[-4000:]


def code_for(server: Server, email: str) -> str:
    """The code that the server has written for an address."""
    return server.logged(rf"Code for {re.escape(email)}: (\d{{6}})")


def readme_client() -> str:
    """The survey's client in the README."""
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        if "/survey/ws" in block:
            return block
    raise AssertionError("the README has no client of the survey")


def test_the_client_of_the_readme_takes_the_survey(polls: Server, tmp_path: Path) -> None:
    script = tmp_path / "survey.py"
    script.write_text(readme_client().replace("127.0.0.1:8080", f"127.0.0.1:{polls.port}"), encoding="utf-8")
    client = subprocess.Popen(
        [sys.executable, "-u", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert client.stdin is not None
    client.stdin.write("readme@example.com\n")
    client.stdin.flush()
    code = code_for(polls, "readme@example.com")
    said, _ = client.communicate(f"{code}\ny\nBecause.\nquit\n", timeout=WAIT_S)
    assert client.returncode == 0, said
    assert "Email verified successfully!" in said
    assert "Q2: Why?\n    Your answer: Because." in said
    assert "Goodbye! Closing connection..." in said
    results = call(polls, "/v1/surveys/poll/results")
    assert results["questions"][0]["counts"][0] == {"answer": "yes", "count": 1}


def test_one_frame_comes_for_each_that_is_sent(polls: Server) -> None:
    email = "loop@example.com"
    body = json.dumps({"email": email}).encode()
    with urllib.request.urlopen(f"{polls.url}/survey/request-code", body, timeout=WAIT_S) as answer:
        assert json.loads(answer.read())["success"] is True
    code = code_for(polls, email)
    typed = ["nonsense", email, "000000" if code != "000000" else "000001", code, "perhaps", "n", "No reason.", "more", "quit"]
    with connect(f"{polls.url.replace('http', 'ws')}/survey/ws") as survey:
        replies = [survey.recv(timeout=WAIT_S)]
        for text in typed:
            survey.send(text)
            replies.append(survey.recv(timeout=WAIT_S))
        with pytest.raises(Exception, match="1000"):
            survey.recv(timeout=WAIT_S)
    assert len(replies) == 1 + len(typed)
    assert replies[-1] == "Goodbye! Closing connection..."
    # codes are shown to the developer and nowhere else
    assert code not in call_text(polls, "/metrics")


def call_text(server: Server, path: str) -> str:
    """The body of a plain page."""
    with urllib.request.urlopen(server.url + path, timeout=WAIT_S) as answer:
        return str(answer.read().decode())
