//! Tests that belong to no single crate; the library itself is empty.
//!
//! * `tests/structure/`: the rules of the repository (layers, sizes, words, one cryptographic back
//!   end, a named test for every invariant, the shipped samples), each shown to be able to fail;
//! * the other files of `tests/`: whole nodes on a real broker, through their gRPC services;
//! * `run`: every check and every test, as continuous integration runs them;
//! * `bench/`: Caseledger measured against its peers, a crate of its own;
//! * `fuzz/`: every parser of the ledger under a fuzzer that is guided by coverage;
//! * `interop/`: the ledger's formats held against other people's implementations;
//! * `python_client/`: runs the README's Python example as it stands there.
//!
//! Not the place for a crate's own tests: those sit beside its sources. Nothing builds on this.
