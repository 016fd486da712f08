//! One patient: what the node shows is on file, is all of it, and is what its records say, as the node
//! reads them: here they are opened, not decoded. `prove` packs a `check.py` that decodes them without it.

use std::collections::BTreeMap;

use api::v1;
use api::v1::event::Event;
use api::v1::patient_file_service_client::PatientFileServiceClient;
use api::v1::proof_service_client::ProofServiceClient;
use ledger::checkpoint::Checkpoint;
use ledger::policy::Policy;
use ledger::proof::verify_consistency;
use ledger::{Hash, SubjectId};
use serde_json::{Value, json};

use super::options::Verify;
use super::{Found, behind, fresh};
use crate::connection::{connect, timed};
use crate::evidence::{self, About, Checked};
use crate::failure::Failure;
use crate::file;
use crate::options::{Global, LedgerKind};
use crate::output::thousands;
use crate::patient;
use crate::purpose::{self, Otherwise};

/// An intact patient.
pub(super) struct Intact {
    id: String,
    /// Of a patient named by number: whether their records show that it is theirs.
    number: Option<bool>,
    checkpoint: Checkpoint,
    records: usize,
    opened: usize,
    /// Version of the file that was compared with its records; none when none was.
    file: Option<u64>,
}

impl Intact {
    pub(super) fn json(&self) -> Value {
        json!({"verdict": "intact", "origin": self.checkpoint.origin, "size": self.checkpoint.size,
            "patient": self.id, "number_shown": self.number, "records": self.records,
            "opened": self.opened, "file_version": self.file,
            "records_read_by": self.file.map(|_| "node")})
    }

    pub(super) fn text(&self) -> String {
        let Self { id, number, checkpoint, records, opened, file } = self;
        let patient = match number {
            Some(true) => {
                format!("\nthe patient is {id}, in whose records the number typed stands")
            }
            Some(false) => {
                format!("\nthe patient is {id}: that the number typed is theirs is the node's word")
            }
            None => String::new(),
        };
        let file = match file {
            Some(version) => format!(
                "\nthe patient file at version {version} is what these records say, as the node reads \
                 them: `caseledger prove` and its check.py read them without it"
            ),
            None if opened < records => {
                "\nnot checked: what they say, as not every record can be opened".to_owned()
            }
            None => String::new(),
        };
        format!(
            "intact: {records} record(s) about the patient, {opened} of them opened, and no others under \
             the checkpoint of {} leaves of {}{file}{patient}",
            thousands(checkpoint.size),
            checkpoint.origin
        )
    }
}

pub(super) async fn verify(
    global: &Global,
    wanted: &Verify,
    typed: &str,
    policy: &Policy,
    kept: Option<&Checkpoint>,
) -> Result<Result<Intact, Found>, Failure> {
    let purpose = purpose::of(global, Otherwise::Always("HCOMPL"))?;
    let named = patient::parse(typed, &wanted.issuer.issuer)?;
    let mut files = PatientFileServiceClient::new(connect(global).await?);
    let id = patient::resolve(&mut files, global, purpose.clone(), named.clone()).await?;
    let subject: SubjectId =
        id.parse().map_err(|error| Failure::local("read the patient's id", error))?;
    // First: the evidence then covers at least what is shown here.
    let mut file = match wanted.which.ledger {
        LedgerKind::Records => file::whole(&mut files, global, &id, &purpose).await?,
        LedgerKind::Access => None,
    };
    let request = v1::ProveRequest {
        purpose: Some(purpose.clone()),
        ledger: Some(wanted.which.ledger.id()),
        about: Some(v1::prove_request::About::PatientId(id.clone())),
        contents: true,
    };
    let evidence = match evidence::fetch(global, request).await? {
        Ok(evidence) => evidence,
        Err(found) => return Ok(Err(found)),
    };
    let (checkpoint, checked) =
        match evidence.check(policy, wanted.which.ledger.of(), About::Patient(subject)) {
            Ok(checked) => checked,
            Err(found) => return Ok(Err(found)),
        };
    if let Err(found) = fresh(policy, &evidence.note, wanted.max_age) {
        return Ok(Err(found));
    }
    if let Some(kept) = kept {
        if let Err(found) = behind(&checkpoint, kept) {
            return Ok(Err(found));
        }
        if !continues(global, wanted, kept, &checkpoint).await? {
            let what = "the ledger is not the one that the kept checkpoint covers";
            return Ok(Err(Found::Forked(what.to_owned())));
        }
    }
    let last = checked.last().map_or(0, |one| one.version);
    if file.as_ref().is_some_and(|file| file.version < last) {
        // More was filed in between. By now it has to be shown.
        file = file::whole(&mut files, global, &id, &purpose).await?;
    }
    let masked = |file: &v1::PatientFile| file.entries.iter().any(|state| state.masked);
    if file.as_ref().is_some_and(masked) {
        return Ok(Err(Found::Incomplete(
            "the access policies mask entries of the file to you: have it verified by somebody who may \
             see all of it"
                .to_owned(),
        )));
    }
    let ledger = wanted.which.ledger;
    let compared = compared(ledger, file.as_ref(), &checked)
        .and_then(|file| Ok((file, evidence::bears(Some(&named), ledger.of(), &checked)?)));
    let opened = checked.iter().filter(|one| one.opened).count();
    Ok(compared.map(|(file, number)| {
        let records = checked.len();
        Intact { id, number, checkpoint, records, opened, file }
    }))
}

/// The version of the file that is what these records say; none when there is nothing to compare.
fn compared(
    ledger: LedgerKind,
    file: Option<&v1::PatientFile>,
    checked: &[Checked<'_>],
) -> Result<Option<u64>, Found> {
    if ledger == LedgerKind::Access {
        return Ok(None);
    }
    // Whoever withholds keys is not to be spared the comparison, nor is who shows no file.
    let shut = checked.iter().filter(|one| !one.opened).count();
    if shut > 0 {
        return Err(Found::Incomplete(format!(
            "{shut} of {} record(s) about the patient came without what opens them, which the node \
             withholds or has not (a key that was destroyed, or is not here yet): that they are on file is \
             shown, what they say is not",
            checked.len()
        )));
    }
    let last = checked.last().map_or(0, |one| one.version);
    match file {
        // More was filed in between, or another node of the name gave the evidence.
        Some(file) if file.version > last => Err(Found::Incomplete(format!(
            "the file is shown at version {}, and the evidence reaches version {last}: more was filed \
             meanwhile, or the node that gave it is behind. Verify again; if this stays so, the file \
             shows what was never filed",
            file.version
        ))),
        Some(file) => follows(file, checked).map(|()| Some(file.version)).map_err(Found::Damaged),
        None if checked.is_empty() => Ok(None),
        None => {
            Err(Found::Damaged("the node shows no file, and its records can be opened".to_owned()))
        }
    }
}

/// Whether the tree of `to` continues that of the checkpoint that was kept.
async fn continues(
    global: &Global,
    wanted: &Verify,
    kept: &Checkpoint,
    to: &Checkpoint,
) -> Result<bool, Failure> {
    let mut client = ProofServiceClient::new(connect(global).await?);
    let ledger = Some(wanted.which.ledger.id());
    let request = v1::GetConsistencyProofRequest { ledger, size: kept.size, to_size: to.size };
    let answer = client.get_consistency_proof(timed(request)).await.map_err(|status| {
        Failure::of(&global.server, "ProofService/GetConsistencyProof", status)
    })?;
    let hashes = answer.into_inner().hashes;
    let hashes: Option<Vec<Hash>> = hashes.iter().map(|hash| Hash::from_slice(hash)).collect();
    Ok(hashes.is_some_and(|hashes| {
        verify_consistency(kept.size, to.size, &kept.root, &to.root, &hashes)
    }))
}

/// An entry as its records leave it: what it says, and whether it was taken back.
type Left<'e> = (Option<&'e v1::Entry>, bool);

/// Whether the file that was shown is what its records say, up to its version: what they say is the
/// node's reading of what was opened here.
fn follows(file: &v1::PatientFile, checked: &[Checked<'_>]) -> Result<(), String> {
    let mut identity = None;
    let mut entries: BTreeMap<&str, Left<'_>> = BTreeMap::new();
    for one in checked {
        let Some(v1::evidence_leaf::Content::Event(filed)) = &one.leaf.content else {
            return Err(format!("record {} says nothing that can be read", one.leaf.position));
        };
        if one.version > file.version {
            return Err(format!(
                "the file is shown as of version {}, and record {} is version {}: what came since is \
                 withheld",
                file.version, one.leaf.position, one.version
            ));
        }
        match filed.event.as_ref().and_then(|event| event.event.as_ref()) {
            Some(Event::PatientRegistered(event)) => identity = event.identity.as_ref(),
            Some(Event::IdentityAmended(event)) => identity = event.identity.as_ref(),
            Some(Event::EntryAdded(event)) => {
                entries.insert(&event.entry_id, (event.entry.as_ref(), false));
            }
            Some(Event::EntryAmended(event)) => {
                entries.insert(&event.entry_id, (event.entry.as_ref(), false));
            }
            Some(Event::EntryRetracted(event)) => {
                entries.entry(&event.entry_id).or_insert((None, true)).1 = true;
            }
            // Evidence masks nothing.
            Some(Event::EntryMasked(_)) | None => {
                return Err(format!("record {} says nothing that is known", one.leaf.position));
            }
        }
    }
    if file.identity.as_ref() != identity {
        return Err("the file shows another identity than its records say".to_owned());
    }
    let shown: BTreeMap<&str, Left<'_>> = file
        .entries
        .iter()
        .map(|state| (state.entry_id.as_str(), (state.entry.as_ref(), state.retracted)))
        .collect();
    if shown == entries {
        return Ok(());
    }
    let differs = entries.iter().find(|(id, left)| shown.get(*id) != Some(*left));
    let differs = differs.or_else(|| shown.iter().find(|(id, _)| !entries.contains_key(*id)));
    let id = differs.map_or("", |(id, _)| *id);
    Err(format!("the file shows the entry {id} otherwise than its records say"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::tests::{identity, registered};

    #[test]
    fn records_that_were_not_opened_are_not_intact() {
        let leaf = registered(&["7"]);
        let checked = |opened| [Checked { leaf: &leaf, version: 1, opened }];
        let identity = Some(identity(&["7"]));
        let file = v1::PatientFile { identity, version: 1, ..v1::PatientFile::default() };
        let told = |ledger, opened, file| match compared(ledger, file, &checked(opened)) {
            Ok(version) => (0, version),
            Err(found) => (found.code(), None),
        };
        assert_eq!(told(LedgerKind::Records, true, Some(&file)), (0, Some(1)));
        assert_eq!(told(LedgerKind::Records, true, None), (10, None), "no file is shown");
        assert_eq!(told(LedgerKind::Records, false, Some(&file)), (12, None), "a key is withheld");
        assert_eq!(told(LedgerKind::Records, false, None), (12, None), "and the file too");
        assert_eq!(told(LedgerKind::Access, false, None), (0, None), "it has no file to compare");
        assert!(matches!(compared(LedgerKind::Records, None, &[]), Ok(None)), "nobody's id");
    }

    #[test]
    fn a_file_that_is_further_than_its_evidence_accuses_nobody() {
        let leaf = registered(&["7"]);
        let checked = [Checked { leaf: &leaf, version: 1, opened: true }];
        let identity = Some(identity(&["7", "8"]));
        let mut file = v1::PatientFile { identity, version: 2, ..v1::PatientFile::default() };
        for evidence in [checked.as_slice(), &[]] {
            let found = compared(LedgerKind::Records, Some(&file), evidence);
            assert!(matches!(found, Err(Found::Incomplete(_))), "{found:?}");
        }
        file.version = 1;
        let found = compared(LedgerKind::Records, Some(&file), &checked);
        assert!(matches!(found, Err(Found::Damaged(_))), "of the same version: {found:?}");
    }
}
