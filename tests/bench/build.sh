# shellcheck shell=bash
# How the release profile is built for what measures it. Sourced after deploy/prepare.sh, not run.

# `rocksdb_of_the_tests`: where the library lies that the tests' build compiled from the version in
# Cargo.lock. Its C++ is compiled with the same options in both profiles.
rocksdb_of_the_tests() {
    local version library
    version=$(grep -A1 '^name = "librocksdb-sys"$' Cargo.lock | sed -n 's/^version = "\(.*\)"$/\1/p')
    for library in "$CARGO_TARGET_DIR"/debug/build/librocksdb-sys-*/out/librocksdb.a; do
        if grep -q "cargo_manifest_dir=.*/librocksdb-sys-$version\$" "${library%/out/*}/output" 2>/dev/null; then
            dirname "$library"
            return
        fi
    done
    return 1
}

# `build_release ARGUMENT…`: cargo build of the whole workspace, so that features are always the same
# and nothing is compiled twice.
build_release() {
    local library
    if [ -z "${ROCKSDB_LIB_DIR:-}" ] && library=$(rocksdb_of_the_tests); then
        say "RocksDB   $library (of the tests' build: the same machine code, not compiled again)"
        export ROCKSDB_LIB_DIR=$library ROCKSDB_STATIC=1
    fi
    cargo build --release --workspace --locked "$@"
}
