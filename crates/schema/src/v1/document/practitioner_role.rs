//! People who work at the hospital.

use serde::Deserialize;

use crate::mirror::{Text, mirror_struct};
use crate::v1::value::{FileId, Period};

mirror_struct! {
    Duty<'a> = domain::Duty {
        unit: Text<'a>,
        period: Period<'a>,
    }
}

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
        duties: Vec<Duty<'a>>,
    }
}

/// The form before there were duties. Read still, and not written any more.
#[derive(Deserialize)]
pub(crate) struct WithoutDuties<'a> {
    person: Text<'a>,
    name: Text<'a>,
    references: Vec<Text<'a>>,
    roles: Vec<Text<'a>>,
    units: Vec<Text<'a>>,
    organization: Option<Text<'a>>,
    period: Option<Period<'a>>,
    patient: Option<FileId>,
}

impl<'a> WithoutDuties<'a> {
    /// In the next form.
    pub(crate) fn upcast(self) -> PractitionerRole<'a> {
        let Self { person, name, references, roles, units, organization, period, patient } = self;
        let duties = Vec::new();
        PractitionerRole {
            person,
            name,
            references,
            roles,
            units,
            organization,
            period,
            patient,
            duties,
        }
    }
}
