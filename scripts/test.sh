#!/usr/bin/env bash
# `make test`: set up everything the checks and tests need, then run them all. CI runs exactly this.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/setup.sh
need_server
# redis-tools holds the Redis server under another name; redis-server would start a service
need_packages chromium shellcheck redis-tools sqlite3 util-linux
need_postgres
need_nextest
need_node
need_python scripts/requirements.txt tests/clients/python/requirements.txt
need_npm tests/clients/node portal

# One models folder for the server, its tests and the client tests, outside target/ so that a clean keeps it.
export ANTIPHON_MODELS_DIR="${ANTIPHON_MODELS_DIR:-${XDG_DATA_HOME:-$HOME/.local/share}/antiphon/models}"
# A build that runs once gains nothing from incremental files.
[ -z "${CI:-}" ] || export CARGO_INCREMENTAL=0

exec cargo xtask ci
