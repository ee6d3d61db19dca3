#!/usr/bin/env bash
# Licences, banned crates and sources of the dependencies, as deny.toml has them. Where cargo-deny is installed, it does the
# work, and checks advisories too when their database can be reached.
set -euo pipefail
cd "$(dirname "$0")/.."

# Before 0.18 it reads another deny.toml.
version=$(cargo deny --version 2>/dev/null | grep -oE '[0-9]+\.[0-9]+' | head -1 || true)
if [ -n "$version" ] && [ "$(printf '0.18\n%s\n' "$version" | sort -V | head -1)" = 0.18 ]; then
    cargo deny --workspace check licenses bans sources
    if cargo deny fetch db 2>/dev/null; then
        cargo deny --workspace check advisories
    else
        echo "deny: the database of advisories cannot be reached; not checked"
    fi
else
    cargo run --quiet --locked -p testbed -- deny
fi
