#!/usr/bin/env bash
# A PostgreSQL server for the tests: the distribution's binaries, a cluster of its own in a temporary folder, a private
# socket and a free loopback port. It ends with the process it was started for, however that one ends.
#
#   test-postgres.sh nextest       the set-up script of .config/nextest.toml: one server for the whole run
#   test-postgres.sh start PID     a server for one process; prints the folder and the port
#   test-postgres.sh database FOLDER NAME   a database of the owner's
#   test-postgres.sh stop FOLDER   as a crash would; `again FOLDER` brings it back
set -euo pipefail

fail() { printf 'test-postgres: %s\n' "$*" >&2; exit 1; }

find_binaries() {
  local found
  found=$(find /usr/lib/postgresql /usr/pgsql-* /opt/homebrew/opt/postgresql* -maxdepth 3 -name initdb 2>/dev/null | sort -V | tail -n 1) || true
  [ -n "$found" ] || found=$(command -v initdb) || fail "PostgreSQL is missing; \`make test\` installs it, or: apt-get install postgresql"
  bin=$(dirname "$found")
}

# PostgreSQL refuses to run as root.
as_server() {
  if [ "$(id -u)" -ne 0 ]; then "$@"; return; fi
  local user=postgres
  id "$user" >/dev/null 2>&1 || user=nobody
  (cd / && setpriv --reuid="$(id -u "$user")" --regid="$(id -g "$user")" --clear-groups env HOME=/ "$@")
}

control() { as_server "$bin/pg_ctl" --pgdata="$folder/data" --silent "$@" >>"$folder/log" 2>&1 </dev/null; }

# A certificate that is nobody's authority: what a company's own server has, not the one a database makes by itself.
make_certificate() {
  cat >"$folder/request" <<'TEXT'
[req]
distinguished_name = name
x509_extensions = extensions
prompt = no
[name]
CN = localhost
[extensions]
basicConstraints = critical, CA:FALSE
subjectAltName = DNS:localhost, IP:127.0.0.1
TEXT
  as_server openssl req -x509 -new -nodes -days 30 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 \
    -config "$folder/request" -keyout "$folder/data/server.key" -out "$folder/data/server.crt" 2>>"$folder/log"
  # its key stays in the folder of the cluster, which others cannot enter
  as_server cat "$folder/data/server.crt" >"$folder/server.crt"
}

# Texts sort as people sort them, so that a table without the collation of SQLite is found out.
make_cluster() {
  folder=$(mktemp -d "${TMPDIR:-/tmp}/antiphon-postgres.XXXXXX")
  chmod 755 "$folder"
  touch "$folder/log"
  if [ "$(id -u)" -eq 0 ]; then chown -R "$(as_server id -u)" "$folder"; fi
  as_server "$bin/initdb" --pgdata="$folder/data" --username=postgres --auth-local=trust --auth-host=scram-sha-256 \
    --encoding=UTF8 --locale=C --locale-provider=icu --icu-locale=en --no-sync >>"$folder/log" 2>&1 ||
    { cat "$folder/log" >&2; fail "initdb failed"; }
  make_certificate
  as_server tee -a "$folder/data/postgresql.conf" >/dev/null <<TEXT
listen_addresses = '127.0.0.1'
unix_socket_directories = '$folder'
ssl = on
max_connections = 200
shared_buffers = 32MB
fsync = off
full_page_writes = off
default_transaction_isolation = 'repeatable read'
TEXT
}

# The port may be taken by the time the server starts: then the next one is tried.
start_on_a_free_port() {
  local tries
  for tries in {1..20}; do
    port=$((20000 + RANDOM % 12000))
    if control --options="-p $port" start; then printf '%s' "$port" >"$folder/port"; return; fi
  done
  cat "$folder/log" >&2
  fail "the server does not start ($tries tries)"
}

make_roles() {
  "$bin/psql" --quiet --no-psqlrc --host="$folder" --port="$port" --username=postgres --dbname=postgres >>"$folder/log" 2>&1 <<'TEXT'
CREATE ROLE antiphon_owner LOGIN PASSWORD 'owner-pass/word';
CREATE ROLE antiphon LOGIN PASSWORD 'pass/word@1';
TEXT
}

# Outlives this script and ends with PROCESS.
guard() {
  setsid bash "$0" guard "$1" "$folder" </dev/null >/dev/null 2>&1 &
}

start() {
  find_binaries
  make_cluster
  guard "$1"
  start_on_a_free_port
  make_roles
}

case "${1:-}" in
  nextest)
    start "$PPID"
    printf 'ANTIPHON_TEST_POSTGRES=%s %s\n' "$folder" "$port" >>"$NEXTEST_ENV"
    ;;
  start)
    start "$2"
    printf '%s %s\n' "$folder" "$port"
    ;;
  database)
    find_binaries
    "$bin/createdb" --host="$2" --port="$(cat "$2/port")" --username=postgres --owner=antiphon_owner "$3"
    ;;
  stop)
    find_binaries
    folder=$2
    control --mode=immediate stop
    ;;
  again)
    find_binaries
    folder=$2
    control --options="-p $(cat "$folder/port")" start
    ;;
  guard)
    find_binaries
    folder=$3
    tail --pid="$2" -f /dev/null
    control --mode=immediate stop || true
    case "$folder" in */antiphon-postgres.*) rm -rf -- "$folder" ;; esac
    ;;
  *) fail "usage: test-postgres.sh nextest | start PID | database FOLDER NAME | stop FOLDER | again FOLDER" ;;
esac
