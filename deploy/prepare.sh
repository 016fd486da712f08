# shellcheck shell=bash
# What the quickstart and the tests both need before they can build. Sourced, not run.
#
# Sets and exports CARGO_TARGET_DIR, CASELEDGER_CACHE and CASELEDGER_NATS_SERVER. Both callers build
# the same profile into the same folder, so that RocksDB (minutes of C++) is compiled once.

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export CASELEDGER_CACHE=${CASELEDGER_CACHE:-$HOME/.cache/caseledger}
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$CASELEDGER_CACHE/target}

say() { printf '%s\n' "$*"; }
die() {
    printf '\n%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 1
}

# `has_libclang`: RocksDB's bindings are generated at build time and load libclang for it. The C++
# library libclang-cpp.so, which Debian has without it, does not do.
has_libclang() {
    [ -n "${LIBCLANG_PATH:-}" ] && return 0
    local folder
    for folder in '/usr/lib/llvm*/lib' '/usr/lib/*' /usr/lib; do
        compgen -G "$folder/libclang.so*" >/dev/null && return 0
        compgen -G "$folder/libclang-[0-9]*.so*" >/dev/null && return 0
    done
    return 1
}

# `install_packages WHY PACKAGE…`: from Debian or Ubuntu, saying so; asks nothing.
install_packages() {
    local why=$1
    shift
    command -v apt-get >/dev/null ||
        die "$why: install the equivalents of '$*' with this system's package manager and try again"
    [ "$(id -u)" -eq 0 ] || die "$why: run 'sudo apt-get install $*' and try again"
    say "installing $* with apt-get ($why)"
    if ! { apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -q -y \
        -o DPkg::Lock::Timeout=300 install --no-install-recommends "$@"; } >"$CASELEDGER_CACHE/apt.log" 2>&1; then
        tail -n 15 "$CASELEDGER_CACHE/apt.log" >&2
        die "apt-get could not install $*"
    fi
}

prepare() {
    mkdir -p "$CASELEDGER_CACHE"
    # rustup's usual place, where a shell that was open before its installation does not look.
    command -v cargo >/dev/null || PATH=$PATH:$HOME/.cargo/bin
    command -v cargo >/dev/null || die "needs Rust 1.95 or newer: install it with rustup and try again"
    local missing=()
    command -v g++ >/dev/null || missing+=(g++)
    command -v python3 >/dev/null || missing+=(python3)
    has_libclang || missing+=(libclang-dev clang)
    [ ${#missing[@]} -eq 0 ] || install_packages "needed to build RocksDB and its bindings" "${missing[@]}"
    if [ -z "${CASELEDGER_NATS_SERVER:-}" ]; then
        CASELEDGER_NATS_SERVER=$("$repository/deploy/fetch-tool" nats-server) ||
            die "no nats-server: see above, or name one in CASELEDGER_NATS_SERVER"
    fi
    export CASELEDGER_NATS_SERVER
    say "broker    $CASELEDGER_NATS_SERVER"
    say "build in  $CARGO_TARGET_DIR"
}
