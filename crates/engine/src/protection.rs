//! What an emergency access does not change: who may see the file when it is over.

use domain::{Command, EntryId, Kind};

use crate::Failure;

/// What such a change is refused with.
const REASON: &str = "PROTECTION_STANDS";

/// Refuses changes made in an emergency access that would decide who may see the file, or an entry of it,
/// after that: labels of the identity or of an entry, consents, care teams. Breaking the glass opens for
/// hours and is reviewed; what it could take away or give would last. `kind_of`: of an entry on file.
pub(crate) fn stands(
    changes: &[Command],
    kind_of: impl Fn(&EntryId) -> Option<Kind>,
) -> Result<(), Failure> {
    let decides = |kind: Kind| matches!(kind, Kind::Consent | Kind::CareTeam);
    let on_file = |id: &EntryId| kind_of(id).is_some_and(decides);
    let relabels = |mask: &[String]| mask.iter().any(|field| field == "labels");
    let lasts = |change: &Command| match change {
        Command::Register(_) => false,
        Command::AmendIdentity { mask, .. } => relabels(mask),
        Command::AddEntry { entry, .. } => decides(entry.detail.kind()),
        Command::AmendEntry { id, mask, .. } => relabels(mask) || on_file(id),
        Command::RetractEntry { id, .. } => on_file(id),
    };
    let Some(index) = changes.iter().position(lasts) else { return Ok(()) };
    Err(Failure::Refused {
        reason: REASON,
        subject: format!("changes[{index}]"),
        message: "labels, consents and care teams say who may see the file later, and are not changed in an \
                  emergency access (purpose BTG): change them for your ordinary purpose, or have somebody \
                  do it who may"
            .to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use domain::{Amendment, CareTeam, Consent, Detail, Entry, Identity, Note};

    use super::*;

    const CONSENT: EntryId = EntryId([1; 16]);
    const NOTE: EntryId = EntryId([2; 16]);

    fn kind_of(id: &EntryId) -> Option<Kind> {
        [(CONSENT, Kind::Consent), (NOTE, Kind::Note)]
            .into_iter()
            .find_map(|(one, kind)| (one == *id).then_some(kind))
    }

    fn entry(detail: Detail) -> Entry {
        Entry { detail, ..Entry::default() }
    }

    fn amended(id: EntryId, field: &str) -> Command {
        Command::AmendEntry {
            id,
            entry: entry(Detail::Note(Note::default())),
            mask: vec![field.to_owned()],
            how: Amendment::Correction,
            reason: "r".to_owned(),
        }
    }

    fn identity(field: &str) -> Command {
        Command::AmendIdentity {
            identity: Identity::default(),
            mask: vec![field.to_owned()],
            how: Amendment::Correction,
            reason: "r".to_owned(),
        }
    }

    #[test]
    fn what_decides_on_the_file_later_stands_and_all_else_may_be_filed() {
        let retracted = |id| Command::RetractEntry { id, reason: "r".to_owned() };
        let added = |detail| Command::AddEntry { id: EntryId([9; 16]), entry: entry(detail) };
        for refused in [
            identity("labels"),
            amended(NOTE, "labels"),
            amended(CONSENT, "status"),
            retracted(CONSENT),
            added(Detail::Consent(Consent::default())),
            added(Detail::CareTeam(CareTeam::default())),
        ] {
            let changes = [retracted(NOTE), refused];
            let said = stands(&changes, kind_of).expect_err("it would last");
            assert!(
                matches!(&said, Failure::Refused { reason: REASON, subject, .. } if subject == "changes[1]"),
                "{said:?}"
            );
        }
        let usual = [
            identity("names"),
            amended(NOTE, "note"),
            retracted(NOTE),
            added(Detail::Note(Note::default())),
        ];
        assert!(stands(&usual, kind_of).is_ok());
    }
}
