//! The ledger's formats held against other people's; the library itself is empty.
//!
//! * `tests/others/`: trees, proofs, tiles, notes and keys against three Rust implementations, in
//!   process: `cargo test -p interop --features others`;
//! * `prepare` and `check.go`: verifiers in Go and Python, which a test of whole nodes runs.
//!
//! Nothing builds on this.
