#!/usr/bin/env bash
# `make bench`: the numbers of docs/performance.md on this machine. Starts servers of its own on a free loopback port and
# stops them; nothing else is touched. Takes about a quarter of an hour. Close other programs first: the numbers are wall-clock time.
# `make bench CLIP=some.wav` says another question.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/setup.sh
need_server

cargo build --release --locked --package antiphon --package loadgen --features antiphon/llama
bin="${CARGO_TARGET_DIR:-target}/release"
"$bin/antiphon" models pull

clip="${CLIP:-portal/public/sample.wav}"
work=$(mktemp -d)
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
server=
stop() {
  if [ -n "$server" ] && kill "$server" 2>/dev/null; then wait "$server" || true; fi
  server=
}
trap 'stop; rm -rf "$work"' EXIT

# serve PIPELINE: a server with a fresh database, ready to answer.
serve() {
  stop
  rm -rf "$work/data"
  export ANTIPHON_API_KEY="ap_bench_$RANDOM$RANDOM$RANDOM$RANDOM"
  ANTIPHON_MODELS_DIR="${ANTIPHON_MODELS_DIR:-${XDG_DATA_HOME:-$HOME/.local/share}/antiphon/models}" \
    ANTIPHON_PIPELINE="$1" ANTIPHON_LISTEN="127.0.0.1:$port" ANTIPHON_DATA_DIR="$work/data" \
    ANTIPHON_BOOTSTRAP_API_KEY="$ANTIPHON_API_KEY" LOG_LEVEL=warn "$bin/antiphon" serve 2>"$work/log" &
  server=$!
  local ready="import urllib.request as r; r.urlopen('http://127.0.0.1:$port/ready', timeout=5)"
  until python3 -c "$ready" 2>/dev/null; do
    if ! kill -0 "$server" 2>/dev/null; then
      cat "$work/log" >&2
      fail "the server ended before it was ready"
    fi
    sleep 0.1
  done
}

load() {
  printf '\n## loadgen %s\n' "$*"
  "$bin/loadgen" --url "ws://127.0.0.1:$port" --server-pid "$server" "$@"
}

printf '# %s, %s cores, %s\n' "$(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1)" "$(nproc)" "$(uname -r)"
printf '\n# real models\n'
serve local
load talk --wav "$clip" --calls 1 --turns 20
load talk --wav "$clip" --calls 4 --turns 5
printf '\n# scripted models with the delays of good providers: speech to text 80 ms, first token 120 ms, then one every 10 ms, voice 80 ms\n'
export ANTIPHON_SCRIPTED__STT_MS=80 ANTIPHON_SCRIPTED__FIRST_TOKEN_MS=120 ANTIPHON_SCRIPTED__TOKEN_MS=10 ANTIPHON_SCRIPTED__TTS_MS=80
reply='say: It is sunny today, with a light wind from the west.'
serve scripted
for calls in 1 16 100; do load talk --wav "$clip" --calls "$calls" --turns 5 --instructions "$reply"; done
printf '\n# the same, nothing prepared in advance: every stage after the one before it\n'
ANTIPHON_SESSIONS__SPECULATE=false serve scripted
for calls in 1 16 100; do load talk --wav "$clip" --calls "$calls" --turns 5 --instructions "$reply"; done
unset ANTIPHON_SCRIPTED__STT_MS ANTIPHON_SCRIPTED__FIRST_TOKEN_MS ANTIPHON_SCRIPTED__TOKEN_MS ANTIPHON_SCRIPTED__TTS_MS
printf '\n# interruptions: audio handed out at the speed of speech\n'
ANTIPHON_SCRIPTED__SPEECH_PACE_PERCENT=100 serve scripted
load barge-in --wav "$clip" --turns 10 --instructions long
printf '\n# scripted models without delays: the server alone\n'
serve scripted
load idle --sockets 1000
load storm
known=$(ANTIPHON_DATA_DIR="$work/data" "$bin/antiphon" keys create --name bench --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["key"])')
load refuse --known "$known"
printf '\n# the end of a server whose callers are being answered\n'
export ANTIPHON_SCRIPTED__STT_MS=80 ANTIPHON_SCRIPTED__FIRST_TOKEN_MS=120 ANTIPHON_SCRIPTED__TOKEN_MS=10 ANTIPHON_SCRIPTED__TTS_MS=80
ANTIPHON_SCRIPTED__SPEECH_PACE_PERCENT=100 serve scripted
load drain --wav "$clip" --calls 50 --turns 2
