//! Import: what a source system holds is brought on file, once, however often it is sent.
//!
//! An item is known by its source id. One that says what it said last is unchanged, whatever was
//! changed by hand since; one that says something else is amended; a bad item is refused and the
//! others are not.

mod outcome;
mod same;
mod spoken;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use domain::{Amendment, Command, Entry, EntryId, EntryState, Event, Identity, PatientFile};
use domain::{PatientId, Rejection, finding_code};
use ledger::{Hash, SubjectId, commitment};

use crate::access::{Barred, Pass};
use crate::answers::{Filed, Receipt};
use crate::commands::{MAX_CHANGES, violations};
use crate::context::Context;
use crate::engine::Engine;
use crate::failure::Failure;
use crate::filing::{Decided, Filing, draft};
use crate::masking::{Class, Masked};
use crate::queries::{ANEW, grows};
use crate::registry;
use crate::showing::{Ended, Saw};
pub use outcome::ImportOutcome;
use spoken::{fields_of_entry, fields_of_identity};

/// The reason that amendments by import carry.
const REASON: &str = "imported again with other content";

/// Items of one patient, to be filed in one contribution.
struct Items {
    patient: PatientId,
    ids: Vec<EntryId>,
    named: Vec<(EntryId, Entry)>,
    /// Who imports, and why.
    asker: Context,
}

/// What deciding on items came to.
enum Judged {
    /// What becomes of each, what the importer may not see, and what lets them in.
    Each(Vec<ImportOutcome>, Masked, Box<Pass>),
    /// The file is at this version by now, and the importer is to be admitted on that.
    Newer(u64),
}

impl Engine {
    /// Whether the caller may import at all; a denial is on record, in the trail of the patient whom
    /// they named first, if they did. Each item is decided on besides.
    ///
    /// # Errors
    /// [`Failure::Denied`], and whatever keeps that from being recorded.
    pub async fn may_import(
        &self,
        ctx: &Context,
        patient: Option<PatientId>,
    ) -> Result<(), Failure> {
        // Who is answered item by item, as of a patient who is nobody, is so on record, too.
        let hidden = |barred: Barred| barred.hidden;
        if self.judge(ctx, patient, &[]).is_ok_and(|judged| judged.is_err_and(hidden)) {
            return Ok(());
        }
        match self.admit(ctx, patient).await {
            Ok(_) | Err(Failure::NotFound) => Ok(()),
            Err(failure) => Err(failure),
        }
    }

    /// Brings a patient's identity on file: registered when none of its numbers is known, else
    /// amended where it says something else. With the receipt of what that showed, if anything.
    ///
    /// # Errors
    /// See [`Failure`]; a faulty identity is an outcome, not an error.
    pub async fn import_patient(
        &self,
        ctx: &Context,
        mut identity: Identity,
    ) -> Result<(Option<PatientId>, ImportOutcome, Option<Receipt>), Failure> {
        let found = identity.validate();
        let wrong = violations(&found, "");
        if !wrong.is_empty() {
            return Ok((None, ImportOutcome::Invalid { violations: wrong }, None));
        }
        identity.delivered = delivered_identity(&identity)?;
        let filed = self.register_unless_known(ctx, &identity).await?;
        let (patient, receipt) = (filed.patient, filed.receipt);
        if !filed.existed {
            let Filed { position, remarks, remarks_withheld: withheld, .. } = filed;
            let outcome = ImportOutcome::Filed { entry: None, position, remarks, withheld };
            return Ok((Some(patient), outcome, receipt));
        }
        self.is_the_same(ctx, patient, &identity).await?;
        let version = filed.version;
        let request_id = self.request_id_for(&ctx.request, version)?;
        let mask = fields_of_identity(&identity);
        let command = Command::AmendIdentity {
            identity,
            mask,
            how: Amendment::Amendment,
            reason: REASON.to_owned(),
        };
        match self.contribute(ctx, &request_id, patient, None, vec![command]).await {
            Ok(filed) => {
                let last = filed.receipt.or(receipt);
                let Filed { position, remarks, remarks_withheld: withheld, .. } = filed;
                let outcome = ImportOutcome::Amended { entry: None, position, remarks, withheld };
                Ok((Some(patient), outcome, last))
            }
            Err(Failure::Refused { reason, .. }) if reason == Rejection::NothingChanged.code() => {
                Ok((Some(patient), ImportOutcome::Unchanged { entry: None }, receipt))
            }
            Err(Failure::Invalid(mut violations)) => {
                for violation in &mut violations {
                    // The identity is the one change.
                    let within = violation.field.strip_prefix("changes[0].").unwrap_or("identity");
                    violation.field = within.to_owned();
                }
                Ok((Some(patient), ImportOutcome::Invalid { violations }, receipt))
            }
            Err(failure) => Err(failure),
        }
    }

    /// Registers a patient none of whose numbers is known, else finds them. Only the registry can tell:
    /// that the same was registered once does not say whose the numbers are now.
    async fn register_unless_known(
        &self,
        ctx: &Context,
        identity: &Identity,
    ) -> Result<Filed, Failure> {
        let numbers = registry::numbers(identity);
        let store = self.shelf.never_to_be_shown();
        let mut holders = BTreeSet::new();
        for number in &numbers {
            holders.extend(store.reader().find_identifier(&number.system, &number.value)?);
        }
        // Of numbers that name several patients, registering tells.
        let patient = match holders.pop_first().filter(|_| holders.is_empty()) {
            Some(patient) => patient,
            None => {
                // Every registration and release of a number changes its bucket: an id is settled
                // only where the same is registered at the same moment.
                let mut version = 0;
                for number in &numbers {
                    version += self.number_version(&number.system, &number.value)?;
                }
                // Amendments are told apart by the file's version, which may be the same number.
                let asked = [b"registration", ctx.request.as_slice()].concat();
                let request_id = self.request_id_for(&asked, version)?;
                let filed = self.register(ctx, &request_id, identity.clone()).await?;
                if filed.first {
                    return Ok(filed);
                }
                filed.patient
            }
        };
        self.found(ctx, patient).await
    }

    /// Brings entries of one patient on file in one contribution, at most [`MAX_CHANGES`], each with
    /// its source. One outcome an entry, in order, and the receipt for having been told them.
    ///
    /// # Errors
    /// See [`Failure`]; a faulty entry is an outcome, not an error.
    pub async fn import_entries(
        &self,
        ctx: &Context,
        patient: PatientId,
        entries: Vec<Entry>,
    ) -> Result<(Vec<ImportOutcome>, Option<Receipt>), Failure> {
        let mut pass = match self.admit(ctx, Some(patient)).await {
            Err(Failure::NotFound) => {
                // Nobody's file has no version.
                let request_id = self.request_id_for(&ctx.request, 0)?;
                return Err(self.not_to_be_known(ctx, &request_id).await);
            }
            admitted => admitted?,
        };
        if entries.len() > MAX_CHANGES {
            return Err(Failure::internal("a larger group than one contribution holds"));
        }
        let count = entries.len();
        let mut named = Vec::with_capacity(count);
        for mut entry in entries {
            entry.delivered = delivered_entry(&entry)?;
            let source =
                entry.source.as_ref().ok_or_else(|| Failure::internal("an item without source"))?;
            named.push((self.entry_id_for(patient, source)?, entry));
        }
        let subject = SubjectId(patient.0);
        let line = &self.records.line;
        let version = line.store.head(line.ledger, subject)?.map_or(0, |head| head.version);
        let request_id = self.request_id_for(&ctx.request, version)?;
        let ids = named.iter().map(|(id, _)| *id).collect();
        let items = Arc::new(Items { patient, ids, named, asker: ctx.asker() });
        let mut anew = 0..ANEW;
        let filing = loop {
            let request = self.request(ctx, &request_id, vec![subject])?;
            let (decided, given) = (Arc::clone(&items), pass.clone());
            let decide = move |engine: &Self| engine.decide_items(&decided, &given);
            match self.file(request, decide).await {
                Ok(Filing::Nothing(Judged::Newer(version))) => {
                    anew.next().ok_or_else(grows)?;
                    pass = self.admit_on(ctx, patient, version).await?;
                }
                Ok(filing) => break filing,
                Err(failure) => return Err(self.refused(ctx, &pass, patient, failure).await),
            }
        };
        let (judged, position) = match filing {
            Filing::Filed { first_position, count, head: _, answer } => {
                (answer, commitment::end(first_position, count))
            }
            Filing::Nothing(answer) => (answer, 0),
            // Another stream brought the same items at the same version a moment ago; this one filed
            // nothing, and asked again it finds them unchanged.
            Filing::Repeated { .. } => {
                return Err(Failure::NotFiled {
                    why: "the same items were imported at the same moment".to_owned(),
                });
            }
        };
        let Judged::Each(outcomes, masked, pass) = judged else {
            return Err(Failure::internal("an import without outcomes"));
        };
        let outcomes: Vec<_> = outcomes.into_iter().map(|outcome| outcome.at(position)).collect();
        let recorded = self.tell_outcomes(ctx, &pass, patient, &outcomes, masked).await;
        told(outcomes, recorded)
    }

    /// Decides on the file as it stands.
    fn decide_items(&self, items: &Items, given: &Pass) -> Result<Decided<Judged>, Failure> {
        let (patient, subject) = (items.patient, SubjectId(items.patient.0));
        let file = self.load_for(patient, &items.ids, false)?;
        let on = (patient, file.version);
        let Some(pass) = self.still_admitted(&items.asker, on, &[], given)? else {
            return Ok(Decided::Nothing(Judged::Newer(file.version)));
        };
        let on_file = |state: &EntryState| (state.id, [Class::of(&state.entry)]);
        let classes: BTreeMap<_, _> = file.entries.values().map(on_file).collect();
        let masked = pass.masked(classes.values().flatten())?;
        let hidden = |id: &EntryId| classes.get(id).is_some_and(|of| masked.hides(*id, of));
        let (events, outcomes) = decide_each(file, &items.named, hidden);
        let answer = Judged::Each(outcomes, masked, Box::new(pass));
        if events.is_empty() {
            return Ok(Decided::Nothing(answer));
        }
        let keys = self.keys_of(patient)?;
        let drafts = events
            .iter()
            .map(|event| draft(subject, keys.file, event))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Decided::File { drafts, answer })
    }

    /// The patient that a number belongs to, for items that name their patient so. Recorded as a
    /// query, with the patient.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn resolve_for_import(
        &self,
        ctx: &Context,
        issuer: &str,
        value: &str,
    ) -> Result<Option<PatientId>, Failure> {
        match self.find_patient(ctx, issuer, value, |patient| (patient, patient.0.to_vec())).await {
            Ok(shown) => Ok(Some(shown.answer)),
            Err(Failure::NotFound) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Whether a number is that of a patient who was found by an identity that has it.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn has_number(
        &self,
        patient: PatientId,
        issuer: &str,
        value: &str,
    ) -> Result<bool, Failure> {
        let store = self.shelf.never_to_be_shown();
        Ok(store.reader().find_identifier(issuer, value)? == Some(patient))
    }

    /// That an item was on file already, or what the checks say of it, is a showing.
    async fn tell_outcomes(
        &self,
        ctx: &Context,
        pass: &Pass,
        patient: PatientId,
        outcomes: &[ImportOutcome],
        masked: Masked,
    ) -> Result<Receipt, Failure> {
        let letter = |outcome: &ImportOutcome| match outcome {
            ImportOutcome::Filed { .. } => 'f',
            ImportOutcome::Amended { .. } => 'a',
            ImportOutcome::Unchanged { .. } => 'u',
            ImportOutcome::Invalid { .. }
            | ImportOutcome::Refused { .. }
            | ImportOutcome::Masked => 'r',
            ImportOutcome::Untold => '-',
        };
        let told = outcomes.iter().map(letter).collect();
        let position = self.records.line.progress().size;
        let saw = Saw { position, masked, ..Saw::told(outcomes.len(), told) };
        self.ended(ctx, pass, Some(patient), Ended::Shown, &saw).await
    }

    /// An item's request id is a hash of its source, content and the version it is decided on: the
    /// same import again asks the same, and a change in between asks anew.
    fn request_id_for(&self, content: &[u8], version: u64) -> Result<String, Failure> {
        let mut bytes = content.to_vec();
        bytes.extend_from_slice(&version.to_be_bytes());
        Ok(format!("import-{}", self.vault.digest("import", &bytes)?))
    }
}

/// What an entry's source delivers, if it has one: for [`Entry::delivered`].
pub(crate) fn delivered_entry(entry: &Entry) -> Result<Option<[u8; 32]>, Failure> {
    let Some(_) = entry.source else { return Ok(None) };
    let said = schema::encode_delivered_entry(entry).map_err(Failure::internal)?;
    Ok(Some(Hash::of(&said).0))
}

/// What the source of an identity delivers, if it has one: for [`Identity::delivered`].
pub(crate) fn delivered_identity(identity: &Identity) -> Result<Option<[u8; 32]>, Failure> {
    let Some(_) = identity.source else { return Ok(None) };
    let said = schema::encode_delivered_identity(identity).map_err(Failure::internal)?;
    Ok(Some(Hash::of(&said).0))
}

/// Once it is known whether the telling is on the trail: without a record nothing of the file is
/// shown, but what is on file is acknowledged. When nothing was filed, the failure says it all.
fn told(
    outcomes: Vec<ImportOutcome>,
    recorded: Result<Receipt, Failure>,
) -> Result<(Vec<ImportOutcome>, Option<Receipt>), Failure> {
    let failure = match recorded {
        Ok(receipt) => return Ok((outcomes, Some(receipt))),
        Err(failure) => failure,
    };
    let on_file = |outcome: &ImportOutcome| {
        matches!(outcome, ImportOutcome::Filed { .. } | ImportOutcome::Amended { .. })
    };
    if !outcomes.iter().any(on_file) {
        return Err(failure);
    }
    tracing::error!(?failure, "what else there is to say of an import is withheld");
    Ok((outcomes.into_iter().map(ImportOutcome::withheld).collect(), None))
}

/// A source that takes a final status back corrects itself: only a correction may do that.
fn decide_import(file: &PatientFile, command: Command) -> Result<Vec<Event>, Rejection> {
    match (domain::decide(file, &command), command) {
        (
            Err(Rejection::StatusStepNotAllowed),
            Command::AmendEntry { id, entry, mask, reason, .. },
        ) => {
            let how = Amendment::Correction;
            domain::decide(file, &Command::AmendEntry { id, entry, mask, how, reason })
        }
        (decided, _) => decided,
    }
}

/// Whether its source says that it was entered in error.
fn is_taken_back(entry: &Entry) -> bool {
    entry.validate().iter().any(|finding| finding.code == finding_code::RETRACT_INSTEAD)
}

/// Decides item after item; a refused one leaves the file as it was. Entries that are hidden from the
/// importer are not changed.
fn decide_each(
    mut file: PatientFile,
    named: &[(EntryId, Entry)],
    hidden: impl Fn(&EntryId) -> bool,
) -> (Vec<Event>, Vec<ImportOutcome>) {
    let mut events = Vec::new();
    let mut outcomes = Vec::with_capacity(named.len());
    for (id, entry) in named {
        if hidden(id) {
            outcomes.push(ImportOutcome::Masked);
            continue;
        }
        let known = file.entries.contains_key(id);
        let command = if known {
            Command::AmendEntry {
                id: *id,
                entry: entry.clone(),
                mask: fields_of_entry(entry),
                how: Amendment::Amendment,
                reason: REASON.to_owned(),
            }
        } else {
            Command::AddEntry { id: *id, entry: entry.clone() }
        };
        let decided = match decide_import(&file, command) {
            Ok(decided) => decided,
            Err(Rejection::NothingChanged) => {
                outcomes.push(ImportOutcome::Unchanged { entry: Some(*id) });
                continue;
            }
            Err(Rejection::EntryRetracted) if is_taken_back(entry) => {
                outcomes.push(ImportOutcome::Unchanged { entry: Some(*id) });
                continue;
            }
            Err(Rejection::Invalid(_)) if known && is_taken_back(entry) => {
                outcomes.push(ImportOutcome::still_standing(*id));
                continue;
            }
            Err(rejection) => {
                outcomes.push(ImportOutcome::refused(&rejection));
                continue;
            }
        };
        let mut remarks = Vec::new();
        for event in decided {
            let stamp = domain::Stamp { version: file.version + 1, ..domain::Stamp::default() };
            domain::evolve(&mut file, &event, stamp);
            remarks.extend(event.remarks());
            events.push(event);
        }
        let (entry, position) = (Some(*id), 0);
        outcomes.push(if known {
            ImportOutcome::Amended { entry, position, remarks, withheld: false }
        } else {
            ImportOutcome::Filed { entry, position, remarks, withheld: false }
        });
    }
    (events, outcomes)
}

#[cfg(test)]
mod tests;
