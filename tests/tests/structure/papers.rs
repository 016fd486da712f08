//! Every link between the papers of the repository leads to a file, and to a heading of it.

use std::path::{Path, PathBuf};

use crate::repository::{self, File};
use crate::{assert_none, assert_seen};

fn is_paper(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|extension| extension == "md")
}

/// Where links of a paper lead that stay in the repository, in order.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets.filter(|target| !target.contains("://") && !target.contains(char::is_whitespace))
}

/// A heading as links name it: in small letters, with hyphens for spaces, without anything else.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn headings(text: &str) -> Vec<String> {
    let lines = text.lines().filter(|line| line.starts_with('#'));
    lines.map(|line| anchor(line.trim_start_matches('#'))).collect()
}

/// `target`, as it stands in `paper`, from the root of the repository.
fn resolved(paper: &str, target: &str) -> String {
    let mut path = PathBuf::from(paper);
    path.pop();
    for part in target.split('/') {
        if part == ".." {
            path.pop();
        } else {
            path.push(part);
        }
    }
    path.to_string_lossy().into_owned()
}

fn broken(files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    for paper in files.iter().filter(|file| is_paper(&file.path)) {
        for link in links(&paper.text) {
            let (target, heading) = link.split_once('#').unwrap_or((link, ""));
            let path = match target {
                "" => paper.path.clone(),
                target => resolved(&paper.path, target),
            };
            let within = format!("{}/", path.trim_end_matches('/'));
            let place = files.iter().find(|file| file.path == path);
            let exists = place.is_some() || files.iter().any(|f| f.path.starts_with(&within));
            let named = heading.is_empty()
                || place.is_some_and(|file| headings(&file.text).contains(&heading.to_owned()));
            if !exists || !named {
                found.push(format!("{}: `{link}` leads nowhere", paper.path));
            }
        }
    }
    found
}

#[test]
fn every_link_of_a_paper_leads_somewhere() {
    assert_none("links", &broken(&repository::files()));
}

#[test]
fn a_link_that_leads_nowhere_is_seen() {
    let files = [
        File::new(
            "README.md",
            "# What is it?\n[a](#what-is-it) [b](deploy) [c](deploy/README.md#the-nodes)\n\
             [d](#what) [e](deploy/nodes.md) [f](https://example.org/x) [g](deploy/README.md#nodes)\n",
        ),
        File::new("deploy/README.md", "## The nodes\n[up](../README.md) [out](../LICENSE)\n"),
    ];
    assert_seen(
        &broken(&files),
        &["`#what`", "`deploy/nodes.md`", "`deploy/README.md#nodes`", "`../LICENSE`"],
    );
}
