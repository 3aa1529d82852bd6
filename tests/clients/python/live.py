"""Starts and stops the server under test and the tap in front of it.

Used by `conftest.py`, and by `run.sh` as a program: `python live.py COMMAND…` runs COMMAND beside a server.
Never leaves a process behind, and never accepts a server that does not stop cleanly.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from tap import Tap

KEY = "sk-client-tests-0123456789abcdef"
MODEL = "gpt-realtime"
HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[2]
READY_TRIES = 600
READY_PAUSE_S = 0.1

# Told to stop, a run ends like one that is interrupted at the keyboard: the servers are stopped on the way out.
signal.signal(signal.SIGTERM, signal.default_int_handler)


def binary() -> Path:
    """The server binary: `ANTIPHON_BIN`, or the debug build."""
    return Path(os.environ.get("ANTIPHON_BIN", REPOSITORY / "target" / "debug" / "antiphon"))


def recordings() -> Path:
    """Where the taps write; `ANTIPHON_RECORDINGS` or a new folder."""
    folder = os.environ.get("ANTIPHON_RECORDINGS")
    if folder is None:
        folder = tempfile.mkdtemp(prefix="antiphon-recordings-")
        os.environ["ANTIPHON_RECORDINGS"] = folder
    Path(folder).mkdir(parents=True, exist_ok=True)
    return Path(folder)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """One server process with scripted providers."""

    def __init__(self, folder: Path, config: Path | None = None, **settings: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log_path = folder / "server.log"
        data = folder / "data"
        data.mkdir(parents=True)
        clean = {name: value for name, value in os.environ.items() if not name.startswith("ANTIPHON_")}
        environment = clean | {
            "ANTIPHON_PIPELINE": "scripted",
            "ANTIPHON_DATA_DIR": str(data),
            "ANTIPHON_LISTEN": f"127.0.0.1:{self.port}",
            "ANTIPHON_BOOTSTRAP_API_KEY": KEY,
            "LOG_LEVEL": "debug",
            **settings,
        }
        with self.log_path.open("wb") as log:
            command = [binary(), "serve"] + (["--config", config] if config else [])
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        self._wait_until_ready()

    def logged(self, pattern: str) -> str:
        """The first group of a pattern, as soon as the log has it."""
        for _ in range(READY_TRIES):
            found = re.search(pattern, self.log())
            if found:
                return found.group(1)
            time.sleep(READY_PAUSE_S)
        raise AssertionError(f"no {pattern} in {self.log()[-2000:]}")

    def _wait_until_ready(self) -> None:
        for _ in range(READY_TRIES):
            if self.process.poll() is not None:
                break
            try:
                with urllib.request.urlopen(f"{self.url}/ready", timeout=5):
                    return
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                time.sleep(READY_PAUSE_S)
        self.process.kill()
        raise RuntimeError(f"the server did not get ready:\n{self.log()}")

    def log(self) -> str:
        """All that the server has logged."""
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def metric(self, name: str) -> float:
        """The value of a metric without labels."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=10) as answer:
            for line in answer.read().decode().splitlines():
                if line.startswith(f"{name} "):
                    return float(line.split()[1])
        raise KeyError(name)

    def wait_for(self, name: str, wanted: float) -> None:
        """Until the metric has this value: the server learns of a vanished client when its socket breaks."""
        value = None
        for _ in range(READY_TRIES):
            value = self.metric(name)
            if value == wanted:
                return
            time.sleep(READY_PAUSE_S)
        raise AssertionError(f"{name} is {value}, {wanted} was expected")

    def stop(self) -> int:
        """SIGTERM, and the exit code of the drained server."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout=40)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise RuntimeError(f"the server did not stop within 40 s:\n{self.log()[-4000:]}") from None


def main(command: list[str]) -> int:
    """Runs `command` with the addresses of a running server in its environment."""
    with tempfile.TemporaryDirectory(prefix="antiphon-clients-") as name:
        folder = Path(name)
        server = Server(folder)
        tap = Tap(server.url, recordings(), folder, label="node")
        try:
            code = subprocess.call(
                command,
                env=os.environ
                | {
                    "ANTIPHON_URL": server.url,
                    "ANTIPHON_TAP_WS": tap.ws,
                    "ANTIPHON_TAP_WSS": tap.wss,
                    "ANTIPHON_KEY": KEY,
                    "NODE_EXTRA_CA_CERTS": str(tap.cert),
                },
            )
        finally:
            tap.stop()
            stopped = server.stop()
        if stopped != 0:
            print(f"the server ended with {stopped}:\n{server.log()[-4000:]}", file=sys.stderr)
        return code or stopped


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
