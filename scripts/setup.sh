#!/usr/bin/env bash
# Makes sure that the machine has what the build and the testbed need, and says what is missing where it cannot install it.
# Quiet and quick when everything is there.
set -euo pipefail

# Debian package, and the file or command that shows it is there.
missing=()
need() {
    local package=$1
    shift
    for sign in "$@"; do
        if command -v "$sign" >/dev/null 2>&1 || compgen -G "$sign" >/dev/null; then return; fi
    done
    missing+=("$package")
}
need gcc cc gcc clang
need chromium chromium chromium-browser google-chrome
need chromium-driver chromedriver
need postgresql '/usr/lib/postgresql/*/bin/initdb' initdb
need npm npm
# Debian's python3 alone cannot make virtual environments.
python_works() {
    python3 -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 10))' >/dev/null 2>&1
}
python_works || missing+=(python3-venv)
need fonts-dejavu-core '/usr/share/fonts/truetype/*' '/usr/share/fonts/*/*.ttf' '/usr/share/fonts/*/*.otf'

as_root=()
if [ "$(id -u)" != 0 ]; then as_root=(sudo -n); fi

can_install() { command -v apt-get >/dev/null && { [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; }; }
# Pages are looked at with the browser's engine alone where there is a package of it, which is quicker; else with the whole browser.
want_shell() {
    if ! command -v chromium-headless-shell chrome-headless-shell >/dev/null && apt-cache show chromium-headless-shell >/dev/null 2>&1
    then missing+=(chromium chromium-driver chromium-headless-shell); fi
}
if can_install; then want_shell; fi

if [ ${#missing[@]} -gt 0 ]; then
    if can_install; then
        echo "set-up: installing ${missing[*]} (1 to 3 minutes)"
        # PostgreSQL is wanted as a program only: no server of the system's own is started or set up.
        if [ ! -d /etc/postgresql ]; then
            "${as_root[@]}" mkdir -p /etc/postgresql-common/createcluster.d
            echo 'create_main_cluster = false' |
                "${as_root[@]}" tee /etc/postgresql-common/createcluster.d/kubelend.conf >/dev/null
        fi
        "${as_root[@]}" apt-get update -qq </dev/null
        # Before that a fresh system knows of no package.
        want_shell
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
            apt-get install -y -qq --no-install-recommends "${missing[@]}" </dev/null >/dev/null
    else
        echo "set-up: please install what is missing, under the names that Debian has for it: ${missing[*]}" >&2
        exit 1
    fi
fi

if ! python_works; then
    echo "set-up: please install Python 3.10 or later with its module venv" >&2
    exit 1
fi
# Go 1.21 and later fetch the version that testbed/go.mod asks for by themselves.
if ! command -v go >/dev/null; then
    echo "set-up: please install Go 1.26.4 or later: https://go.dev/dl" >&2
    exit 1
fi
if ! command -v cargo >/dev/null; then
    echo "set-up: please install Rust with rustup: https://rustup.rs" >&2
    exit 1
fi

# A full disk fails tests in ways that do not look like one: say it beforehand.
free_megabytes() { df --output=avail -m "$1" 2>/dev/null | tail -n 1 | tr -d ' '; }
for place in . "${TMPDIR:-/tmp}"; do
    free=$(free_megabytes "$place")
    if [ -n "$free" ] && [ "$free" -lt 4000 ]; then
        echo "set-up: $free MB are free in $place; a build and all tests want 4000 MB there" >&2
    fi
done
