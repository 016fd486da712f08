//! Words that have no place in the repository, and tests that do not run.

use crate::repository::{self, File};
use crate::{assert_none, assert_seen};

/// What is looked for, and why it may not stand. Written in halves, so that this file may exist.
const WORDS: &[(&str, &str)] = &[
    (concat!("TO", "DO"), "finish it or leave it out"),
    (concat!("FIX", "ME"), "finish it or leave it out"),
    (concat!("XX", "X"), "finish it or leave it out"),
    (concat!("unimplemented", "!("), "finish it or leave it out"),
    (concat!("todo", "!("), "finish it or leave it out"),
    (concat!("iss", "ue #"), "say why here; a number is no reason"),
    (concat!("/wo", "rk/"), "a path of one machine"),
    (concat!("/ro", "ot/"), "a path of one machine"),
    (concat!("crates", ".io"), "name the package, not where it was fetched"),
    (concat!("pypi", ".org"), "name the package, not where it was fetched"),
    (concat!("npmjs", ".org"), "name the package, not where it was fetched"),
    (concat!("#[ig", "nore"), "a test runs or is deleted"),
];

/// Files whose words are not ours.
const OTHERS: &[&str] = &["Cargo.lock", "LICENSE"];

fn violations(files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files.iter().filter(|file| !OTHERS.contains(&file.path.as_str())) {
        for (number, line) in file.text.lines().enumerate() {
            for (word, why) in WORDS.iter().filter(|(word, _)| stands_in(line, word)) {
                found.push(format!("{}:{}: `{word}`: {why}", file.path, number + 1));
            }
        }
    }
    found
}

/// Whether `word` stands in `line` as a word of its own: a key that happens to hold its letters
/// (a hash, an identifier) is no match.
fn stands_in(line: &str, word: &str) -> bool {
    let letter = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let starts_inside = letter(word.chars().next());
    let ends_inside = letter(word.chars().last());
    line.match_indices(word).any(|(at, _)| {
        let (before, rest) = line.split_at(at);
        let (_, after) = rest.split_at(word.len());
        let joined = (starts_inside && letter(before.chars().next_back()))
            || (ends_inside && letter(after.chars().next()));
        !joined
    })
}

#[test]
fn no_word_stands_that_has_no_place() {
    assert_none("words", &violations(&repository::files()));
}

#[test]
fn every_word_is_seen_and_its_letters_alone_are_not() {
    for (word, _) in WORDS {
        let lines = format!("fine\n// see {word} here\n");
        assert_seen(&violations(&[File::new("a.rs", &lines)]), &["a.rs:2"]);
        assert_none("others' files", &violations(&[File::new("LICENSE", &lines)]));
    }
    let letters = File::new("a.rs", "let key = \"MTODOXXXXa\"; // método, homework/, a Fixme");
    assert_none("letters inside a word", &violations(&[letters]));
}
