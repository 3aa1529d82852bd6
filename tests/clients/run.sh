#!/usr/bin/env bash
# Real clients against a real server: the official and agents SDKs for Python and Node, clients of the older shape, and raw sockets.
# Called by `cargo xtask ci` with the server in ANTIPHON_BIN; by hand, after a debug build, without arguments.
# Never reaches the network, and stops whatever it started: each suite owns its server and ends it.
set -euo pipefail
cd "$(dirname "$0")"
repository=$(cd ../.. && pwd)

export ANTIPHON_BIN="${ANTIPHON_BIN:-$repository/target/debug/antiphon}"
[ -x "$ANTIPHON_BIN" ] || { echo "clients: no server at $ANTIPHON_BIN; build it, or set ANTIPHON_BIN" >&2; exit 1; }
# `make test` has the environment in PATH already; by hand the one that it made is next.
python -c 'import openai, pytest' 2>/dev/null || PATH="$repository/.venv/bin:$PATH"

# What is said over the sockets is kept for a look at a failure, and overwritten by the next run.
export ANTIPHON_RECORDINGS="${ANTIPHON_RECORDINGS:-$repository/target/client-recordings}"
mkdir -p "$ANTIPHON_RECORDINGS"
rm -f "$ANTIPHON_RECORDINGS"/*.ga.jsonl "$ANTIPHON_RECORDINGS"/*.beta.jsonl
export PYTHONDONTWRITEBYTECODE=1

failed=()
running=
# Whoever is told to stop ends its server first: python/live.py turns SIGTERM into an orderly end.
trap 'kill "$running" 2>/dev/null && wait "$running" || true; exit 143' INT TERM
step() {
  local name=$1
  shift
  echo "==> $name"
  "$@" &
  running=$!
  wait "$running" || failed+=("$name")
}

step "python clients" python -m pytest -q -p no:cacheprovider python
# Node 20 has its native WebSocket behind this flag; later ones take it without effect.
step "node clients" python python/live.py node --experimental-websocket --test --test-reporter=spec node/
"$ANTIPHON_BIN" asyncapi >"$ANTIPHON_RECORDINGS/asyncapi.json"
step "recordings" python python/validate.py "$ANTIPHON_RECORDINGS" "$ANTIPHON_RECORDINGS/asyncapi.json"
# Written by the stories of crates/gateway, which `cargo xtask ci` runs first.
if [ -n "${ANTIPHON_DOOR_RECORDINGS:-}" ]; then
  step "recordings of the doors" python python/doors.py "$ANTIPHON_DOOR_RECORDINGS" "$ANTIPHON_RECORDINGS/asyncapi.json"
else
  echo "clients: no ANTIPHON_DOOR_RECORDINGS: recordings of the other doors are judged by cargo xtask ci" >&2
fi

[ ${#failed[@]} -eq 0 ] || { echo "clients: failed: ${failed[*]} (recordings in $ANTIPHON_RECORDINGS)" >&2; exit 1; }
