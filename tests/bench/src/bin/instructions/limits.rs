//! The limits: a file of counts, and what a count may be beside them.

use std::collections::BTreeMap;

use anyhow::Context as _;

/// How much a count may differ before somebody hears of it, in hundredths.
const TOLERANCE: u64 = 10;

const ABOUT: &str = "\
# Instructions that one unit of each pure part takes in the release profile, as callgrind counts them.
# `tests/bench/instructions` fails when one has grown by more than 10 %; with --update it writes this file.
#
# valgrind knows no AVX-512 and no SHA extensions, so cryptography is counted on the paths that it takes
# without them, which are several times as long: compare with counts, never with times. Another
# compiler, allocator or processor (AES, AVX2) counts otherwise.
";

/// A count for each case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// What they were compiled with.
    pub(crate) compiler: String,
    /// By name of the case.
    pub(crate) instructions: BTreeMap<String, u64>,
}

/// What is to be said about counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// What is not allowed.
    pub(crate) grown: Vec<String>,
    /// What is only worth knowing.
    pub(crate) remarks: Vec<String>,
}

impl Limits {
    /// None yet.
    pub(crate) fn taken_with(compiler: &str) -> Self {
        Self { compiler: compiler.to_owned(), instructions: BTreeMap::new() }
    }

    /// Reads the file's text.
    ///
    /// # Errors
    /// When it is not what [`Limits::text`] writes.
    pub(crate) fn parse(text: &str) -> anyhow::Result<Self> {
        let table: toml::Table = toml::from_str(text)?;
        let compiler =
            table.get("compiler").and_then(toml::Value::as_str).context("no compiler")?;
        let counts = table.get("instructions").and_then(toml::Value::as_table);
        let mut limits = Self::taken_with(compiler);
        for (name, value) in counts.context("no [instructions]")? {
            let count = value.as_integer().and_then(|count| u64::try_from(count).ok());
            limits.instructions.insert(name.clone(), count.context(format!("{name} is no count"))?);
        }
        Ok(limits)
    }

    /// The file's text.
    pub(crate) fn text(&self) -> String {
        let lines: Vec<String> =
            self.instructions.iter().map(|(name, count)| format!("{name} = {count}\n")).collect();
        format!("{ABOUT}\ncompiler = {:?}\n\n[instructions]\n{}", self.compiler, lines.concat())
    }

    /// Holds counts against these limits.
    pub(crate) fn compare(&self, counted: &Self) -> Verdict {
        let mut verdict = Verdict::default();
        for (name, found) in &counted.instructions {
            let Some(limit) = self.instructions.get(name) else {
                verdict.grown.push(format!("{name}: {found}, and no limit"));
                continue;
            };
            let change = format!("{name}: limit {limit}, found {found}");
            if found * 100 > limit * (100 + TOLERANCE) {
                verdict.grown.push(format!("{change}: grown by more than {TOLERANCE} %"));
            } else if found * 100 < limit * (100 - TOLERANCE) {
                let advice = "lower the limit with tests/bench/instructions --update";
                verdict
                    .remarks
                    .push(format!("{change}: less by more than {TOLERANCE} %; {advice}"));
            }
        }
        for name in self.instructions.keys() {
            if !counted.instructions.contains_key(name) {
                verdict.grown.push(format!("{name}: a limit, but no such case"));
            }
        }
        if self.compiler != counted.compiler && verdict != Verdict::default() {
            verdict.remarks.push(format!(
                "the limits were taken with {}, this is {}",
                self.compiler, counted.compiler
            ));
        }
        verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(compiler: &str, counts: &[(&str, u64)]) -> Limits {
        let instructions = counts.iter().map(|(name, count)| ((*name).to_owned(), *count));
        Limits { compiler: compiler.to_owned(), instructions: instructions.collect() }
    }

    #[test]
    fn the_file_reads_as_it_was_written() {
        let written = limits("rustc 1.95.0 (\"quoted\")", &[("seal", 7), ("header", 1_000)]);
        assert_eq!(Limits::parse(&written.text()).unwrap(), written);
        assert!(Limits::parse("compiler = \"x\"\n").is_err());
        assert!(Limits::parse("compiler = \"x\"\n[instructions]\nseal = -1\n").is_err());
    }

    #[test]
    fn growth_beyond_a_tenth_is_refused_and_less_is_told() {
        let limit = limits("a", &[("header", 1_000)]);
        let verdict = |found| limit.compare(&limits("a", &[("header", found)]));
        for within in [900, 1_000, 1_100] {
            assert_eq!(verdict(within), Verdict::default(), "{within}");
        }
        let grown = verdict(1_101).grown;
        assert!(grown[0].starts_with("header: limit 1000, found 1101"), "{grown:?}");
        let less = verdict(899);
        assert!(less.grown.is_empty() && less.remarks[0].contains("--update"), "{less:?}");
    }

    #[test]
    fn cases_and_limits_are_the_same() {
        let verdict = limits("a", &[("old", 1)]).compare(&limits("b", &[("new", 1)]));
        assert_eq!(verdict.grown, ["new: 1, and no limit", "old: a limit, but no such case"]);
        assert_eq!(verdict.remarks, ["the limits were taken with a, this is b"]);
    }
}
