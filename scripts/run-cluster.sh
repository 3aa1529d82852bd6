#!/usr/bin/env bash
# `make run-cluster`: a small fleet on this machine, to try what several servers do together. Redis and PostgreSQL of its
# own, two gateways, one worker of each kind. It ends with Ctrl-C and leaves nothing behind.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/setup.sh
need_server
# redis-tools holds the Redis server under another name; redis-server would start a service
need_packages redis-tools util-linux curl
need_postgres

cargo build --release --locked --package antiphon --features llama
server="$PWD/${CARGO_TARGET_DIR:-target}/release/antiphon"
case "${CARGO_TARGET_DIR:-}" in /*) server="$CARGO_TARGET_DIR/release/antiphon" ;; esac
export ANTIPHON_MODELS_DIR="${ANTIPHON_MODELS_DIR:-${XDG_DATA_HOME:-$HOME/.local/share}/antiphon/models}"
"$server" models pull

folder=$(mktemp -d "${TMPDIR:-/tmp}/antiphon-cluster.XXXXXX")
pids=()
keep=''
finish() {
  trap '' INT TERM
  printf '\nstopping\n'
  # gateways and workers end gently; Redis, which was first, goes last
  local number
  for ((number = ${#pids[@]} - 1; number >= 1; number--)); do kill "${pids[number]}" 2>/dev/null || true; done
  for ((number = ${#pids[@]} - 1; number >= 1; number--)); do wait "${pids[number]}" 2>/dev/null || true; done
  if [ ${#pids[@]} -gt 0 ]; then
    kill "${pids[0]}" 2>/dev/null || true
    wait "${pids[0]}" 2>/dev/null || true
  fi
  if [ -n "$keep" ]; then printf 'the logs are in %s\n' "$folder"; return; fi
  case "$folder" in */antiphon-cluster.*) rm -rf -- "$folder" ;; esac
}
trap finish EXIT
trap 'keep=; exit 0' INT TERM

# The first free port from $1 on.
free_port() {
  local port=$1
  while (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done
  printf '%s' "$port"
}

# Starts $2… with its log in the folder under the name $1; in a session of its own, so that Ctrl-C is told to this script alone.
start() {
  local name=$1
  shift
  setsid "$@" >"$folder/$name.log" 2>&1 &
  pids+=($!)
  printf '  %-12s process %s, log %s\n' "$name" "$!" "$folder/$name.log"
}

# Waits until http://127.0.0.1:$2 is ready; models take their time on the first start.
ready() {
  local tries
  for tries in {1..240}; do
    if curl --silent --fail --output /dev/null "http://127.0.0.1:$2/ready"; then return; fi
    kill -0 "${pids[-1]}" 2>/dev/null || break
    sleep 0.5
  done
  keep=yes
  tail -n 20 "$folder/$1.log" >&2
  printf '%s did not get ready (%s tries)\n' "$1" "$tries" >&2
  exit 1
}

redis=$(command -v redis-server || command -v redis-check-rdb)
redis_port=$(free_port 16379)
# the same file under its own name: it looks at that to know what it is
ln -s "$redis" "$folder/redis-server"
printf '\n'
start redis "$folder/redis-server" --bind 127.0.0.1 --port "$redis_port" --save '' --dir "$folder"
# ends with this script, however that ends
read -r postgres postgres_port < <(bash scripts/test-postgres.sh start $$)
bash scripts/test-postgres.sh database "$postgres" antiphon
printf '  %-12s port %s, folder %s\n' postgresql "$postgres_port" "$postgres"

key="ap_cluster_$(od -An -N20 -tx1 /dev/urandom | tr -d ' \n')"
export ANTIPHON_BOOTSTRAP_API_KEY="$key" REDIS_URL="redis://127.0.0.1:$redis_port"
export DATABASE_URL="postgres://antiphon:pass%2Fword%401@127.0.0.1:$postgres_port/antiphon"
export DATABASE_OWNER_URL="postgres://antiphon_owner:owner-pass%2Fword@127.0.0.1:$postgres_port/antiphon"
# of the cluster's own: nothing is mixed with the data of `make run`
export ANTIPHON_DATA_DIR="$folder/data"

worker_ports=()
for kind in stt tts llm; do
  port=$(free_port $((18090 + ${#worker_ports[@]})))
  worker_ports+=("$port")
  start "worker-$kind" env ANTIPHON_PIPELINE=local "$server" worker "$kind" --listen "127.0.0.1:$port"
  ready "worker-$kind" "$port"
done
gateway_ports=() gateways=()
for number in 1 2; do
  port=$(free_port $((8080 + ${#gateway_ports[@]})))
  gateway_ports+=("$port")
  start "gateway-$number" env ANTIPHON_PIPELINE=workers ANTIPHON_LISTEN="127.0.0.1:$port" "$server" serve
  gateways+=("${pids[-1]}")
  ready "gateway-$number" "$port"
done
one="http://127.0.0.1:${gateway_ports[0]}" two="http://127.0.0.1:${gateway_ports[1]}"

cat <<TEXT

  Two gateways   $one and $two
  API key        $key
  Numbers        $one/metrics, workers at ports ${worker_ports[*]}

Try, in another terminal:

  # a spoken question and its spoken answer, by way of the workers
  $server talk --in tests/clients/speech.wav --out answer.wav --url $two --key $key

  # a client secret made at one gateway opens one connection, at either
  curl -s -X POST $one/v1/realtime/client_secrets -H 'Authorization: Bearer $key' -H 'Content-Type: application/json' -d '{}'

  # a customer, whose key works at both and stops working at both
  curl -s -X POST $one/v1/admin/tenants -H 'Authorization: Bearer $key' -H 'Content-Type: application/json' -d '{"id":"acme","name":"Acme"}'
  curl -s -X POST $two/v1/admin/tenants/acme/suspend -H 'Authorization: Bearer $key'

  # a worker that dies: start a second one for its work, kill the first (its process is above), talk on
  REDIS_URL=$REDIS_URL ANTIPHON_PIPELINE=local ANTIPHON_MODELS_DIR=$ANTIPHON_MODELS_DIR $server worker tts --listen 127.0.0.1:$(free_port 18190)

Ctrl-C ends everything and removes it.
TEXT
# workers may be killed; the others may not
wait -n "${pids[0]}" "${gateways[@]}" || true
keep=yes
printf '\na gateway or Redis has ended, and with it the cluster\n'
