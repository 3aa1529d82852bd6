#!/usr/bin/env bash
# `make run`: set up, fetch the models, build the release binary with the small language model, serve.
# The server keeps its own defaults; every ANTIPHON_ variable that is set reaches it.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/setup.sh
need_server

cargo build --release --locked --package antiphon --features llama
server="${CARGO_TARGET_DIR:-target}/release/antiphon"
"$server" models pull

# The first key is made once and kept where only its owner reads it, so that the next `make run` shows the same one.
if [ -z "${ANTIPHON_BOOTSTRAP_API_KEY:-}" ]; then
  data="${ANTIPHON_DATA_DIR:-${XDG_DATA_HOME:-$HOME/.local/share}/antiphon}"
  file="$data/first-api-key"
  mkdir -p "$data"
  [ -s "$file" ] || (umask 077 && printf 'ap_local_%s' "$(od -An -N20 -tx1 /dev/urandom | tr -d ' \n')" >"$file")
  ANTIPHON_BOOTSTRAP_API_KEY=$(cat "$file")
  export ANTIPHON_BOOTSTRAP_API_KEY
fi

listen="${ANTIPHON_LISTEN:-${PORT:+0.0.0.0:$PORT}}"
cat <<TEXT

  API      http://${listen:-127.0.0.1:8080}/v1
  API key  $ANTIPHON_BOOTSTRAP_API_KEY

TEXT
# The server adds the address of the page to talk to.
exec "$server" serve
