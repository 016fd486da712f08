//! What a verifier asks of a checkpoint (c2sp.org/tlog-policy): whose log it is, and who must have
//! cosigned it.
//!
//! ```text
//! log <vkey> [url]
//! witness <name> <vkey> [url]
//! group <name> any|all|<number> <name>...
//! quorum <name>|none
//! ```
//!
//! A line each; empty ones and those that begin with `#`, blanks before it or not, count for nothing.
//! Names are witnesses and groups declared further up. There is one quorum. Each public key is one
//! witness, and each name a member once, so that each witness counts once.

use core::ops::RangeInclusive;
use core::str::FromStr;
use std::collections::BTreeSet;

use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::note::{KeyType, NoteError, SignedNote, Verified, Vkey};

/// Longest policy that is read, in bytes: thousands of witnesses.
pub const MAX_POLICY: usize = 1024 * 1024;

/// A policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Keys of the log: whoever has one may sign as the log.
    logs: Vec<Vkey>,
    /// Witnesses and groups, each naming what stands above it.
    named: Vec<(String, Party)>,
    /// Place of the quorum among them; none: the log's own signature is enough.
    quorum: Option<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Party {
    Witness(Vkey),
    Group { threshold: usize, members: Vec<usize> },
}

/// What the lines read so far had, beside the policy.
#[derive(Debug, Default)]
struct Seen {
    quorums: usize,
    /// Places of all that are members of a group.
    members: BTreeSet<usize>,
}

/// Why a text is no policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the policy: {what}")]
pub struct PolicyError {
    /// From 1; behind the last when something is missing.
    pub line: usize,
    /// What is wrong with it.
    pub what: &'static str,
}

/// Why a checkpoint is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAccepted {
    /// Not a checkpoint, or a signature of a known key does not hold.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Not signed by a key of the log whose origin it names.
    #[error("checkpoint is not signed by the log that it names")]
    NotTheLogs,
    /// Too few have cosigned.
    #[error("checkpoint is not cosigned by the quorum of the policy")]
    NoQuorum,
}

impl Policy {
    /// Opens a checkpoint, if it is signed as this policy asks.
    ///
    /// # Errors
    /// See [`NotAccepted`].
    pub fn open(&self, note: &SignedNote) -> Result<Checkpoint, NotAccepted> {
        let keys = self.keys();
        let verified = note.verify(&keys).map_err(|error| match error {
            NoteError::NotSigned => NotAccepted::NotTheLogs,
            NoteError::Form | NoteError::BadSignature => CheckpointError::Note(error).into(),
        })?;
        let checkpoint: Checkpoint = note.text().parse()?;
        let by_log = verified
            .iter()
            .any(|one| self.logs.contains(one.key) && one.key.name() == checkpoint.origin);
        if !by_log {
            return Err(NotAccepted::NotTheLogs);
        }
        match self.quorum {
            Some(quorum) if !self.has(quorum, &verified) => Err(NotAccepted::NoQuorum),
            Some(_) | None => Ok(checkpoint),
        }
    }

    /// Whether the quorum cosigned a note that it opens within these times, seconds since 1970 UTC: of a
    /// policy without a quorum, whether anybody did.
    #[must_use]
    pub fn is_cosigned_within(&self, note: &SignedNote, times: RangeInclusive<u64>) -> bool {
        let keys = self.keys();
        let mut verified = note.verify(&keys).unwrap_or_default();
        verified.retain(|one| one.time > 0 && times.contains(&one.time));
        match self.quorum {
            Some(quorum) => self.has(quorum, &verified),
            None => !verified.is_empty(),
        }
    }

    /// When its witnesses cosigned a note that it opens, seconds since 1970 UTC: the earliest and the
    /// latest. None when none has.
    #[must_use]
    pub fn cosigned(&self, note: &SignedNote) -> Option<(u64, u64)> {
        let keys = self.keys();
        let verified = note.verify(&keys).unwrap_or_default();
        let times = verified.iter().map(|one| one.time).filter(|time| *time > 0);
        Some((times.clone().min()?, times.max()?))
    }

    /// The keys of its `log` lines: whoever has one may sign as the log of the key's name.
    #[must_use]
    pub fn log_keys(&self) -> &[Vkey] {
        &self.logs
    }

    /// Every key that it names, the logs' first, then the witnesses'.
    #[must_use]
    pub fn keys(&self) -> Vec<Vkey> {
        self.logs.iter().chain(self.witnesses()).cloned().collect()
    }

    fn witnesses(&self) -> impl Iterator<Item = &Vkey> {
        self.named.iter().filter_map(|(_, party)| match party {
            Party::Witness(key) => Some(key),
            Party::Group { .. } => None,
        })
    }

    /// Whether the party at this place has signed. A group names only what stands above it, so one
    /// pass from the top knows all: no policy makes it go deep.
    fn has(&self, place: usize, verified: &[Verified<'_>]) -> bool {
        let mut signed: Vec<bool> = Vec::with_capacity(self.named.len());
        for (_, party) in self.named.iter().take(place + 1) {
            signed.push(match party {
                Party::Witness(key) => verified.iter().any(|one| one.key == key),
                Party::Group { threshold, members } => {
                    let has = |member: &&usize| signed.get(**member).is_some_and(|has| *has);
                    members.iter().filter(has).count() >= *threshold
                }
            });
        }
        signed.get(place).is_some_and(|has| *has)
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.named.iter().position(|(known, _)| known == name)
    }

    fn line(&mut self, words: &[&str], seen: &mut Seen) -> Result<(), &'static str> {
        const VKEY: &str = "a verifier key is wanted: NAME+ID+BASE64";
        match words {
            ["log", key] | ["log", key, _] => {
                self.logs.push(key.parse().map_err(|_| VKEY)?);
            }
            ["witness", name, key] | ["witness", name, key, _] => {
                let key: Vkey = key.parse().map_err(|_| VKEY)?;
                if key.kind() != KeyType::Cosignature {
                    return Err("a witness needs a key for cosignatures");
                }
                // The name is not signed: whoever holds the key has all its names.
                if self.witnesses().any(|one| one.public_key() == key.public_key()) {
                    return Err("a witness above has the same public key: each has one of its own");
                }
                self.declare(name, Party::Witness(key))?;
            }
            ["group", name, threshold, members @ ..] => {
                let members: Option<Vec<usize>> =
                    members.iter().map(|member| self.place(member)).collect();
                let members = members.ok_or("a name stands in no line above")?;
                if !members.iter().all(|place| seen.members.insert(*place)) {
                    return Err("a name is the member of a group already: it can be one once");
                }
                let threshold = match *threshold {
                    "any" => 1,
                    "all" => members.len(),
                    number => number.parse().map_err(|_| "any, all or a number is wanted")?,
                };
                if !(1..=members.len()).contains(&threshold) {
                    return Err("a group can reach from 1 to all of its members");
                }
                self.declare(name, Party::Group { threshold, members })?;
            }
            ["quorum", name] => {
                seen.quorums += 1;
                self.quorum = match *name {
                    "none" => None,
                    name => Some(self.place(name).ok_or("the name stands in no line above")?),
                };
            }
            _ => return Err("expected log, witness, group or quorum"),
        }
        Ok(())
    }

    fn declare(&mut self, name: &str, party: Party) -> Result<(), &'static str> {
        if name == "none" || self.place(name).is_some() {
            return Err("the name is used already");
        }
        self.named.push((name.to_owned(), party));
        Ok(())
    }
}

impl FromStr for Policy {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, PolicyError> {
        if text.len() > MAX_POLICY {
            return Err(PolicyError { line: 1, what: "it is longer than any policy" });
        }
        let mut policy = Self { logs: Vec::new(), named: Vec::new(), quorum: None };
        let (mut seen, mut last) = (Seen::default(), 0);
        for (line, text) in (1..).zip(text.lines()) {
            last = line;
            let words: Vec<&str> = text.split_whitespace().collect();
            if words.first().is_none_or(|word| word.starts_with('#')) {
                continue;
            }
            policy.line(&words, &mut seen).map_err(|what| PolicyError { line, what })?;
        }
        let missing = |what| PolicyError { line: last + 1, what };
        if policy.logs.is_empty() {
            return Err(missing("no log is named"));
        }
        if seen.quorums != 1 {
            return Err(missing("one quorum line is wanted"));
        }
        Ok(policy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cosigned::{Cosigned, cosigner_name, policy, sign};
    use crate::id::{Hash, NodeId};
    use crate::rules::{Authority, Member};
    use crate::testing::{key, node_keys};

    const NAME: &str = "ledger.hospital.example";

    fn checkpoint() -> Checkpoint {
        let origin = format!("{NAME}/records.0.0/{}", Hash([9; 32]));
        Checkpoint { origin, size: 7, root: Hash([1; 32]) }
    }

    fn members(nodes: u8) -> Authority {
        let member = |n| (NodeId([n; 16]), Member { keys: node_keys(n, 100 + n), retired: false });
        Authority { members: (1..=nodes).map(member).collect(), ..Authority::default() }
    }

    fn signed_by(nodes: &[u8]) -> SignedNote {
        let mut gathered = Cosigned::new(checkpoint());
        for node in nodes {
            let id = NodeId([*node; 16]);
            let keys = node_keys(*node, 100 + node);
            let name = cosigner_name(NAME, id);
            let note = sign(&checkpoint(), &key(100 + node), (&name, &key(150 + node)), 5).unwrap();
            assert!(gathered.add(NAME, id, &keys, &note));
        }
        gathered.note().unwrap()
    }

    #[test]
    fn the_policy_of_a_ledger_accepts_a_majority_of_its_nodes() {
        let text = policy(&checkpoint().origin, NAME, &members(3)).unwrap();
        let policy: Policy = text.parse().unwrap();
        assert_eq!(policy.open(&signed_by(&[1, 3])), Ok(checkpoint()));
        assert_eq!(policy.open(&signed_by(&[2])), Err(NotAccepted::NoQuorum));
        let none: Policy = text.replace("quorum nodes", "quorum none").parse().unwrap();
        assert_eq!(none.open(&signed_by(&[2])), Ok(checkpoint()));
        let mut broken = signed_by(&[1, 3]);
        broken.signatures[0].signature[3] ^= 1;
        let bad = CheckpointError::Note(NoteError::BadSignature);
        assert_eq!(policy.open(&broken), Err(NotAccepted::Checkpoint(bad)));
    }

    #[test]
    fn who_signs_as_another_log_or_not_as_the_log_is_not_accepted() {
        let mut other = checkpoint();
        other.origin = other.origin.replace("records", "access");
        let policy: Policy = policy(&other.origin, NAME, &members(1)).unwrap().parse().unwrap();
        // The cosigner's key is the same for both ledgers here, the log's name is not.
        assert_eq!(policy.open(&signed_by(&[1])), Err(NotAccepted::NotTheLogs));
        assert_eq!(policy.open(&signed_by(&[2])), Err(NotAccepted::NotTheLogs));
    }

    #[test]
    fn groups_of_groups_count_as_they_say() {
        let text = policy(&checkpoint().origin, NAME, &members(4)).unwrap();
        let ids: Vec<String> = (1..=4_u8).map(|n| NodeId([n; 16]).to_string()).collect();
        let head = text.split("group").next().unwrap();
        let with = |rest: String| -> Policy { format!("{head}{rest}").parse().unwrap() };
        let [a, b, c, d] = ids.as_slice() else { panic!("four") };
        let nested = with(format!(
            "group one any {a} {b}\ngroup two all {c} {d}\ngroup both 2 one two\nquorum both\n"
        ));
        assert!(nested.open(&signed_by(&[2, 3, 4])).is_ok());
        for short in [[1, 2, 3].as_slice(), &[3, 4], &[1]] {
            assert_eq!(nested.open(&signed_by(short)), Err(NotAccepted::NoQuorum), "{short:?}");
        }
    }

    #[test]
    fn what_is_no_policy_is_named_with_its_line() {
        let good = policy(&checkpoint().origin, NAME, &members(2)).unwrap();
        let lines = good.lines().count();
        let line = |text: String| text.parse::<Policy>().unwrap_err().line;
        assert_eq!(line(String::new()), 1);
        assert_eq!(line(good.replace("quorum nodes", "# none")), lines + 1);
        assert_eq!(line(format!("{good}quorum none\n")), lines + 2, "a second one");
        assert_eq!(line(good.replace("quorum nodes", "quorum others")), lines);
        assert_eq!(line(good.replace("group nodes 2", "group nodes 3")), lines - 1);
        assert_eq!(line(good.replace("group nodes 2", "group nodes 0")), lines - 1);
        assert_eq!(line(good.replace("group nodes 2", "group none 2")), lines - 1);
        assert_eq!(line(good.replacen("log ", "log x", 1)), 1);
        assert_eq!(line(format!("frog\n{good}")), 1);
        assert!(format!("# ours\n\n{good}").parse::<Policy>().is_ok());
        assert!(format!(" \t# ours\n{good}").parse::<Policy>().is_ok());
    }

    #[test]
    fn a_witness_counts_once_whatever_its_names_and_groups() {
        let good = policy(&checkpoint().origin, NAME, &members(2)).unwrap();
        let (head, _) = good.split_once("group").unwrap();
        let [a, b] = [1, 2].map(|node| NodeId([node; 16]).to_string());
        let line = head.lines().count();
        let cosigner = key(151).verifying_key().to_bytes();
        let copied = Vkey::new("another.example", KeyType::Cosignature, cosigner).unwrap();
        let wrong = |more: String| format!("{head}{more}").parse::<Policy>().unwrap_err();
        let twice = wrong(format!("witness c {copied}\ngroup g all {a} c\nquorum g\n"));
        assert_eq!((twice.line, twice.what.contains("the same public key")), (line + 1, true));
        for groups in [
            format!("group g any {a} {b} {a}\n"),
            format!("group one any {a}\ngroup g all {a} {b}\n"),
            format!("group one any {a}\ngroup two any {b}\ngroup g any one\ngroup h all one two\n"),
        ] {
            let last = line + groups.lines().count();
            let error = wrong(groups);
            assert_eq!(error.line, last, "{error}");
            assert!(error.what.contains("the member of a group already"), "{error}");
        }
    }

    #[test]
    fn deep_groups_are_counted() {
        let good = policy(&checkpoint().origin, NAME, &members(1)).unwrap();
        let (head, _) = good.split_once("group").unwrap();
        let node = NodeId([1; 16]).to_string();
        // Deeper than the stack of a thread, and a policy may be longer still.
        let mut deep = format!("{head}group g0 any {node}\n");
        for n in 1..30_000 {
            deep.push_str(&format!("group g{n} any g{}\n", n - 1));
        }
        deep.push_str("quorum g29999\n");
        let policy: Policy = deep.parse().unwrap();
        assert!(policy.open(&signed_by(&[1])).is_ok());
        assert!(policy.open(&signed_by(&[2])).is_err());
    }
}
