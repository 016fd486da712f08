//! Whether an identity is of the patient who was found by one of its numbers.

use domain::{Identity, PatientId};
use ledger::SubjectId;

use crate::Failure;
use crate::context::Context;
use crate::engine::Engine;
use crate::registry;

impl Engine {
    /// Refuses an identity that was found by a number which people may share, such as a family's
    /// account, when it and the patient have medical record numbers of one issuer of their own.
    pub(super) async fn is_the_same(
        &self,
        ctx: &Context,
        patient: PatientId,
        identity: &Identity,
    ) -> Result<(), Failure> {
        let store = self.shelf.never_to_be_shown();
        let Some(header) = store.reader().file_header(SubjectId(patient.0))? else { return Ok(()) };
        let on_file = header.identity;
        // A source may correct the number of whom it delivered.
        let delivered = on_file.source.is_some() && on_file.source == identity.source;
        if delivered || !registry::records_differ(&on_file, identity) {
            return Ok(());
        }
        for number in registry::medical_records(identity) {
            // The patient may have had it once.
            if store.reader().find_identifier(&number.system, &number.value)? == Some(patient) {
                return Ok(());
            }
        }
        let why = "a number of this identity belongs to a patient on file who has another medical \
                   record number of the same issuer; find out whether they are one person, and \
                   give a number that people share its type";
        let pass = self.admit(ctx, Some(patient)).await?;
        let failure = Failure::refused("IDENTIFIERS_DISAGREE", why);
        Err(self.refused(ctx, &pass, patient, failure).await)
    }
}
