//! `caseledgerd fsck`: the data folder of a stopped node against itself (`store::fsck`), for people and
//! for scripts.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ::ledger::checkpoint::Checkpoint;
use ::ledger::note::SignedNote;
use ::ledger::{Hash, LedgerId, NodeId};
use serde_json::{Value, json};
use store::{Finding, FsckProgress, Intact, LedgerPin, Place, Verdict};

use crate::config::{Config, ConfigError};
use crate::names;

/// How often a person hears how far it is.
const TELL_EVERY: Duration = Duration::from_millis(250);

/// What is to be checked.
#[derive(Debug, Clone)]
pub struct Fsck {
    /// The data folder.
    pub data: PathBuf,
    /// Genesis hashes, in place of those in the node's configuration.
    pub genesis: Vec<PinnedGenesis>,
    /// Files of checkpoints that somebody kept.
    pub checkpoints: Vec<PathBuf>,
}

/// A ledger's genesis as it is written on the command line: `records=HASH` or `access=HASH`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PinnedGenesis(LedgerPin);

impl std::str::FromStr for PinnedGenesis {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORM: &str = "expected records=HASH or access=HASH, 64 hex digits";
        let (ledger, hash) = text.split_once('=').ok_or(FORM)?;
        let ledger = match ledger {
            "records" => LedgerId::RECORDS,
            "access" => LedgerId::ACCESS,
            _ => return Err(FORM),
        };
        Ok(Self(LedgerPin { ledger, genesis: hash.parse().map_err(|_| FORM)? }))
    }
}

/// Why nothing was checked: wrong use.
#[derive(Debug, thiserror::Error)]
pub enum FsckError {
    /// Nothing says which ledgers are believed.
    #[error(
        "no configuration beside {} names it as its data folder: give --genesis records=HASH and \
         --genesis access=HASH", .0.display()
    )]
    NoGenesis(PathBuf),
    /// The configuration cannot be used.
    #[error("give --genesis for both ledgers, or repair the node's configuration")]
    Config(#[from] ConfigError),
    /// A file named on the command line.
    #[error("{}: {why}", file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

/// Checks a data folder; the outer error is wrong use.
///
/// # Errors
/// The command line cannot be meant. What the check found is the inner result.
pub fn fsck(wanted: &Fsck) -> Result<Result<Intact, Finding>, FsckError> {
    let kept = kept(wanted)?;
    if let Err(error) = std::fs::read_dir(&wanted.data) {
        let what = format!("{}: {error}", wanted.data.display());
        let (verdict, table, key) = (Verdict::Unread, "data folder", String::new());
        return Ok(Err(Finding { verdict, ledger: None, table, key, place: None, what }));
    }
    let (ledgers, node) = believed(wanted)?;
    let mut told = Told::new();
    let fsck = store::Fsck { dir: &wanted.data, ledgers: &ledgers, node, kept: &kept };
    let found = store::fsck(&fsck, |progress| told.tell(progress));
    told.clear();
    Ok(found)
}

/// The genesis hashes that are believed, and the node if it is known.
fn believed(wanted: &Fsck) -> Result<([LedgerPin; 2], Option<NodeId>), FsckError> {
    let config = config_of(&wanted.data);
    let given = |ledger| wanted.genesis.iter().rfind(|one| one.0.ledger == ledger).map(|one| one.0);
    let [records, access] = names::LEDGERS.map(given);
    if let (Some(records), Some(access)) = (records, access) {
        // The configuration is then of use for nothing but the node's id.
        let node = config.ok().flatten().map(|config| config.node.id.0);
        return Ok(([records, access], node));
    }
    let config = config?.ok_or_else(|| FsckError::NoGenesis(wanted.data.clone()))?;
    let pin = |ledger, genesis: Hash| LedgerPin { ledger, genesis };
    let pins = [
        records.unwrap_or(pin(LedgerId::RECORDS, config.ledgers.records.0)),
        access.unwrap_or(pin(LedgerId::ACCESS, config.ledgers.access.0)),
    ];
    Ok((pins, Some(config.node.id.0)))
}

/// The node's configuration: in the state directory around its data folder, if it names that folder.
fn config_of(data: &Path) -> Result<Option<Config>, ConfigError> {
    let Ok(data) = data.canonicalize() else { return Ok(None) };
    let Some(file) = data.parent().map(|state| state.join("config.toml")) else { return Ok(None) };
    if !file.exists() {
        return Ok(None);
    }
    let config = Config::load(&file)?;
    let its = config.node.data.canonicalize().is_ok_and(|its| its == data);
    Ok(its.then_some(config))
}

/// The checkpoints that somebody kept; whether a node of the ledger signed them, only the ledger tells.
fn kept(wanted: &Fsck) -> Result<Vec<(SignedNote, Checkpoint)>, FsckError> {
    let read = |file: &PathBuf| {
        let wrong = |why: String| FsckError::File { file: file.clone(), why };
        let text = std::fs::read_to_string(file)
            .map_err(|error| wrong(format!("cannot be read: {error}")))?;
        let note: SignedNote = text.parse().map_err(|error| wrong(format!("{error}")))?;
        let checkpoint = note.text().parse().map_err(|error| wrong(format!("{error}")))?;
        Ok((note, checkpoint))
    };
    wanted.checkpoints.iter().map(read).collect()
}

/// What a process that found this exits with.
#[must_use]
pub const fn exit_code(found: &Result<Intact, Finding>) -> u8 {
    match found {
        Ok(_) => 0,
        Err(Finding { verdict: Verdict::Damaged, .. }) => 10,
        Err(Finding { verdict: Verdict::Other, .. }) => 11,
        Err(Finding { verdict: Verdict::Unread, .. }) => 12,
    }
}

/// For a person.
#[must_use]
pub fn text(found: &Result<Intact, Finding>) -> String {
    match found {
        Ok(intact) => intact_text(intact),
        Err(found) => {
            let headline = match found.verdict {
                Verdict::Damaged => "TAMPERED WITH OR DAMAGED",
                Verdict::Other => "BEHIND, OR ANOTHER HISTORY",
                Verdict::Unread => "COULD NOT BE READ",
            };
            format!("{headline}: {found}\ndo: {}", remedy(found))
        }
    }
}

/// What to do about a folder that is not intact.
fn remedy(found: &Finding) -> &'static str {
    match found.verdict {
        Verdict::Damaged if found.table == "blocks" && found.what.contains("the genesis") => {
            "check --genesis first, or the genesis in config.toml where none was given. If it is right, another \
             ledger stands here: copy the folder and find out who put it there"
        }
        Verdict::Damaged => {
            "copy the folder and find out who wrote there. If the stream or another node has the rest, move \
             what is damaged in it (`ledger` or `keys`) away and start the node: it is made anew, also \
             from the bucket of keys. What waited in `spool` is nowhere else"
        }
        Verdict::Other if found.table == "checkpoint" => {
            "copy the folder and start nothing: ask who keeps another checkpoint, or whether this one is of this \
             ledger"
        }
        Verdict::Other => {
            "if it is an older copy, start the node where broker and other nodes can be reached: it comes \
             back to where it was. Else compare with a checkpoint that was kept elsewhere before trusting it"
        }
        Verdict::Unread => {
            "see what keeps it from being read (a node that runs, permissions, the disk, a file that was \
             spoilt), and check again"
        }
    }
}

fn intact_text(intact: &Intact) -> String {
    let mut lines = Vec::new();
    for seen in &intact.ledgers {
        lines.push(format!(
            "intact: {}: {} messages, {} records, {} checkpoints, root {}",
            seen.ledger, seen.sequence, seen.size, seen.checkpoints, seen.root
        ));
    }
    let keys = &intact.keys;
    lines.push(format!("intact: spool: {} blocks", intact.spooled));
    lines.push(format!(
        "intact: keys: {} keys of {} subjects; {} batches match their hash, {} cannot be compared \
         (a key of theirs is destroyed)",
        keys.keys, keys.subjects, keys.batches, keys.batches_not_compared
    ));
    let by_version = keys.by_version.iter();
    let counts = by_version.map(|(version, count)| format!("{count} under version {version}"));
    lines.push(format!(
        "intact: key-encryption key: {}{}",
        counts.collect::<Vec<_>>().join(", "),
        if keys.by_version.len() > 1 { ": a rotation has not ended on this node" } else { "" }
    ));
    lines.extend(intact.unchecked.iter().map(|what| format!("not compared: {what}")));
    lines.join("\n")
}

/// For scripts.
#[must_use]
pub fn json(found: &Result<Intact, Finding>) -> Value {
    match found {
        Ok(intact) => {
            let ledger = |seen: &store::LedgerSeen| {
                json!({
                    "ledger": seen.ledger.to_string(),
                    "origin": seen.origin,
                    "messages": seen.sequence,
                    "records": seen.size,
                    "root": seen.root.to_string(),
                    "checkpoints": seen.checkpoints,
                })
            };
            json!({
                "verdict": "intact",
                "ledgers": intact.ledgers.iter().map(ledger).collect::<Vec<_>>(),
                "spooled": intact.spooled,
                "keys": intact.keys.keys,
                "keys_by_kek_version": intact.keys.by_version,
                "not_compared": intact.unchecked,
            })
        }
        Err(found) => {
            let verdict = match found.verdict {
                Verdict::Damaged => "damaged",
                Verdict::Other => "other",
                Verdict::Unread => "unread",
            };
            let (sequence, position) = match found.place {
                Some(Place::Sequence(sequence)) => (Some(sequence), None),
                Some(Place::Position(position)) => (None, Some(position)),
                None => (None, None),
            };
            json!({
                "verdict": verdict,
                "ledger": found.ledger.map(|ledger| ledger.to_string()),
                "table": found.table,
                "key": found.key,
                "sequence": sequence,
                "position": position,
                "what": found.what,
                "do": remedy(found),
            })
        }
    }
}

/// How far it is, on standard error, where somebody watches.
struct Told {
    watched: bool,
    last: Option<Instant>,
}

impl Told {
    fn new() -> Self {
        Self { watched: io::stderr().is_terminal(), last: None }
    }

    fn tell(&mut self, progress: FsckProgress) {
        let due = self.last.is_none_or(|last| last.elapsed() >= TELL_EVERY);
        if self.watched && due {
            let FsckProgress { ledger, done, total } = progress;
            // Nobody's loss if it cannot be written.
            let _ = write!(io::stderr(), "\r\x1b[K{ledger}: {done} of {total} messages");
            self.last = Some(Instant::now());
        }
    }

    fn clear(&self) {
        if self.watched {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_genesis_is_written_in_one_way() {
        let hash = Hash([7; 32]);
        let pinned: PinnedGenesis = format!("access={hash}").parse().unwrap();
        assert_eq!(pinned.0, LedgerPin { ledger: LedgerId::ACCESS, genesis: hash });
        for wrong in ["access", "access=", "audit=07", &format!("={hash}"), &hash.to_string()] {
            assert!(wrong.parse::<PinnedGenesis>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn without_a_genesis_nothing_is_checked() {
        let dir = tempfile::tempdir().unwrap();
        let mut wanted =
            Fsck { data: dir.path().to_owned(), genesis: Vec::new(), checkpoints: Vec::new() };
        assert!(matches!(fsck(&wanted), Err(FsckError::NoGenesis(_))));
        wanted.genesis = ["records", "access"]
            .map(|ledger| format!("{ledger}={}", Hash([7; 32])).parse().unwrap())
            .to_vec();
        let found = fsck(&wanted).unwrap();
        assert_eq!(exit_code(&found), 12);
        assert!(text(&found).starts_with("COULD NOT BE READ: ledger"), "{}", text(&found));
        assert!(text(&found).contains("\ndo: see what keeps it"), "{}", text(&found));
        assert_eq!(json(&found)["verdict"], "unread");
        let elsewhere = Fsck { data: dir.path().join("gone"), ..wanted.clone() };
        assert_eq!(exit_code(&fsck(&elsewhere).unwrap()), 12);
        wanted.checkpoints.push(dir.path().join("kept"));
        assert!(matches!(fsck(&wanted), Err(FsckError::File { .. })));
    }
    #[test]
    fn what_to_do_goes_by_what_was_found() {
        let told = |verdict, table, what: &str| {
            let (key, what) = (String::new(), what.to_owned());
            let found = Finding { verdict, ledger: None, table, key, place: None, what };
            remedy(&found)
        };
        let checkpoint = told(Verdict::Other, "checkpoint", "the end is gone");
        assert!(checkpoint.starts_with("copy the folder and start nothing"), "{checkpoint}");
        let position = told(Verdict::Other, "position.json", "the node was further");
        assert!(position.contains("start the node"), "{position}");
        let genesis = "block 1 does not hold the genesis 07 that is pinned";
        let genesis = told(Verdict::Damaged, "blocks", genesis);
        assert!(genesis.starts_with("check --genesis first"), "{genesis}");
        let damaged = told(Verdict::Damaged, "blocks", "the row does not decode");
        assert!(damaged.contains("find out who wrote there"), "{damaged}");
    }
}
