#!/usr/bin/env bash
# Installs what `make run` and `make test` need and this machine lacks. Sourced by run.sh and test.sh; asks dpkg first,
# so a second run takes a second. It never upgrades what is there and never touches anything outside the
# distribution's packages, cargo's bin folder and this repository.

say() { printf '%s\n' "$*" >&2; }
fail() { say "antiphon: $*"; exit 1; }

# Debian packages: everything named that is not installed yet, in one call.
need_packages() {
  command -v dpkg >/dev/null || { need_commands "$@"; return; }
  local missing=() package
  for package in "$@"; do
    dpkg -s "$package" 2>/dev/null | grep -q '^Status: install ok installed' || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return
  local root=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || fail "please install these packages and try again: ${missing[*]}"
    root=(sudo)
  fi
  say "==> installing ${missing[*]}"
  local install=("${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}")
  "${install[@]}" >/dev/null 2>&1 || { "${root[@]}" apt-get update -q >&2 && "${install[@]}" >&2; } ||
    fail "apt-get could not install: ${missing[*]}"
}

# On a system without dpkg nothing is installed; what cannot be found is named once, by its Debian name.
need_commands() {
  local missing=() package
  for package in "$@"; do
    case "$package" in
      build-essential) command -v cc >/dev/null && command -v make >/dev/null || missing+=("a C compiler") ;;
      cmake | clang | chromium | sqlite3) command -v "$package" >/dev/null || missing+=("$package") ;;
      redis-tools) command -v redis-server >/dev/null && command -v redis-cli >/dev/null || missing+=("redis") ;;
      util-linux) command -v setpriv >/dev/null || missing+=("setpriv (util-linux)") ;;
      pkg-config) command -v pkg-config >/dev/null || command -v pkgconf >/dev/null || missing+=("pkg-config") ;;
    esac
  done
  [ ${#missing[@]} -eq 0 ] || fail "please install and try again: ${missing[*]} (and libespeak-ng, libclang)"
}

# The compiler that rust-toolchain.toml names, or an installed one of at least the same version.
need_rust() {
  command -v cargo >/dev/null || PATH="$HOME/.cargo/bin:$PATH"
  command -v cargo >/dev/null || fail "Rust is missing; install it from https://rustup.rs and try again"
  local wanted have
  wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
  if ! cargo --version >/dev/null 2>&1; then
    have=$(RUSTUP_TOOLCHAIN=stable cargo --version 2>/dev/null | cut -d' ' -f2) ||
      fail "the compiler of rust-toolchain.toml is not installed and cannot be fetched; run: rustup toolchain install $wanted"
    export RUSTUP_TOOLCHAIN=stable
  fi
  have=$(cargo --version | cut -d' ' -f2)
  [ "$(printf '%s\n%s\n' "$wanted" "$have" | sort -V | head -n 1)" = "$wanted" ] ||
    fail "Rust $have is older than $wanted; run: rustup update"
}

need_node() {
  if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
    fail "Node.js 20 or later with npm is missing; it runs the client and browser tests"
  fi
  local major
  major=$(node -p 'process.versions.node.split(".")[0]')
  [ "$major" -ge 20 ] || fail "Node.js $(node --version) is older than 20"
}

# PostgreSQL's programs for the tests, which start clusters of their own. The distribution's package would make and start
# one more when it is installed: it is told not to, and told nothing any more afterwards.
need_postgres() {
  compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null && return
  command -v dpkg >/dev/null || { command -v initdb >/dev/null || fail "please install PostgreSQL 15 or later"; return; }
  need_packages postgresql-common openssl
  local settings=/etc/postgresql-common/createcluster.conf root=()
  [ "$(id -u)" -eq 0 ] || root=(sudo)
  "${root[@]}" pg_conftool "$settings" set create_main_cluster off
  need_packages postgresql
  "${root[@]}" pg_conftool "$settings" remove create_main_cluster
}

need_nextest() {
  cargo nextest --version >/dev/null 2>&1 && return
  say "==> installing cargo-nextest, the test runner (a few minutes, once)"
  cargo install --locked --quiet cargo-nextest@0.9.143 || fail "cargo could not install cargo-nextest"
}

# One Python environment for the client tests and the spelling check, rebuilt when the pinned lists change.
need_python() {
  command -v python3 >/dev/null || need_packages python3
  python3 -c 'import ensurepip' 2>/dev/null || need_packages python3-venv
  local stamp
  stamp=$(cat "$@" <(python3 --version) | sha256sum)
  if [ "$(cat .venv/stamp 2>/dev/null)" != "$stamp" ]; then
    say "==> python packages of the tests"
    rm -rf .venv
    python3 -m venv .venv
    local list
    for list in "$@"; do .venv/bin/pip install --quiet --disable-pip-version-check -r "$list"; done
    printf '%s' "$stamp" >.venv/stamp
  fi
  PATH="$PWD/.venv/bin:$PATH"
}

# `npm ci` in each folder whose lock file changed since the last time.
need_npm() {
  local folder stamp
  for folder in "$@"; do
    stamp=$(sha256sum <"$folder/package-lock.json")
    [ "$(cat "$folder/node_modules/.stamp" 2>/dev/null)" = "$stamp" ] && continue
    say "==> node packages of $folder"
    (cd "$folder" && npm ci --no-audit --no-fund --loglevel=error >&2) || fail "npm ci failed in $folder"
    printf '%s' "$stamp" >"$folder/node_modules/.stamp"
  done
}

# What the server is built with, and the phoneme library that it loads at run time.
need_server() {
  need_packages build-essential cmake clang libclang-dev pkg-config libespeak-ng1 espeak-ng-data
  need_rust
}
