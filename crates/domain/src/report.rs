//! Collects findings while an entry or identity is walked through once.

mod values;

use std::fmt;

use crate::finding::{Finding, Severity, code};
use crate::limits::{BYTES_A_VALUE, MAX_ENTRY_BYTES, MAX_REMARKS, MAX_VIOLATIONS};

/// Where one is, as a chain on the stack: nothing is allocated unless there is a finding.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Path<'a> {
    Root(&'static str),
    Field(&'a Path<'a>, &'static str),
    Item(&'a Path<'a>, usize),
}

impl Path<'_> {
    pub(crate) fn field(&self, name: &'static str) -> Path<'_> {
        Path::Field(self, name)
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Path::Root(name) => f.write_str(name),
            Path::Field(parent, name) => write!(f, "{parent}.{name}"),
            Path::Item(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

/// The findings so far, and how much was looked at.
#[derive(Debug, Default)]
pub(crate) struct Report {
    findings: Vec<Finding>,
    remarks: usize,
    violations: usize,
    bytes: usize,
}

impl Report {
    pub(crate) fn violation(&mut self, at: &Path<'_>, code: &str, text: impl Into<String>) {
        self.violations += 1;
        if self.violations <= MAX_VIOLATIONS {
            self.push(Severity::Violation, at, code, text.into());
        }
    }

    pub(crate) fn remark(&mut self, at: &Path<'_>, code: &str, text: impl Into<String>) {
        self.remarks += 1;
        if self.remarks < MAX_REMARKS {
            self.push(Severity::Remark, at, code, text.into());
        } else if self.remarks == MAX_REMARKS {
            let text = "there are more remarks than are filed with an entry".to_owned();
            self.push(Severity::Remark, at, code::MORE_REMARKS, text);
        }
    }

    fn push(&mut self, severity: Severity, at: &Path<'_>, code: &str, text: String) {
        self.findings.push(Finding {
            code: code.to_owned(),
            severity,
            field: at.to_string(),
            text,
        });
    }

    pub(crate) fn required(&mut self, at: &Path<'_>, text: &str) {
        self.violation(at, code::REQUIRED, text);
    }

    /// A text in one line that must not be empty.
    pub(crate) fn line(&mut self, at: &Path<'_>, text: &str, limit: usize) {
        self.text(at, text, limit, false);
    }

    /// A text of any number of lines that must not be empty.
    pub(crate) fn lines(&mut self, at: &Path<'_>, text: &str, limit: usize) {
        self.text(at, text, limit, true);
    }

    fn text(&mut self, at: &Path<'_>, text: &str, limit: usize, breaks: bool) {
        self.bytes += BYTES_A_VALUE + text.len();
        if text.trim().is_empty() {
            self.required(at, "must not be empty");
        }
        if text.len() > limit {
            let text = format!("at most {limit} bytes are filed here");
            self.violation(at, code::TOO_LONG, text);
        } else if text
            .chars()
            .any(|c| c.is_control() && !(breaks && matches!(c, '\n' | '\r' | '\t')))
        {
            self.violation(at, code::CONTROL_CHARACTER, "remove the control characters");
        }
    }

    pub(crate) fn optional_line(&mut self, at: &Path<'_>, text: Option<&str>, limit: usize) {
        if let Some(text) = text {
            self.line(at, text, limit);
        }
    }

    pub(crate) fn optional_lines(&mut self, at: &Path<'_>, text: Option<&str>, limit: usize) {
        if let Some(text) = text {
            self.lines(at, text, limit);
        }
    }

    /// A value out of a closed list.
    pub(crate) fn one_of(&mut self, at: &Path<'_>, value: Option<&str>, allowed: &[&str]) {
        let Some(value) = value else { return };
        self.bytes += BYTES_A_VALUE + value.len();
        if value == "entered-in-error" {
            let text = "entered-in-error is not filed as a status: retract the entry";
            self.violation(at, code::RETRACT_INSTEAD, text);
        } else if !allowed.contains(&value) {
            let text = format!("use one of: {}", allowed.join(", "));
            self.violation(at, code::VALUE_NOT_ALLOWED, text);
        }
    }

    /// Every item of a list, up to a limit.
    pub(crate) fn each<T>(
        &mut self,
        at: &Path<'_>,
        items: &[T],
        limit: usize,
        mut check: impl FnMut(&mut Self, &Path<'_>, &T),
    ) {
        if items.len() > limit {
            self.violation(at, code::TOO_MANY, format!("at most {limit} are filed here"));
        }
        // Not further than the limit: a hostile list must not cost more than an honest one.
        for (index, item) in items.iter().take(limit).enumerate() {
            self.bytes += BYTES_A_VALUE;
            check(self, &Path::Item(at, index), item);
        }
    }

    /// Counts a value that has no text of its own.
    pub(crate) fn count(&mut self, bytes: usize) {
        self.bytes += BYTES_A_VALUE + bytes;
    }

    pub(crate) fn finish(mut self, whole: &'static str) -> Vec<Finding> {
        if self.bytes > MAX_ENTRY_BYTES {
            let text = format!("all of it together may have {MAX_ENTRY_BYTES} bytes: divide it");
            self.violation(&Path::Root(whole), code::TOO_LARGE, text);
        }
        self.findings
    }
}

/// Whether the findings refuse what they were found in.
pub(crate) fn refuses(findings: &[Finding]) -> bool {
    findings.iter().any(|finding| finding.severity == Severity::Violation)
}
