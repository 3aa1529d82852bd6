"""A recording WebSocket proxy between a client and the server, plain and with TLS.

Used by every client test; `validate.py` reads what it writes.
Never changes a frame: headers, subprotocols, refusals and close codes pass through as they are.
"""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import itertools
import json
import ssl
import threading
from concurrent.futures import Future
from http import HTTPStatus
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.http11 import Request, Response

FORWARDED = ("authorization", "api-key", "openai-beta", "origin", "user-agent")
# Audio a client sent is not needed to judge the server; a 15 MiB append would only fill the disk.
KEPT_CLIENT_TEXT = 4096


def self_signed(folder: Path) -> tuple[Path, Path]:
    """Writes `cert.pem` and `key.pem` for 127.0.0.1 and returns their paths."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.timezone.utc)
    loopback = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(loopback, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert_path, key_path = folder / "cert.pem", folder / "key.pem"
    cert_path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return cert_path, key_path


class Recording:
    """One connection as JSON lines `{"dir": "client"|"server", "event": {...}}`."""

    def __init__(self, path: Path) -> None:
        self.file = path.open("w", encoding="utf-8")

    def write(self, side: str, frame: str | bytes) -> None:
        """Appends a frame; what is not a JSON object is noted under `unreadable`."""
        event: Any = None
        if isinstance(frame, str):
            try:
                event = json.loads(frame)
            except (ValueError, RecursionError):
                event = None
        if side == "client":
            event = shortened(event)
        if not isinstance(event, dict):
            event = {"unreadable": type(frame).__name__, "length": len(frame)}
        self.file.write(json.dumps({"dir": side, "event": event}) + "\n")

    def close(self) -> None:
        self.file.close()


def shortened(value: Any) -> Any:
    """The event with over-long strings cut."""
    if not isinstance(value, dict):
        return value
    return {
        name: f"({len(text)} characters)" if isinstance(text, str) and len(text) > KEPT_CLIENT_TEXT else text
        for name, text in value.items()
    }


class Tap:
    """Listens on two ports of 127.0.0.1 (plain, TLS) in a thread of its own."""

    def __init__(self, upstream: str, recordings: Path, certificates: Path, label: str) -> None:
        self.upstream = upstream.replace("http://", "ws://")
        self.recordings = recordings
        self.label = label
        self.numbers = itertools.count(1)
        self.cert, key = self_signed(certificates)
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(self.cert, key)
        self.loop = asyncio.new_event_loop()
        self.started: Future[tuple[int, int]] = Future()
        self.stopping = asyncio.Event()
        self.thread = threading.Thread(target=self._run, name="tap", daemon=True)
        self.thread.start()
        plain, secure = self.started.result(timeout=10)
        self.ws = f"ws://127.0.0.1:{plain}"
        self.wss = f"wss://127.0.0.1:{secure}"

    def stop(self) -> None:
        """Closes what is open and ends the thread."""
        self.loop.call_soon_threadsafe(self.stopping.set)
        self.thread.join(timeout=10)

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_until_complete(self._serve())
        except BaseException as error:  # the starter must hear of a failure, whatever it is
            if not self.started.done():
                self.started.set_exception(error)
            raise

    async def _serve(self) -> None:
        options: dict[str, Any] = {
            "process_request": self._enter,
            "select_subprotocol": lambda connection, _: connection.upstream.subprotocol,
            "max_size": None,
            "ping_interval": None,
            "compression": None,
            "close_timeout": 2,
        }
        async with (
            serve(self._pass_on, "127.0.0.1", 0, **options) as plain,
            serve(self._pass_on, "127.0.0.1", 0, ssl=self.tls, **options) as secure,
        ):
            ports = [next(iter(server.sockets)).getsockname()[1] for server in (plain, secure)]
            self.started.set_result((ports[0], ports[1]))
            await self.stopping.wait()

    async def _enter(self, connection: ServerConnection, request: Request) -> Response | None:
        headers = [(n, request.headers[n]) for n in FORWARDED if n in request.headers and n != "user-agent"]
        offered = ", ".join(request.headers.get_all("Sec-WebSocket-Protocol"))
        try:
            connection.upstream = await connect(  # type: ignore[attr-defined]
                self.upstream + request.path,
                additional_headers=headers,
                user_agent_header=request.headers.get("User-Agent"),
                subprotocols=[p.strip() for p in offered.split(",")] if offered else None,  # type: ignore[misc]
                max_size=None,
                ping_interval=None,
                compression=None,
                close_timeout=2,
                proxy=None,
            )
        except InvalidStatus as refused:
            answer = refused.response
            body = bytes(answer.body or b"")
            kept = Headers({"Content-Type": "application/json", "Content-Length": str(len(body)), "Connection": "close"})
            return Response(answer.status_code, HTTPStatus(answer.status_code).phrase, kept, body)
        beta = "realtime=v1" in request.headers.get("OpenAI-Beta", "") or "openai-beta.realtime-v1" in offered
        shape = "beta" if beta else "ga"
        path = self.recordings / f"{self.label}-{next(self.numbers):04}.{shape}.jsonl"
        connection.recording = Recording(path)  # type: ignore[attr-defined]
        return None

    async def _pass_on(self, client: ServerConnection) -> None:
        upstream: ClientConnection = client.upstream  # type: ignore[attr-defined]
        recording: Recording = client.recording  # type: ignore[attr-defined]
        both = (
            asyncio.ensure_future(one_way(client, upstream, "client", recording)),
            asyncio.ensure_future(one_way(upstream, client, "server", recording)),
        )
        await asyncio.wait(both)
        recording.close()


async def one_way(
    source: ClientConnection | ServerConnection,
    target: ClientConnection | ServerConnection,
    side: str,
    recording: Recording,
) -> None:
    """Frames from `source` to `target`, and the way `source` ended."""
    try:
        while True:
            frame = await source.recv()
            recording.write(side, frame)
            await target.send(frame)
    except ConnectionClosed:
        pass
    code, reason = source.close_code or 1006, source.close_reason or ""
    if code == 1006:
        target.transport.abort()
    else:
        await target.close(1000 if code == 1005 else code, reason)
