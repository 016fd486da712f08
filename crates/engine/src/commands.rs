//! Registering patients and filing changes.

mod checks;

use std::collections::BTreeSet;
use std::sync::Arc;

use domain::{
    Command, EntryId, Event, Finding, Identity, PatientFile, PatientId, Severity, SourceId,
};
use ledger::{ContributionId, Hash, Header, SubjectId, commitment};
use vault::PatientKeyIds;

use crate::access::{Grounds, Pass};
use crate::answers::Filed;
use crate::context::Context;
use crate::engine::Engine;
use crate::failure::Failure;
use crate::filing::{Decided, Filing, draft, first_half};
use crate::import::{delivered_entry, delivered_identity};
use crate::masking::{Class, Masked};
use crate::protection;
use crate::queries::{ANEW, grows};
use crate::registry::{self, Claim};
use crate::showing::Saw;
use checks::check_commands;
pub(crate) use checks::{check_request_id, rejected, violations};

/// Commands in one contribution: `ledger`'s limit of records, with room for the registry's.
pub const MAX_CHANGES: usize = 200;

/// What is to be filed in one patient's file.
struct Changes {
    patient: PatientId,
    expected_version: Option<u64>,
    commands: Vec<Command>,
    /// The entries that the commands name and that may be on file.
    entries: Vec<EntryId>,
    /// Who is to file them, and why.
    asker: Context,
}

/// What changes came to.
enum Changed {
    /// They are to be filed as these events, with these remarks, by whom this lets in.
    Filed(Vec<Event>, Vec<Finding>, Pass),
    /// The file is at this version by now, and its caller is to be admitted on that.
    Newer(u64),
    /// The identity is not the one that the chains were chosen for.
    OtherGround,
    /// They would give the patient numbers that are these other patients'.
    Held(BTreeSet<PatientId>),
    /// They would change entries of these classes, which the caller may not see on these grounds.
    Masked(Masked, Grounds),
}

/// What commands name.
struct Named {
    /// Every entry, in the order of the commands.
    entries: Vec<EntryId>,
    /// Those of them that may be on file: not an id that is made of the request's, for a request
    /// that is on file is not decided again.
    known: Vec<EntryId>,
}

/// What a registration came to.
#[derive(Clone, Debug)]
enum Registered {
    New(PatientId),
    /// The numbers are these patients' already.
    Held(BTreeSet<PatientId>),
}

impl Engine {
    /// Registers a patient. When one of the hospital numbers is on file already, that patient is
    /// the answer and nothing is filed: two nodes that register one number at once make one patient.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn register(
        &self,
        ctx: &Context,
        request_id: &str,
        mut identity: Identity,
    ) -> Result<Filed, Failure> {
        let pass = self.admit(ctx, None).await?;
        check_request_id(request_id)?;
        identity.delivered = delivered_identity(&identity)?;
        let numbers = registry::numbers(&identity);
        let request = self.request(ctx, request_id, self.buckets(&numbers)?)?;
        let mut spare: Option<PatientKeyIds> = None;
        let command = Command::Register(identity);
        let remarks_of = command.clone();
        let decide = move |engine: &Self| engine.decide_registration(&command, &mut spare);
        let filing = match self.file(request, decide).await {
            Ok(filing) => filing,
            Err(failure) => return Err(self.refused(ctx, &pass, None, failure).await),
        };
        match filing {
            Filing::Filed { first_position, count, head: _, answer: Registered::New(patient) } => {
                let mut filed = filed(patient, 1, first_position, count);
                filed.remarks = remarks(&decide_only(&remarks_of)?);
                Ok(self.tell_remarks(ctx, &pass, filed).await)
            }
            Filing::Repeated { first_position, count } => {
                self.repeated(first_position, count, Vec::new())
            }
            Filing::Nothing(Registered::Held(holders)) => match holders.first() {
                Some(patient) if holders.len() == 1 => self.found(ctx, *patient).await,
                Some(_) | None => {
                    let failure = registry::taken(&holders);
                    Err(self.refused_of(ctx, &pass, &holders, failure).await)
                }
            },
            Filing::Filed { .. } | Filing::Nothing(_) => {
                Err(Failure::internal("a registration without records"))
            }
        }
    }

    fn decide_registration(
        &self,
        command: &Command,
        spare: &mut Option<PatientKeyIds>,
    ) -> Result<Decided<Registered>, Failure> {
        let Command::Register(identity) = command else {
            return Err(Failure::internal("not a registration"));
        };
        let events = decide(&PatientFile::default(), command)?;
        let keys = match *spare {
            Some(keys) if self.is_nobodys(&keys)? => keys,
            Some(_) | None => *spare.insert(self.nobodys_keys()?),
        };
        let patient = PatientId(keys.subject.0);
        let mut drafts = match self.claim(&registry::numbers(identity), patient)? {
            Claim::Taken(holders) => return Ok(Decided::Nothing(Registered::Held(holders))),
            Claim::Free(drafts) => drafts,
        };
        for event in &events {
            drafts.push(draft(keys.subject, keys.file, event)?);
        }
        Ok(Decided::File { drafts, answer: Registered::New(patient) })
    }

    /// Keys for a new patient. Those of a key database that was put back from an older copy may have
    /// been given to somebody since.
    fn nobodys_keys(&self) -> Result<PatientKeyIds, Failure> {
        loop {
            let keys = self.take_keys()?;
            if self.is_nobodys(&keys)? {
                return Ok(keys);
            }
        }
    }

    fn is_nobodys(&self, keys: &PatientKeyIds) -> Result<bool, Failure> {
        let line = &self.records.line;
        Ok(line.store.head(line.ledger, keys.subject)?.is_none())
    }

    /// Files changes in one patient's file, all or nothing.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn contribute(
        &self,
        ctx: &Context,
        request_id: &str,
        patient: PatientId,
        expected_version: Option<u64>,
        mut commands: Vec<Command>,
    ) -> Result<Filed, Failure> {
        // Whoever's file it is, or nobody's.
        check_request_id(request_id)?;
        check_commands(&commands)?;
        let id = Self::contribution_id(&ctx.caller, request_id);
        let Named { entries, known } = self.name_entries(patient, &id, &mut commands)?;
        let mut pass = match self.admit_changes(ctx, Some(patient), &commands).await {
            Err(Failure::NotFound) => return Err(self.not_to_be_known(ctx, request_id).await),
            admitted => admitted?,
        };
        let asker = ctx.asker();
        let changes = Changes { patient, expected_version, commands, entries: known, asker };
        let changes = Arc::new(changes);
        let mut anew = 0..ANEW;
        let (filing, by) = loop {
            let ground = self.ground(patient, &changes.commands)?;
            let request = self.request(ctx, request_id, ground.chains)?;
            let by = request.actor;
            let (decided, given) = (Arc::clone(&changes), pass.clone());
            let decide =
                move |engine: &Self| engine.decide_changes(&decided, &given, ground.identity);
            match self.file(request, decide).await {
                // Somebody else amended the identity before the chains were held: other buckets.
                Ok(Filing::Nothing(Changed::OtherGround)) => {}
                Ok(Filing::Nothing(Changed::Newer(version))) => {
                    anew.next().ok_or_else(grows)?;
                    let (on, commands) = ((patient, version), &changes.commands);
                    pass = self.admit_changes_on(ctx, on, commands).await?;
                }
                filing => break (filing, by),
            }
        };
        match filing {
            Ok(Filing::Filed {
                first_position,
                count,
                head,
                answer: Changed::Filed(events, remarks, pass),
            }) => {
                self.facts_filed(patient, by, &events, head);
                let mut filed = filed(patient, head.version, first_position, count);
                filed.entries = entries;
                filed.remarks = remarks;
                Ok(self.tell_remarks(ctx, &pass, filed).await)
            }
            Ok(Filing::Repeated { first_position, count }) => {
                self.repeated(first_position, count, entries)
            }
            Ok(Filing::Nothing(Changed::Masked(masked, grounds))) => {
                Err(self.deny_change(ctx, patient, &grounds, masked).await)
            }
            Ok(Filing::Nothing(Changed::Held(holders))) => {
                let failure = registry::taken(&holders);
                let concerned = holders.into_iter().chain([patient]).collect();
                Err(self.refused_of(ctx, &pass, &concerned, failure).await)
            }
            Ok(Filing::Filed { .. } | Filing::Nothing(_)) => {
                Err(Failure::internal("a contribution without records"))
            }
            Err(failure) => Err(self.refused(ctx, &pass, patient, failure).await),
        }
    }

    /// What a caller hears of changes for a patient of whom they may not know: what they would of nobody's.
    pub(crate) async fn not_to_be_known(&self, ctx: &Context, request_id: &str) -> Failure {
        let nobodys = |_: &Self| Err::<Decided<()>, _>(Failure::NotFound);
        let filed = match self.request(ctx, request_id, Vec::new()) {
            Ok(request) => self.file(request, nobodys).await,
            Err(failure) => return failure,
        };
        filed.err().unwrap_or(Failure::NotFound)
    }

    /// Decides on the file as it stands.
    fn decide_changes(
        &self,
        changes: &Changes,
        given: &Pass,
        identity: Option<u64>,
    ) -> Result<Decided<Changed>, Failure> {
        let patient = changes.patient;
        let about_identity = |command: &Command| matches!(command, Command::AmendIdentity { .. });
        let with_identity = changes.commands.iter().any(about_identity);
        let file = self.load_for(patient, &changes.entries, with_identity)?;
        let (asker, on) = (&changes.asker, (patient, file.version));
        let Some(pass) = self.still_admitted(asker, on, &changes.commands, given)? else {
            return Ok(Decided::Nothing(Changed::Newer(file.version)));
        };
        if let Some(expected) = changes.expected_version
            && expected != file.version
        {
            return Err(Failure::VersionConflict { current: file.version });
        }
        if identity.is_some_and(|version| version != file.identity_stamp.version) {
            return Ok(Decided::Nothing(Changed::OtherGround));
        }
        // Before anything is said of what stands there.
        let classes: Vec<_> = file.entries.values().map(|state| Class::of(&state.entry)).collect();
        if let Some((masked, grounds)) = pass.hidden(&classes)? {
            return Ok(Decided::Nothing(Changed::Masked(masked, grounds)));
        }
        if pass.grounds().facts.emergency.is_some() {
            let kind_of = |id: &EntryId| Some(file.entries.get(id)?.entry.detail.kind());
            protection::stands(&changes.commands, kind_of)?;
        }
        let before = file.identity.clone().unwrap_or_default();
        let (events, found) = decide_all(file, &changes.commands)?;
        let keys = self.keys_of(patient)?;
        let mut drafts = match self.registry_drafts(&before, &events, patient)? {
            Claim::Taken(holders) => return Ok(Decided::Nothing(Changed::Held(holders))),
            Claim::Free(drafts) => drafts,
        };
        for event in &events {
            drafts.push(draft(SubjectId(patient.0), keys.file, event)?);
        }
        Ok(Decided::File { drafts, answer: Changed::Filed(events, found, pass) })
    }

    /// Gives every new entry its id: derived from its source where it has one (so that an import
    /// finds it again), else from the request (so that a repeated request names the same).
    fn name_entries(
        &self,
        patient: PatientId,
        id: &ContributionId,
        commands: &mut [Command],
    ) -> Result<Named, Failure> {
        let mut entries = Vec::with_capacity(commands.len());
        let mut known = Vec::new();
        for (index, command) in (0_u64..).zip(commands) {
            match command {
                Command::AddEntry { id: entry_id, entry } => {
                    entry.delivered = delivered_entry(entry)?;
                    match (&entry.source, *entry_id) {
                        (None, EntryId::ZERO) => *entry_id = derived_entry_id(id, index),
                        (Some(source), EntryId::ZERO) => {
                            *entry_id = self.entry_id_for(patient, source)?;
                            known.push(*entry_id);
                        }
                        (_, given) => known.push(given),
                    }
                    entries.push(*entry_id);
                }
                Command::AmendEntry { id, .. } | Command::RetractEntry { id, .. } => {
                    entries.push(*id);
                    known.push(*id);
                }
                Command::Register(_) | Command::AmendIdentity { .. } => {}
            }
        }
        Ok(Named { entries, known })
    }

    /// The entry that this source's item becomes in this file.
    ///
    /// # Errors
    /// When the system's keys have not arrived yet.
    pub fn entry_id_for(&self, patient: PatientId, source: &SourceId) -> Result<EntryId, Failure> {
        let parts: [&[u8]; 3] = [&patient.0, source.system.as_bytes(), source.value.as_bytes()];
        Ok(EntryId(first_half(&self.vault.index_term("entry", &parts)?)))
    }

    /// The part of a file that deciding about these entries, and about the identity if it is asked
    /// for, needs: its cost does not grow with the file's length.
    pub(crate) fn load_for(
        &self,
        patient: PatientId,
        entries: &[EntryId],
        identity: bool,
    ) -> Result<PatientFile, Failure> {
        let subject = SubjectId(patient.0);
        // Asked first: what its key came for before this is in the rows that are read.
        let up_to_date = self.is_up_to_date(subject)?;
        let reader = self.shelf.never_to_be_shown().reader();
        if !up_to_date {
            return Err(self.no_file(&reader, subject)?);
        }
        let mut file = PatientFile { registered: true, ..PatientFile::default() };
        if identity {
            let Some(header) = reader.file_header(subject)? else {
                return Err(self.no_file(&reader, subject)?);
            };
            file.version = header.version;
            file.identity = Some(header.identity);
            file.identity_stamp = header.stamp;
        } else if let Some(version) = reader.file_version(subject)? {
            file.version = version;
        } else {
            return Err(self.no_file(&reader, subject)?);
        }
        // The first record of a file registers its patient: there is nothing to look for yet.
        let entries = if file.version > 1 { entries } else { &[] };
        for id in entries {
            if let Some(entry) = reader.entry(subject, *id)? {
                file.entries.insert(*id, entry);
            }
        }
        Ok(file)
    }

    /// Whether what this node has of a file is as new as its ledger: the key is here, or destroyed, and the
    /// views were made since it came.
    fn is_up_to_date(&self, subject: SubjectId) -> Result<bool, Failure> {
        // In this order: a file is noted before its key is here.
        Ok(self.key_is_here(subject)? && !self.vault.is_to_fold(subject))
    }

    /// Whether the key of a file is here, or destroyed; not, while it is missing.
    pub(crate) fn key_is_here(&self, subject: SubjectId) -> Result<bool, Failure> {
        let ids = self.vault.keys_of(subject)?;
        Ok(ids.map_or(Ok(true), |ids| self.vault.is_missing(ids.file)).map(|missing| !missing)?)
    }

    pub(crate) fn header_at(&self, position: u64) -> Result<Header, Failure> {
        let line = &self.records.line;
        let damaged = || Failure::Damaged { what: format!("record {position} of {}", line.ledger) };
        let size = line.state()?.size;
        match line.store.reader().record(line.ledger, position)? {
            Some(record) => Ok(record.header),
            // Its contribution is known to be settled a moment before the ledger has it.
            None if position >= size => Err(Failure::OutcomeUnknown),
            None => Err(damaged()),
        }
    }

    /// The first outcome of a repeated request, from what is on file.
    fn repeated(&self, first: u64, count: u16, entries: Vec<EntryId>) -> Result<Filed, Failure> {
        let header = self.header_at(commitment::end(first, count) - 1)?;
        let mut filed = filed(PatientId(header.subject.0), header.version, first, count);
        filed.entries = entries;
        filed.first = false;
        Ok(filed)
    }

    /// Remarks speak of what is on file: they are recorded before they leave, or stay.
    async fn tell_remarks(&self, ctx: &Context, pass: &Pass, filed: Filed) -> Filed {
        if filed.remarks.is_empty() {
            return filed;
        }
        let line = |remark: &Finding| format!("{} {}", remark.code, remark.field);
        let told: Vec<_> = filed.remarks.iter().map(line).collect();
        let (version, position) = (filed.version, filed.position);
        let saw = Saw { version, position, ..Saw::told(told.len(), told.join("\n")) };
        let recorded = self.showed(ctx, pass, filed.patient, &saw).await;
        filed.told(recorded)
    }
}

/// Decides command after command, each on what those before it leave.
pub(crate) fn decide_all(
    mut file: PatientFile,
    commands: &[Command],
) -> Result<(Vec<Event>, Vec<Finding>), Failure> {
    let mut events = Vec::new();
    let mut found = Vec::new();
    for (index, command) in commands.iter().enumerate() {
        let decided = domain::decide(&file, command)
            .map_err(|rejection| rejected(&rejection, &format!("changes[{index}].")))?;
        for event in decided {
            let stamp = domain::Stamp { version: file.version + 1, ..domain::Stamp::default() };
            domain::evolve(&mut file, &event, stamp);
            found.extend(remarks(std::slice::from_ref(&event)).into_iter().map(|mut remark| {
                remark.field = format!("changes[{index}].{}", remark.field);
                remark
            }));
            events.push(event);
        }
    }
    Ok((events, found))
}

fn decide(file: &PatientFile, command: &Command) -> Result<Vec<Event>, Failure> {
    domain::decide(file, command).map_err(|rejection| rejected(&rejection, ""))
}

fn decide_only(command: &Command) -> Result<Vec<Event>, Failure> {
    decide(&PatientFile::default(), command)
}

fn remarks(events: &[Event]) -> Vec<Finding> {
    events
        .iter()
        .flat_map(Event::remarks)
        .filter(|finding| finding.severity == Severity::Remark)
        .collect()
}

pub(crate) fn filed(patient: PatientId, version: u64, first_position: u64, count: u16) -> Filed {
    Filed {
        patient,
        version,
        position: commitment::end(first_position, count),
        entries: Vec::new(),
        first: true,
        existed: false,
        remarks: Vec::new(),
        remarks_withheld: false,
        receipt: None,
    }
}

fn derived_entry_id(id: &ContributionId, index: u64) -> EntryId {
    let mut bytes = b"caseledger/entry/v1".to_vec();
    bytes.extend_from_slice(&id.0);
    bytes.extend_from_slice(&index.to_be_bytes());
    EntryId(first_half(&Hash::of(&bytes).0))
}
