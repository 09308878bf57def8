#!/bin/sh
# Builds the fuzz targets on a stable compiler and runs one of them; see README.md.
#
# Usage: fuzz/run.sh request|challenge|close [SECONDS]
set -eu
target=${1:?usage: fuzz/run.sh request|challenge|close [SECONDS]}
seconds=${2:-60}
cd "$(dirname "$0")"
host=$(rustc -vV | sed -n 's/^host: //p')
# What `cargo fuzz` passes, without the address sanitizer, which needs a nightly compiler.
RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1"
export RUSTFLAGS
# With a target of their own, build scripts are built without these flags.
cargo build --release --target "$host" --bin "$target"
mkdir -p "corpus/$target" "artifacts/$target"
exec "target/$host/release/$target" -max_total_time="$seconds" -max_len=2048 -dict=dictionary.txt \
    -artifact_prefix="artifacts/$target/" "corpus/$target" "seeds/$target"
