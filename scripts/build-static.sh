#!/bin/sh
# Builds the program that the image holds: a release without a shared library, not even the C library, so that it runs in an
# empty image. Takes minutes. Says where it is.
set -eu
cd "$(dirname "$0")/.."
target=$(rustc --print host-tuple)
# Because the target is named, the flag holds for the program alone. Macros are libraries that the compiler loads, and those
# cannot be static.
RUSTFLAGS="-C target-feature=+crt-static" cargo build --release --locked --bin kubelend --target "$target"
binary=${CARGO_TARGET_DIR:-target}/$target/release/kubelend
if readelf --dynamic "$binary" | grep NEEDED; then
    echo "build-static: $binary wants these libraries" >&2
    exit 1
fi
echo "$binary"
