#!/usr/bin/env bash
# The page at `/`: types, then the browser tests. Called by `cargo xtask ci` with ANTIPHON_BIN set.
set -euo pipefail
cd "$(dirname "$0")"
npx --no-install tsc --noEmit
exec node --test --test-reporter=spec e2e/
