//! `caseledger verify`: a whole ledger, or one patient, against a checkpoint, with nothing of the
//! server believed.
//!
//! Exit codes: 0 intact, 10 tampered with or damaged, 11 forked from or behind a checkpoint that was
//! kept, 12 not all of it could be read, 2 wrong usage.

pub(crate) mod options;
mod patient;
mod walk;

use std::path::Path;
use std::process::ExitCode;

use indicatif::ProgressBar;
use ledger::checkpoint::Checkpoint;
use ledger::cosigned::{cosigner_vkey, log_vkey};
use ledger::note::{NoteError, SignedNote, Vkey};
use ledger::policy::Policy;
use ledger::{Authority, Hash, Member, NodeId};
use serde_json::{Value, json};
use tonic::Code;

use crate::connection::token_text;
use crate::failure::Failure;
use crate::options::Global;
use crate::output::{Output, is_watched, one_line, thousands};
use crate::source::{Missing, Source};

use self::options::Verify;
use self::walk::Walk;

/// What was found instead of an intact ledger.
#[derive(Debug)]
pub(crate) enum Found {
    /// Something does not match something else.
    Damaged(String),
    /// It does not continue the checkpoint that was kept.
    Forked(String),
    /// Not all of it could be read.
    Incomplete(String),
    /// The policy is for something else.
    OtherPolicy(String),
}

impl From<Missing> for Found {
    fn from(missing: Missing) -> Self {
        Self::Incomplete(missing.0)
    }
}

impl Found {
    /// What a node would not or could not show; none when it was not the node.
    fn of(failure: &Failure) -> Option<Self> {
        let what = one_line(failure.report().trim_end());
        match failure {
            Failure::Refused { status, .. } if status.code() == Code::DataLoss => {
                Some(Self::Damaged(what))
            }
            Failure::Refused { .. } | Failure::Unreachable { .. } => Some(Self::Incomplete(what)),
            Failure::Usage(_)
            | Failure::Local { .. }
            | Failure::PerhapsFiled { .. }
            | Failure::OutputClosed => None,
        }
    }

    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Damaged(_) => 10,
            Self::Forked(_) => 11,
            Self::Incomplete(_) => 12,
            Self::OtherPolicy(_) => 2,
        }
    }

    /// Tells it and gives its exit code.
    pub(crate) fn show(&self, output: &Output) -> Result<ExitCode, Failure> {
        let (verdict, headline, what) = self.told();
        let json = || json!({"verdict": verdict, "what": what});
        output.explain(json, || format!("{headline}: {what}"))?;
        Ok(ExitCode::from(self.code()))
    }

    /// Its name and what it is, for scripts and people. Some of it the log says.
    pub(crate) fn told(&self) -> (&'static str, &'static str, String) {
        let (verdict, headline, what) = match self {
            Self::Damaged(what) => ("damaged", "TAMPERED WITH OR DAMAGED", what),
            Self::Forked(what) => ("forked", "FORKED, BEHIND OR TOO OLD", what),
            Self::Incomplete(what) => ("incomplete", "COULD NOT BE READ", what),
            Self::OtherPolicy(what) => ("usage", "ANOTHER LEDGER'S POLICY", what),
        };
        (verdict, headline, one_line(what))
    }
}

pub(crate) async fn run(
    global: &Global,
    wanted: &Verify,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let policy: Policy = read(&wanted.policy)?
        .parse()
        .map_err(|error| Failure::Usage(format!("{}: {error}", wanted.policy.display())))?;
    let kept = match &wanted.checkpoint {
        Some(file) => Some(kept(file, &policy)?),
        None => None,
    };
    if let Some(typed) = &wanted.patient {
        let verified = patient::verify(global, wanted, typed, &policy, kept.as_ref()).await;
        let unread = |failure: Failure| Found::of(&failure).map(Err).ok_or(failure);
        return match verified.or_else(unread)? {
            Ok(intact) => {
                output.show(|| intact.json(), || intact.text())?;
                Ok(ExitCode::SUCCESS)
            }
            Err(found) => found.show(output),
        };
    }
    let token = token_text(global)?.map(|token| token.trim().to_owned());
    let mut source =
        Source::new(wanted.log.as_deref().unwrap_or_default(), token).map_err(Failure::Usage)?;
    let bar = if is_watched() { ProgressBar::new(0) } else { ProgressBar::hidden() };
    let ended = check(&mut source, &policy, kept.as_ref(), wanted.max_age, &bar).await;
    bar.finish_and_clear();
    match ended {
        Ok((checkpoint, authority)) => {
            let json = || intact_json(&checkpoint, &authority);
            output.show(json, || intact_text(&checkpoint, &authority, kept.as_ref()))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(found) => found.show(output),
    }
}

/// A file that was named on the command line.
fn read(file: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(file)
        .map_err(|error| Failure::Usage(format!("{} cannot be read: {error}", file.display())))
}

/// A checkpoint that the user kept. What it is worth is that they did: who signed it may have gone since.
/// But a file that was spoilt, or is of another ledger, accuses nobody.
fn kept(file: &Path, policy: &Policy) -> Result<Checkpoint, Failure> {
    let wrong = |why: String| Failure::Usage(format!("{}: {why}", file.display()));
    let note: SignedNote = read(file)?.parse().map_err(|error| wrong(format!("{error}")))?;
    let checkpoint: Checkpoint = note.text().parse().map_err(|error| wrong(format!("{error}")))?;
    if !policy.log_keys().iter().any(|key| key.name() == checkpoint.origin) {
        let why = format!("it is of {}, and the policy of another ledger", checkpoint.origin);
        return Err(wrong(why));
    }
    match note.verify(&policy.keys()) {
        Err(error @ NoteError::BadSignature) => {
            let why = "it is not what was signed, so not what was kept; take another copy of it";
            Err(wrong(format!("{error}: {why}")))
        }
        Ok(_) | Err(NoteError::NotSigned | NoteError::Form) => Ok(checkpoint),
    }
}

/// The checkpoint of a log, from its bytes.
fn served(policy: &Policy, bytes: Vec<u8>) -> Result<(SignedNote, Checkpoint), Found> {
    let damaged = |error: &dyn std::fmt::Display| Found::Damaged(format!("checkpoint: {error}"));
    let note = String::from_utf8(bytes).map_err(|error| damaged(&error))?;
    let note: SignedNote = note.parse().map_err(|error| damaged(&error))?;
    let checkpoint = opened(policy, &note)?;
    Ok((note, checkpoint))
}

/// Opens a checkpoint as the policy asks. A policy that is for another ledger is not the ledger's fault;
/// but the same ledger from another genesis is, and so is a signature in the policy's name that does not hold.
pub(crate) fn opened(policy: &Policy, note: &SignedNote) -> Result<Checkpoint, Found> {
    let damaged = |error: &dyn std::fmt::Display| Found::Damaged(format!("checkpoint: {error}"));
    let told: Checkpoint = note.text().parse().map_err(|error| damaged(&error))?;
    let ledger = |origin: &str| origin.rsplit_once('/').map(|(ledger, _)| ledger.to_owned());
    let mut origins = policy.log_keys().iter().map(Vkey::name);
    if let Err(error @ NoteError::BadSignature) = note.verify(&policy.keys()) {
        return Err(damaged(&error));
    }
    if origins.clone().all(|origin| ledger(origin) != ledger(&told.origin)) {
        let of = origins.next().unwrap_or_default();
        let what = format!("the policy is for {of}, and this is {}", told.origin);
        return Err(Found::OtherPolicy(what));
    }
    if origins.all(|origin| origin != told.origin) {
        return Err(damaged(
            &"its genesis is not the one that the policy names: another ledger stands \
                             in its place",
        ));
    }
    policy.open(note).map_err(|error| damaged(&error))
}

/// That a node which the administrators admitted has signed a checkpoint as the log, and that the
/// policy counts nobody as a node whom they did not.
fn signed_by_members(
    policy: &Policy,
    note: &SignedNote,
    checkpoint: &Checkpoint,
    authority: &Authority,
) -> Result<(), Found> {
    let damaged = |what: String| Err(Found::Damaged(format!("checkpoint: {what}")));
    // NAME/LEDGER/GENESIS, and a name may have slashes.
    let name = checkpoint.origin.rsplitn(3, '/').nth(2).unwrap_or_default();
    let (mut logs, mut cosigners) = (Vec::new(), Vec::new());
    for (node, member) in &authority.members {
        logs.extend(log_vkey(&checkpoint.origin, &member.keys));
        cosigners.extend(cosigner_vkey(name, *node, &member.keys));
    }
    if note.verify(&logs).is_err() {
        return damaged("no node that the administrators admitted has signed it".to_owned());
    }
    let of_nodes = format!("{name}/node/");
    let mut nodes = policy.keys().into_iter().filter(|key| key.name().starts_with(&of_nodes));
    match nodes.find(|key| !cosigners.contains(key)) {
        Some(key) => damaged(format!(
            "the policy counts {} as a node, whose key the administrators did not admit",
            key.name()
        )),
        None => Ok(()),
    }
}

fn intact_json(checkpoint: &Checkpoint, authority: &Authority) -> Value {
    let member = |(id, member): (&NodeId, &Member)| json!({"node": id.to_string(), "retired": member.retired});
    json!({
        "verdict": "intact",
        "origin": checkpoint.origin,
        "records": checkpoint.size,
        "root": hex::encode(checkpoint.root.0),
        "administrators": authority.administrators.len(),
        "must_sign": authority.threshold,
        "members": authority.members.iter().map(member).collect::<Vec<_>>(),
    })
}

fn intact_text(
    checkpoint: &Checkpoint,
    authority: &Authority,
    kept: Option<&Checkpoint>,
) -> String {
    let continues = kept.map_or_else(String::new, |kept| {
        format!("\nit continues the checkpoint of {} records that was kept", thousands(kept.size))
    });
    let (admitted, active) = (authority.members.len(), authority.active_count());
    format!(
        "intact: {} records of {}\nheaders, chains, commitments and tiles match a checkpoint that the \
         policy accepts{continues}\nnodes admitted: {admitted}, since retired: {}, each signed for by {} of \
         {} administrators; every header names one of them\nnot checked: that it was the named node, which \
         blocks show (fsck), and what bodies say, which needs keys",
        thousands(checkpoint.size),
        checkpoint.origin,
        admitted - active,
        authority.threshold,
        authority.administrators.len(),
    )
}

/// Reads all of it, in order.
async fn check(
    source: &mut Source,
    policy: &Policy,
    kept: Option<&Checkpoint>,
    max_age: Option<u64>,
    bar: &ProgressBar,
) -> Result<(Checkpoint, Authority), Found> {
    let damaged = |error: &dyn std::fmt::Display| Found::Damaged(format!("checkpoint: {error}"));
    let (note, checkpoint) = served(policy, source.read("checkpoint").await?)?;
    fresh(policy, &note, max_age)?;
    if let Some(kept) = kept {
        behind(&checkpoint, kept)?;
    }
    let genesis = checkpoint.origin.rsplit('/').next().and_then(|hash| hash.parse().ok());
    let genesis: Hash = genesis.ok_or_else(|| damaged(&"origin does not end in a genesis hash"))?;
    let mut walk = Walk::new(source, genesis);
    bar.set_length(checkpoint.size);
    while walk.audit().size() < checkpoint.size {
        walk.bundle(checkpoint.size, kept).await?;
        bar.set_position(walk.audit().size());
    }
    if walk.audit().root() != checkpoint.root || !walk.audit().is_whole() {
        return Err(damaged(&"its root is not that of the entries"));
    }
    walk.unfinished().await?;
    let audit = walk.audit();
    dated(policy, &note, audit.latest())?;
    let authority = audit.authority().cloned().unwrap_or_default();
    signed_by_members(policy, &note, &checkpoint, &authority)?;
    Ok((checkpoint, authority))
}

/// How far clocks may be apart, in seconds: what apply allows records in a block.
const CLOCKS: u64 = 60;

/// A checkpoint was cosigned after what it covers, `latest` µs UTC, was recorded; else somebody put
/// back the date, or put records under an old one.
pub(crate) fn dated(policy: &Policy, note: &SignedNote, latest: u64) -> Result<(), Found> {
    let since = (latest / 1_000_000).saturating_sub(CLOCKS);
    match policy.cosigned(note) {
        Some((earliest, _)) if !policy.is_cosigned_within(note, since..=u64::MAX) => {
            Err(Found::Damaged(format!(
                "checkpoint: it was cosigned at {}, and covers records of {}: it is dated back",
                moment(earliest),
                moment(latest / 1_000_000)
            )))
        }
        Some(_) | None => Ok(()),
    }
}

/// A checkpoint that nobody has cosigned for so long is behind, however intact. A time that is still to
/// come says nothing of when that was: it would be fresh until then.
fn fresh(policy: &Policy, note: &SignedNote, max_age: Option<u64>) -> Result<(), Found> {
    let Some(max_age) = max_age else { return Ok(()) };
    let now = u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or_default();
    if policy.is_cosigned_within(note, now.saturating_sub(max_age)..=now.saturating_add(CLOCKS)) {
        return Ok(());
    }
    match policy.cosigned(note) {
        Some((_, latest)) => Err(Found::Forked(format!(
            "its newest checkpoint is not cosigned by the quorum within the last {max_age} s (last by \
             anybody at {}): what came since is not shown",
            moment(latest)
        ))),
        None => Err(Found::Forked("nobody has cosigned its newest checkpoint".to_owned())),
    }
}

fn moment(seconds: u64) -> String {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds).map_or_else(|_| "no time".to_owned(), |at| at.to_string())
}

fn behind(checkpoint: &Checkpoint, kept: &Checkpoint) -> Result<(), Found> {
    if checkpoint.origin != kept.origin {
        return Err(Found::Forked(format!("it is {}, not {}", checkpoint.origin, kept.origin)));
    }
    if checkpoint.size < kept.size {
        return Err(Found::Forked(format!(
            "it has {} records, and the kept checkpoint {}: the end is gone",
            checkpoint.size, kept.size
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use ledger::cosigned::cosigner_name;
    use ledger::note::KeyType;
    use ledger::{NodeKeys, SigningKey};

    use super::*;

    const HOSPITAL: &str = "hospital.example";

    #[test]
    fn what_a_log_says_paints_no_verdict() {
        let (_, headline, what) =
            Found::Incomplete("\u{1b}[2K\rintact: \u{202e}".to_owned()).told();
        assert_eq!((headline, what.as_str()), ("COULD NOT BE READ", " [2K intact:  "));
    }

    /// A checkpoint of the ledger `name`, signed by the log and by a cosigner.
    fn signed(name: &str) -> (Policy, SignedNote) {
        signed_at(name, 1_800_000_000)
    }

    /// The same, as of a time.
    fn signed_at(name: &str, time: u64) -> (Policy, SignedNote) {
        let (log, cosigner) = (SigningKey::from_bytes(&[1; 32]), SigningKey::from_bytes(&[2; 32]));
        let origin = format!("{HOSPITAL}/{name}.0.0/{}", "ab".repeat(32));
        let node = format!("{HOSPITAL}/node/1");
        let checkpoint = Checkpoint { origin: origin.clone(), size: 70, root: Hash([7; 32]) };
        let mut note = checkpoint.to_note().unwrap();
        note.sign(&origin, &log);
        note.cosign(&node, &cosigner, time);
        let vkey = |name: &str, kind, key: &SigningKey| {
            Vkey::new(name, kind, key.verifying_key().to_bytes()).unwrap()
        };
        let log = vkey(&origin, KeyType::Signature, &log);
        let node = vkey(&node, KeyType::Cosignature, &cosigner);
        let policy = format!("log {log}\nwitness node {node}\nquorum node\n");
        (policy.parse().unwrap(), note)
    }

    #[test]
    fn every_bit_of_a_checkpoint_counts() {
        let (policy, note) = signed("records");
        let whole = note.to_string().into_bytes();
        assert!(served(&policy, whole.clone()).is_ok());
        for bit in 0..whole.len() * 8 {
            let mut changed = whole.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let found = served(&policy, changed).map(|(_, checkpoint)| checkpoint);
            assert!(matches!(found, Err(Found::Damaged(_))), "bit {bit}: {found:?}");
        }
    }

    #[test]
    fn a_policy_for_another_ledger_is_not_its_fault() {
        let ((policy, _), (_, other)) = (signed("records"), signed("access"));
        let found = served(&policy, other.to_string().into_bytes());
        assert!(matches!(found, Err(Found::OtherPolicy(_))), "{found:?}");
    }

    #[test]
    fn a_cosignature_of_a_time_to_come_is_not_fresh() {
        let now = u64::try_from(jiff::Timestamp::now().as_second()).unwrap();
        let is_fresh = |time, max_age| {
            let (policy, note) = signed_at("records", time);
            fresh(&policy, &note, max_age).map_err(|found| found.code())
        };
        assert_eq!(is_fresh(now, Some(3600)), Ok(()));
        assert_eq!(is_fresh(now + 30, Some(3600)), Ok(()), "clocks may be so far apart");
        assert_eq!(is_fresh(now - 7200, Some(3600)), Err(11));
        for ahead in [3600, 80 * 365 * 86_400] {
            assert_eq!(is_fresh(now + ahead, Some(3600)), Err(11), "{ahead} s ahead");
            assert_eq!(is_fresh(now + ahead, None), Ok(()), "nobody asked");
        }
    }

    #[test]
    fn nobody_is_a_node_by_the_policy_alone_whatever_the_name() {
        for name in ["hospital.example", "hospital.example/east", "a/b/c"] {
            let keys = [1, 2, 3, 4].map(|seed| SigningKey::from_bytes(&[seed; 32]));
            let [log, cosigner, stranger, block] = &keys;
            let public = |key: &SigningKey| key.verifying_key().to_bytes();
            let origin = format!("{name}/records.0.0/{}", "ab".repeat(32));
            let checkpoint = Checkpoint { origin: origin.clone(), size: 7, root: Hash([7; 32]) };
            let mut note = checkpoint.to_note().unwrap();
            note.sign(&origin, log);
            let node = NodeId([1; 16]);
            let keys = NodeKeys {
                block: public(block),
                checkpoint: public(log),
                cosigner: public(cosigner),
            };
            let members = [(node, Member { keys, retired: false })].into();
            let authority = Authority { members, ..Authority::default() };
            let counts = |node, key: &SigningKey| {
                let log = log_vkey(&origin, &keys).unwrap();
                let name = cosigner_name(name, node);
                let key = Vkey::new(&name, KeyType::Cosignature, public(key)).unwrap();
                let policy = format!("log {log}\nwitness node {key}\nquorum none\n");
                signed_by_members(&policy.parse().unwrap(), &note, &checkpoint, &authority)
            };
            assert!(counts(node, cosigner).is_ok(), "{name}");
            for (node, key) in [(node, stranger), (NodeId([9; 16]), cosigner)] {
                assert!(matches!(counts(node, key), Err(Found::Damaged(_))), "{name} {node}");
            }
        }
    }
}
