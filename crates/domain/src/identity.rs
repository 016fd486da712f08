//! Who a patient file is about.

use crate::check;
use crate::finding::{Finding, code};
use crate::limits::{MAX_ITEMS, MAX_SHORT_TEXT, MAX_URI};
use crate::mask::masked;
use crate::report::{Path, Report};
use crate::value::{
    Address, CodeableConcept, Coding, ContactPoint, FhirDateTime, HumanName, Identifier, SourceId,
};

/// Whether and when the patient died (FHIR R4 `Patient.deceased[x]`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deceased {
    /// Died at that time.
    At(FhirDateTime),
    /// Died, the time is not known.
    Yes,
    /// Known to be alive.
    No,
}

/// Who a patient file is about. Field names are also the paths of the field mask;
/// `delivered` cannot be named.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Identity {
    /// Numbers that hospitals, insurers and registries have given; the issuer comes with each.
    pub identifiers: Vec<Identifier>,
    /// All names, with use and period.
    pub names: Vec<HumanName>,
    /// What the patient wants to be called.
    pub preferred_name: Option<String>,
    /// Date of birth, to the precision known.
    pub birth_date: Option<FhirDateTime>,
    /// Whether and when the patient died; unset: not known.
    pub deceased: Option<Deceased>,
    /// Administrative gender: `male`, `female`, `other` or `unknown` (FHIR R4).
    pub sex: Option<String>,
    /// Sex assigned at birth: `F`, `M`, `UNK`, `OTH` or `ASKU` (US Core birth sex).
    pub sex_at_birth: Option<String>,
    /// Gender identity as stated.
    pub gender_identity: Option<CodeableConcept>,
    /// Preferred language, system `urn:ietf:bcp:47`.
    pub language: Option<Coding>,
    /// Whether an interpreter must be called.
    pub interpreter_needed: Option<bool>,
    /// Addresses, with use and period.
    pub addresses: Vec<Address>,
    /// Telephone numbers, e-mail addresses.
    pub telecoms: Vec<ContactPoint>,
    /// Nobody knows yet who this is: no name is needed.
    pub unidentified: bool,
    /// A label to call an unidentified or protected patient by, such as `Unknown Male 7`.
    pub alias: Option<String>,
    /// How to reach the patient, and no other way: what they asked for and the hospital agreed to
    /// (45 CFR 164.522(b), confidential communications).
    pub confidential_telecoms: Vec<ContactPoint>,
    /// Where to write to the patient, and nowhere else, likewise.
    pub confidential_addresses: Vec<Address>,
    /// Sensitivity and confidentiality labels of the whole file (FHIR `meta.security`): `CEL` of
    /// `http://terminology.hl7.org/CodeSystem/v3-ActCode` for somebody whom the public knows.
    pub labels: Vec<Coding>,
    /// Where it was imported from.
    pub source: Option<SourceId>,
    /// Digest of what the source delivered last, as [`crate::Entry::delivered`].
    pub delivered: Option<[u8; 32]>,
}

masked! {
    Identity {
        identifiers, names, preferred_name, birth_date, deceased, sex, sex_at_birth,
        gender_identity, language, interpreter_needed, addresses, telecoms, unidentified, alias,
        confidential_telecoms, confidential_addresses, labels, source,
    } fixed { delivered }
}

const IDENTIFIER_USES: &[&str] = &["usual", "official", "temp", "secondary", "old"];
const NAME_USES: &[&str] = &["usual", "official", "temp", "nickname", "anonymous", "old", "maiden"];
const ADDRESS_USES: &[&str] = &["home", "work", "temp", "old", "billing"];
const TELECOM_SYSTEMS: &[&str] = &["phone", "fax", "email", "pager", "url", "sms", "other"];
const TELECOM_USES: &[&str] = &["home", "work", "temp", "old", "mobile"];
const SEXES: &[&str] = &["male", "female", "other", "unknown"];
const SEXES_AT_BIRTH: &[&str] = &["F", "M", "UNK", "OTH", "ASKU"];

impl Identity {
    /// What the checks say: violations refuse it, remarks do not.
    #[must_use]
    pub fn validate(&self) -> Vec<Finding> {
        let mut report = Report::default();
        self.check_names(&mut report);
        let report = &mut report;
        report.each(&Path::Root("identifiers"), &self.identifiers, MAX_ITEMS, check_identifier);
        report.each(&Path::Root("addresses"), &self.addresses, MAX_ITEMS, check_address);
        report.each(&Path::Root("telecoms"), &self.telecoms, MAX_ITEMS, check_telecom);
        report.one_of(&Path::Root("sex"), self.sex.as_deref(), SEXES);
        report.one_of(&Path::Root("sex_at_birth"), self.sex_at_birth.as_deref(), SEXES_AT_BIRTH);
        report.optional_concept(&Path::Root("gender_identity"), self.gender_identity.as_ref());
        if let Some(language) = &self.language {
            let at = Path::Root("language");
            report.coding(&at, language);
            if !check::is_language_tag(&language.code) {
                let text = "a language is written as in BCP 47, such as es or zh-Hant";
                report.remark(&at.field("code"), code::LANGUAGE_CODE, text);
            }
        }
        let confidential = Path::Root("confidential_telecoms");
        report.each(&confidential, &self.confidential_telecoms, MAX_ITEMS, check_telecom);
        let confidential = Path::Root("confidential_addresses");
        report.each(&confidential, &self.confidential_addresses, MAX_ITEMS, check_address);
        report.each(&Path::Root("labels"), &self.labels, MAX_ITEMS, Report::coding);
        report.source(&Path::Root("source"), self.source.as_ref());
        self.check_life(report);
        std::mem::take(report).finish("identity")
    }

    fn check_names(&self, report: &mut Report) {
        let at = Path::Root("names");
        if self.names.is_empty() && !self.unidentified {
            report.required(&at, "give a name, or register an unidentified patient");
        }
        report.each(&at, &self.names, MAX_ITEMS, check_name);
        let preferred = Path::Root("preferred_name");
        report.optional_line(&preferred, self.preferred_name.as_deref(), MAX_SHORT_TEXT);
        report.optional_line(&Path::Root("alias"), self.alias.as_deref(), MAX_SHORT_TEXT);
    }

    fn check_life(&self, report: &mut Report) {
        report.date_time(self.birth_date.as_ref());
        let Some(birth) = &self.birth_date else { return };
        if !birth.is_date() {
            let text = "a birth date has no time of day";
            report.violation(&Path::Root("birth_date"), code::DATE_EXPECTED, text);
        }
        if let Some(Deceased::At(death)) = &self.deceased
            // Dates have no offset: a day's grace for the time zones.
            && death.latest() + DAY_MICROS < birth.earliest()
        {
            let text = "the patient cannot have died before the birth date";
            report.violation(&Path::Root("deceased"), code::CONTRADICTION, text);
        }
    }
}

/// Microseconds in a day.
const DAY_MICROS: i64 = 86_400_000_000;

fn check_identifier(report: &mut Report, at: &Path<'_>, identifier: &Identifier) {
    report.line(&at.field("system"), &identifier.system, MAX_URI);
    report.line(&at.field("value"), &identifier.value, MAX_URI);
    report.one_of(&at.field("use"), identifier.r#use.as_deref(), IDENTIFIER_USES);
    report.optional_concept(&at.field("kind"), identifier.kind.as_ref());
    report.period(&at.field("period"), identifier.period.as_ref());
    if let Some(fault) = check::coding(&identifier.system, &identifier.value) {
        report.remark(&at.field("value"), fault.code, fault.text);
    }
}

fn check_name(report: &mut Report, at: &Path<'_>, name: &HumanName) {
    if name.text.is_none() && name.family.is_none() && name.given.is_empty() {
        report.required(at, "give the text, the family name or a given name");
    }
    report.one_of(&at.field("use"), name.r#use.as_deref(), NAME_USES);
    report.optional_line(&at.field("text"), name.text.as_deref(), MAX_SHORT_TEXT);
    report.optional_line(&at.field("family"), name.family.as_deref(), MAX_SHORT_TEXT);
    check_parts(report, &at.field("given"), &name.given);
    check_parts(report, &at.field("prefix"), &name.prefix);
    check_parts(report, &at.field("suffix"), &name.suffix);
    report.period(&at.field("period"), name.period.as_ref());
}

fn check_address(report: &mut Report, at: &Path<'_>, address: &Address) {
    report.one_of(&at.field("use"), address.r#use.as_deref(), ADDRESS_USES);
    check_parts(report, &at.field("line"), &address.line);
    for (name, part) in [
        ("city", &address.city),
        ("district", &address.district),
        ("state", &address.state),
        ("postal_code", &address.postal_code),
        ("country", &address.country),
    ] {
        report.optional_line(&at.field(name), part.as_deref(), MAX_SHORT_TEXT);
    }
    report.optional_lines(&at.field("text"), address.text.as_deref(), MAX_SHORT_TEXT);
    report.period(&at.field("period"), address.period.as_ref());
}

fn check_telecom(report: &mut Report, at: &Path<'_>, telecom: &ContactPoint) {
    report.one_of(&at.field("system"), telecom.system.as_deref(), TELECOM_SYSTEMS);
    report.line(&at.field("value"), &telecom.value, MAX_SHORT_TEXT);
    report.one_of(&at.field("use"), telecom.r#use.as_deref(), TELECOM_USES);
    if telecom.rank == Some(0) {
        report.violation(&at.field("rank"), code::VALUE_NOT_ALLOWED, "ranks begin with 1");
    }
    report.period(&at.field("period"), telecom.period.as_ref());
}

fn check_parts(report: &mut Report, at: &Path<'_>, parts: &[String]) {
    report.each(at, parts, MAX_ITEMS, |report, at, part| {
        report.line(at, part, MAX_SHORT_TEXT);
    });
}
