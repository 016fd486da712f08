//! Every invariant of the README ("What always holds") has a test with its number in its name.

use crate::repository::{self, File};
use crate::{assert_none, assert_seen};

/// How many there are. The README's list is held against the same number.
const INVARIANTS: usize = 10;

/// The names of all functions `invariant_…` that carry a test attribute.
fn named_tests(files: &[File]) -> Vec<&str> {
    let mut names = Vec::new();
    for file in files.iter().filter(|file| file.is_rust()) {
        let mut attributed = false;
        for line in file.text.lines().map(str::trim_start) {
            let name = line.trim_start_matches("async ").strip_prefix("fn invariant_");
            match name {
                Some(rest) if attributed => names.extend(rest.split('(').next()),
                Some(_) => {}
                None if line.starts_with("#[") => {
                    attributed |= line.contains("test");
                    continue;
                }
                // an attribute over several lines, or its comment
                None if line.starts_with("//") || line.starts_with([')', ']']) => continue,
                None => {}
            }
            attributed = false;
        }
    }
    names
}

fn violations(files: &[File]) -> Vec<String> {
    let names = named_tests(files);
    (1..=INVARIANTS)
        .filter(|number| !names.iter().any(|name| name.starts_with(&format!("{number}_"))))
        .map(|number| format!("invariant {number} has no test named `invariant_{number}_…`"))
        .collect()
}

/// The numbered list under the README's heading "What always holds".
fn listed_in(readme: &str) -> usize {
    readme
        .lines()
        .skip_while(|line| !(line.starts_with('#') && line.contains("What always holds")))
        .skip(1)
        .take_while(|line| !line.starts_with('#'))
        .filter(|line| line.split_once(". ").is_some_and(|(n, _)| n.parse::<usize>().is_ok()))
        .count()
}

#[test]
fn every_invariant_has_a_test_with_its_name() {
    assert_none("invariants", &violations(&repository::files()));
}

#[test]
fn an_invariant_without_a_running_test_is_seen() {
    let with = |number: usize| format!("#[test]\nfn invariant_{number}_holds() {{}}\n");
    let mut text: String = (1..=INVARIANTS).filter(|n| *n != 1 && *n != 4).map(with).collect();
    text.push_str("fn invariant_4_helper() {}\n// fn invariant_1_holds()\n");
    assert_seen(&violations(&[File::new("a.rs", &text)]), &["invariant 1 ", "invariant 4 "]);
    text.push_str("#[tokio::test(flavor = \"multi_thread\")]\nasync fn invariant_4_x() {}\n");
    text.push_str("    #[test]\n    // why\n    fn invariant_1_y(a in any::<u8>()) {}\n");
    assert_none("all have one", &violations(&[File::new("a.rs", &text)]));
}

#[test]
fn the_readme_lists_as_many_invariants() {
    let readme = std::fs::read_to_string(repository::root().join("README.md")).unwrap();
    assert_eq!(listed_in(&readme), INVARIANTS);
    assert_eq!(listed_in("# A\n1. x\n## What always holds\n1. a\n2. b\n   c\n## D\n3. d"), 2);
}
