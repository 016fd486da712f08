//! People who work at the hospital.

use crate::mirror::{Text, mirror_struct};
use crate::v1::value::{FileId, Period};

mirror_struct! {
    PractitionerRole<'a> = domain::PractitionerRole {
        person: Text<'a>,
        name: Text<'a>,
        references: Vec<Text<'a>>,
        roles: Vec<Text<'a>>,
        units: Vec<Text<'a>>,
        organization: Option<Text<'a>>,
        period: Option<Period<'a>>,
        patient: Option<FileId>,
    }
}
