#!/usr/bin/env bash
# How long the last 100 items of a conversation take to read when PostgreSQL has ROWS of them (default 10,000,000): a server
# of its own with the distribution's defaults, the tables of this tree, random conversations. Needs some 0.6 kB of disk a row
# in FOLDER, which is removed afterwards.
#
#   scripts/measure-items.sh [ROWS] [FOLDER]
set -euo pipefail

rows=${1:-10000000}
parent=${2:-${TMPDIR:-/tmp}}
root=$(cd "$(dirname "$0")/.." && pwd)
bin=$(dirname "$(find /usr/lib/postgresql -name initdb | sort -V | tail -n 1)")
folder=$(mktemp -d "$parent/antiphon-items.XXXXXX")
port=$((20000 + RANDOM % 12000))

as_server() { (cd / && setpriv --reuid="$(id -u postgres)" --regid="$(id -g postgres)" --clear-groups env HOME=/ "$@"); }
sql() { as_server "$bin/psql" --no-psqlrc --quiet --tuples-only --no-align --set=ON_ERROR_STOP=1 --host="$folder" --port="$port" --username="$1" --dbname=items "${@:2}"; }
end() {
  as_server "$bin/pg_ctl" --pgdata="$folder/data" --silent --mode=immediate stop || true
  case "$folder" in */antiphon-items.*) rm -rf -- "$folder" ;; esac
}
trap end EXIT

chown postgres "$folder"
as_server "$bin/initdb" --pgdata="$folder/data" --username=postgres --auth=trust --encoding=UTF8 --no-sync >/dev/null
as_server "$bin/pg_ctl" --pgdata="$folder/data" --silent --log="$folder/log" \
  --options="-p $port -c listen_addresses= -c unix_socket_directories=$folder -c max_wal_size=256MB" start
as_server "$bin/createdb" --host="$folder" --port="$port" --username=postgres items
sql postgres --command "CREATE ROLE antiphon LOGIN"
sql postgres --file - <"$root/crates/store/migrations/postgres/0010_conversations.sql" >/dev/null
sql postgres --command "GRANT SELECT ON sessions, conversation_items TO antiphon"

# 100 tenants, conversations of 100 items, over three months; the keys that a session's rows refer to are there
sql postgres >/dev/null <<SQL
SET session_replication_role = replica;
SELECT antiphon_make_months('2026-09-01', 2);
INSERT INTO sessions (tenant, id, started_at, project, model, settings, revision)
SELECT 'tenant_' || s % 100, 'sess_' || substr(md5(s::text), 1, 21), '2026-09-01Z'::timestamptz + s * interval '90 days' / ($rows / 100),
  'default', 'm', '{}', 1 FROM generate_series(1, $rows / 100) s;
INSERT INTO conversation_items (tenant, session_at, session, id, position, revision, created_at, content)
SELECT 'tenant_' || s % 100, '2026-09-01Z'::timestamptz + s * interval '90 days' / ($rows / 100), 'sess_' || substr(md5(s::text), 1, 21),
  'item_' || substr(md5(s::text || n::text), 1, 21), n::bigint << 32, n + 1,
  '2026-09-01Z'::timestamptz + s * interval '90 days' / ($rows / 100), decode(repeat(md5(s::text || n::text), 3), 'hex')
FROM generate_series(1, $rows / 1000) part CROSS JOIN generate_series(1, 100) n CROSS JOIN LATERAL (
  -- ten conversations at the same time: their rows lie between each other
  SELECT part * 10 - k AS s FROM generate_series(0, 9) k ORDER BY random()) talking;
SQL
sql postgres --command "VACUUM (FREEZE, ANALYZE) conversation_items" --command "VACUUM (ANALYZE) sessions"
sql postgres --command "SELECT count(*) || ' rows, ' || pg_size_pretty(pg_database_size('items')) FROM conversation_items"

cat >"$folder/read.sql" <<SQL
\\set s random(1, $rows / 100)
BEGIN READ ONLY;
SELECT set_config('antiphon.tenant', 'tenant_' || (:s)::int % 100, true) AS tenant, 'sess_' || substr(md5((:s)::int::text), 1, 21) AS session \\gset
SELECT started_at FROM sessions WHERE tenant = :tenant AND id = :session \\gset
SELECT id, position, revision, created_at, content FROM conversation_items
WHERE tenant = :tenant AND session_at = :started_at AND session = :session ORDER BY position DESC, id DESC LIMIT 100;
COMMIT;
SQL
measure() {
  chmod 755 "$folder/read.sql"
  (cd "$folder" && as_server bash -c "cd '$folder' && '$bin/pgbench' --no-vacuum --protocol=extended --client=1 --transactions=$2 --log --log-prefix='$folder/times' \
    --host='$folder' --port=$port --username=antiphon --file='$folder/read.sql' items" >/dev/null)
  printf '%s: ' "$1"
  cat "$folder"/times.* | awk '{print $3}' | sort -n | awk '{t[NR]=$1} END {printf "%d reads, p50 %.2f ms, p95 %.2f ms, p99 %.2f ms, longest %.2f ms\n", NR, t[int(NR*.5)+1]/1000, t[int(NR*.95)+1]/1000, t[int(NR*.99)+1]/1000, t[NR]/1000}'
  rm -f "$folder"/times.*
}
# cold: the server restarted, and its files forgotten by the system's cache
as_server "$bin/pg_ctl" --pgdata="$folder/data" --silent --mode=fast stop
find "$folder/data/base" -type f -exec dd if={} iflag=nocache count=0 status=none \;
as_server "$bin/pg_ctl" --pgdata="$folder/data" --silent --log="$folder/log" start \
  --options="-p $port -c listen_addresses= -c unix_socket_directories=$folder"
measure "from a cold disk" 500
measure "as it comes" 5000
