//! The rules of the repository as ordinary tests.
//!
//! Every rule is a function from facts (manifests, file names, file contents) to a list of
//! violations. One test holds it against the repository, another against made-up facts that break
//! it, so that no rule can quietly stop looking.

// `cfg(test)` is always so here; it tells clippy that helpers may unwrap like the tests they serve.
#[cfg(test)]
mod files;
#[cfg(test)]
mod invariants;
#[cfg(test)]
mod layers;
#[cfg(test)]
mod linked;
#[cfg(test)]
mod manifests;
#[cfg(test)]
mod papers;
#[cfg(test)]
mod repository;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod unaudited;
#[cfg(test)]
mod words;

/// Fails with one line a violation.
#[track_caller]
fn assert_none(rule: &str, violations: &[String]) {
    assert!(violations.is_empty(), "{rule}:\n  {}\n", violations.join("\n  "));
}

/// The counterpart for made-up facts: the rule must have seen exactly this many violations, and
/// each must name what is wrong.
#[track_caller]
fn assert_seen(violations: &[String], names: &[&str]) {
    assert_eq!(violations.len(), names.len(), "seen: {violations:#?}");
    for name in names {
        assert!(violations.iter().any(|v| v.contains(name)), "'{name}' not named: {violations:#?}");
    }
}
