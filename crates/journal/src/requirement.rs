//! What a stream's configuration must be, and the exact difference where it is not.

use std::fmt;
use std::time::Duration;

use async_nats::jetstream::stream::{
    Config, DiscardPolicy, PersistenceMode, RetentionPolicy, StorageType,
};

/// One setting that is not as required.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The setting's name in the broker's own configuration or API.
    pub setting: &'static str,
    /// What Caseledger needs.
    pub required: String,
    /// What was found.
    pub found: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} must be {} but is {}", self.setting, self.required, self.found)
    }
}

/// A stream or a server is set up otherwise than required. Nothing is changed by itself: somebody
/// meant it so, or somebody tampered with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigDifference {
    /// What was looked at: `stream NAME` or `server URL`.
    pub what: String,
    /// Every setting that differs.
    pub differences: Vec<Difference>,
}

impl fmt::Display for ConfigDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is not set up as required: ", self.what)?;
        for (index, difference) in self.differences.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{difference}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigDifference {}

/// Shortest window that a server takes. De-duplication is never used (apply decides); zero would
/// mean the server's two minutes, in which it remembers every message id that anyone sends.
const DUPLICATE_WINDOW: Duration = Duration::from_millis(100);

/// What is kept the same for every stream and bucket: on disk, without limits, never shortened.
pub(crate) fn required(name: &str, subject: &str, replicas: usize) -> Config {
    Config {
        name: name.to_owned(),
        subjects: vec![subject.to_owned()],
        storage: StorageType::File,
        retention: RetentionPolicy::Limits,
        discard: DiscardPolicy::New,
        max_messages: -1,
        max_messages_per_subject: -1,
        max_bytes: -1,
        max_message_size: -1,
        max_consumers: -1,
        max_age: Duration::ZERO,
        num_replicas: replicas,
        duplicate_window: DUPLICATE_WINDOW,
        deny_delete: true,
        deny_purge: true,
        ..Config::default()
    }
}

/// Collects differences.
#[derive(Default)]
pub(crate) struct Comparison(Vec<Difference>);

impl Comparison {
    pub(crate) fn differ(
        &mut self,
        setting: &'static str,
        required: impl Into<String>,
        found: impl Into<String>,
    ) {
        self.0.push(Difference { setting, required: required.into(), found: found.into() });
    }

    fn same<T: PartialEq + fmt::Debug>(&mut self, setting: &'static str, required: &T, found: &T) {
        if required != found {
            self.differ(setting, format!("{required:?}"), format!("{found:?}"));
        }
    }

    pub(crate) fn into_result(self, what: String) -> Result<(), ConfigDifference> {
        if self.0.is_empty() { Ok(()) } else { Err(ConfigDifference { what, differences: self.0 }) }
    }
}

/// Compares every setting that touches durability, order or completeness; placement, description
/// and direct reads are the operator's own affair.
pub(crate) fn compare(required: &Config, found: &Config) -> Result<(), ConfigDifference> {
    let mut comparison = Comparison::default();
    let c = &mut comparison;
    c.same("subjects", &required.subjects, &found.subjects);
    c.same("storage", &required.storage, &found.storage);
    c.same("retention", &required.retention, &found.retention);
    c.same("discard", &required.discard, &found.discard);
    c.same("max_msgs", &required.max_messages, &found.max_messages);
    c.same(
        "max_msgs_per_subject",
        &required.max_messages_per_subject,
        &found.max_messages_per_subject,
    );
    c.same("max_bytes", &required.max_bytes, &found.max_bytes);
    c.same("max_msg_size", &required.max_message_size, &found.max_message_size);
    c.same("max_consumers", &required.max_consumers, &found.max_consumers);
    c.same("max_age", &required.max_age, &found.max_age);
    c.same("num_replicas", &required.num_replicas, &found.num_replicas);
    c.same("duplicate_window", &required.duplicate_window, &found.duplicate_window);
    c.same("deny_delete", &required.deny_delete, &found.deny_delete);
    c.same("deny_purge", &required.deny_purge, &found.deny_purge);
    c.same("allow_rollup_hdrs", &required.allow_rollup, &found.allow_rollup);
    c.same("no_ack", &required.no_ack, &found.no_ack);
    c.same("sealed", &required.sealed, &found.sealed);
    c.same("allow_msg_ttl", &required.allow_message_ttl, &found.allow_message_ttl);
    c.same("allow_msg_counter", &required.allow_message_counter, &found.allow_message_counter);
    c.same(
        "allow_msg_schedules",
        &required.allow_message_schedules,
        &found.allow_message_schedules,
    );
    if found.persist_mode == Some(PersistenceMode::Async) {
        c.differ("persist_mode", "unset", "async");
    }
    absent(c, "mirror", found.mirror.is_some());
    absent(c, "sources", found.sources.as_ref().is_some_and(|sources| !sources.is_empty()));
    absent(c, "subject_transform", found.subject_transform.is_some());
    if let Some(first) = found.first_sequence.filter(|first| *first > 1) {
        c.differ("first_seq", "unset or 1", first.to_string());
    }
    comparison.into_result(format!("stream {}", required.name))
}

fn absent(comparison: &mut Comparison, setting: &'static str, present: bool) {
    if present {
        comparison.differ(setting, "unset", "set");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_required_of_a_stream_satisfies_the_comparison() {
        let required = required("S", "s", 3);
        assert_eq!(compare(&required, &required), Ok(()));
    }

    #[test]
    fn each_weaker_setting_is_named_with_both_values() {
        let required = required("S", "s", 3);
        let mut found = required.clone();
        found.deny_delete = false;
        found.num_replicas = 1;
        found.persist_mode = Some(PersistenceMode::Async);
        found.first_sequence = Some(7);
        assert_eq!(
            compare(&required, &found).unwrap_err().to_string(),
            "stream S is not set up as required: num_replicas must be 3 but is 1; \
             deny_delete must be true but is false; persist_mode must be unset but is async; \
             first_seq must be unset or 1 but is 7"
        );
    }
}
