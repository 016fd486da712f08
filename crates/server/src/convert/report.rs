//! Where a conversion is in the request, and what it found wrong.

use std::fmt;

use engine::{Failure, Violation};

/// Violations kept. A status lists a dozen; the rest only counts, so a request of a hundred
/// thousand faults costs no more memory than one of a hundred.
const MAX_KEPT: usize = 100;

/// A place in the request: a path that lives on the stack and is written out only for a fault.
#[derive(Clone, Copy)]
pub struct At<'a> {
    parent: Option<&'a At<'a>>,
    step: Step,
}

#[derive(Clone, Copy)]
enum Step {
    Top,
    Field(&'static str),
    Index(usize),
}

impl At<'static> {
    /// The request itself.
    pub const TOP: Self = Self { parent: None, step: Step::Top };
}

impl<'a> At<'a> {
    /// A field of the message here.
    #[must_use]
    pub fn field(&'a self, name: &'static str) -> Self {
        Self { parent: Some(self), step: Step::Field(name) }
    }

    /// An element of the list here.
    #[must_use]
    pub fn index(&'a self, index: usize) -> Self {
        Self { parent: Some(self), step: Step::Index(index) }
    }
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let above = match self.parent {
            Some(parent) => {
                parent.fmt(f)?;
                !matches!(parent.step, Step::Top)
            }
            None => false,
        };
        match self.step {
            Step::Top => Ok(()),
            Step::Field(name) if above => write!(f, ".{name}"),
            Step::Field(name) => f.write_str(name),
            Step::Index(index) => write!(f, "[{index}]"),
        }
    }
}

impl fmt::Debug for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "At({self})")
    }
}

/// The faults found so far.
#[derive(Debug, Default)]
pub struct Report {
    violations: Vec<Violation>,
    more: usize,
}

impl Report {
    /// Reports a fault; `description` says what is allowed and never holds the value.
    pub fn fault(&mut self, at: &At<'_>, code: &str, description: impl Into<String>) {
        if self.violations.len() < MAX_KEPT {
            self.violations.push(Violation {
                field: at.to_string(),
                code: code.to_owned(),
                description: description.into(),
            });
        } else {
            self.more += 1;
        }
    }

    /// Reports a field that must be set and is not.
    pub fn missing(&mut self, at: &At<'_>) {
        self.fault(at, "required", "must be set");
    }

    /// What was found, most of it in words.
    #[must_use]
    pub fn into_violations(mut self) -> Vec<Violation> {
        if self.more > 0 {
            self.violations.push(Violation {
                field: String::new(),
                code: "more-violations".to_owned(),
                description: format!("and {} more", self.more),
            });
        }
        self.violations
    }

    /// The value, if nothing was found wrong with it.
    ///
    /// # Errors
    /// `Failure::Invalid` with all faults. A missing value without a fault is one of ours.
    pub fn finish<T>(self, value: Option<T>) -> Result<T, Failure> {
        match value {
            Some(value) if self.violations.is_empty() => Ok(value),
            _ if !self.violations.is_empty() => Err(Failure::Invalid(self.into_violations())),
            _ => Err(Failure::Internal { cause: "a conversion lost a value".to_owned() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_read_like_the_request() {
        let changes = At::TOP.field("changes");
        let second = changes.index(2);
        let entry = second.field("add_entry");
        assert_eq!(entry.field("code").to_string(), "changes[2].add_entry.code");
        assert_eq!(At::TOP.index(3).field("x").to_string(), "[3].x");
    }

    #[test]
    fn memory_is_bounded_and_the_rest_is_counted() {
        let mut report = Report::default();
        for _ in 0..MAX_KEPT + 5 {
            report.missing(&At::TOP);
        }
        let violations = report.into_violations();
        assert_eq!(violations.len(), MAX_KEPT + 1);
        assert_eq!(violations[MAX_KEPT].description, "and 5 more");
    }
}
