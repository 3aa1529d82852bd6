#!/usr/bin/env bash
# Chat rooms of this server and of the usual Node server, one after the other with the same Redis and the same load. By hand, after
# `cargo build --release -p antiphon -p loadgen` and `npm ci` in this folder; needs redis-server. Close other programs first.
set -euo pipefail
cd "$(dirname "$0")"
bin="${CARGO_TARGET_DIR:-../../../target}/release"
work=$(mktemp -d)
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
redis_port=$(free_port)
port=$(free_port)
export JWT_SECRET="a-secret-of-the-bench-0123456789" REDIS_URL="redis://127.0.0.1:$redis_port"
server=
redis=
stop() {
  for process in $server; do
    if kill "$process" 2>/dev/null; then wait "$process" || true; fi
  done
  server=
}
trap 'stop; kill "$redis" 2>/dev/null || true; rm -rf "$work"' EXIT

redis-server --port "$redis_port" --bind 127.0.0.1 --save "" --appendonly no --dir "$work" >/dev/null &
redis=$!

answers() { # PATH
  curl -fsS -o /dev/null --retry 60 --retry-delay 1 --retry-connrefused "http://127.0.0.1:$port$1"
}

ours() {
  ANTIPHON_PIPELINE=scripted ANTIPHON_LISTEN="127.0.0.1:$port" ANTIPHON_DATA_DIR="$work/data" LOG_LEVEL=warn \
    ANTIPHON_CHAT__KEEP=false ANTIPHON_CHAT__MESSAGES_PER_MINUTE=0 ANTIPHON_CHAT__SEND_QUEUE_MESSAGES=4096 \
    ANTIPHON_CHAT__HARD_CONNECTIONS=20000 ANTIPHON_CHAT__PRESENCE=untold "$bin/antiphon" serve &
  server=$!
  answers /ready
}

peer() {
  PORT="$port" NODE_ENV=production node peer.js >/dev/null &
  server=$!
  answers /
}

load() { # NAME PATH ARGUMENTS…
  local name=$1 path=$2
  shift 2
  printf '\n## %s: loadgen rooms %s\n' "$name" "$*"
  "$bin/loadgen" --url "ws://127.0.0.1:$port" --server-pid "$server" rooms --path "$path" "$@"
}

printf '# %s, %s cores, node %s\n' "$(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1)" "$(nproc)" "$(node --version)"
for load in "--rooms 1 --listeners 1000 --messages 500" "--rooms 1000 --listeners 5 --messages 50" \
  "--rooms 1 --listeners 1000 --messages 100 --per-second 20" "--rooms 1000 --listeners 5 --messages 0"; do
  # shellcheck disable=SC2086 # words
  { ours; load ours /chat $load; stop; peer; load "node, ws and ioredis" / $load; stop; }
done
