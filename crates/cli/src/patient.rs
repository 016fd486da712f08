//! Which patient is meant.

use api::v1;
use api::v1::patient_file_service_client::PatientFileServiceClient;

use crate::connection::{Authenticated, timed};
use crate::failure::Failure;
use crate::options::Global;

/// A patient as typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    Id(String),
    Number { issuer: String, value: String },
}

/// Reads PATIENT: an id, `ISSUER|NUMBER`, `ISSUER=NUMBER`, or a number of the default issuer.
pub(crate) fn parse(text: &str, issuer: &str) -> Result<Named, Failure> {
    if text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(Named::Id(text.to_ascii_lowercase()));
    }
    // issuers are URIs, which may hold '='; numbers do not
    let pair = text.split_once('|').or_else(|| text.rsplit_once('='));
    let (issuer, value) = pair.unwrap_or((issuer, text));
    if issuer.is_empty() || value.is_empty() {
        return Err(Failure::Usage(
            "PATIENT is an id of 32 hex digits, ISSUER|NUMBER, or a number of --issuer".to_owned(),
        ));
    }
    Ok(Named::Number { issuer: issuer.to_owned(), value: value.to_owned() })
}

/// The patient as a request names one, by id or number.
pub(crate) fn selector(named: Named) -> v1::PatientSelector {
    use v1::patient_selector::Patient;
    let patient = match named {
        Named::Id(id) => Patient::PatientId(id),
        Named::Number { issuer, value } => Patient::Number(v1::PatientNumber { issuer, value }),
    };
    v1::PatientSelector { patient: Some(patient) }
}

/// The patient's id; looks a number up, which is recorded.
pub(crate) async fn resolve(
    client: &mut PatientFileServiceClient<Authenticated>,
    global: &Global,
    purpose: v1::Purpose,
    named: Named,
) -> Result<String, Failure> {
    let (issuer, value) = match named {
        Named::Id(id) => return Ok(id),
        Named::Number { issuer, value } => (issuer, value),
    };
    let request = v1::FindPatientRequest { issuer, value, purpose: Some(purpose) };
    let found = client
        .find_patient(timed(request))
        .await
        .map_err(|status| Failure::of(&global.server, "PatientFileService/FindPatient", status))?;
    Ok(found.into_inner().patient_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(issuer: &str, value: &str) -> Named {
        Named::Number { issuer: issuer.to_owned(), value: value.to_owned() }
    }

    #[test]
    fn every_form_of_patient_is_understood() {
        let id = "5F3A1C0E9D1B4B7E8F550A6F4F3E2D10";
        assert_eq!(parse(id, "i").unwrap(), Named::Id(id.to_ascii_lowercase()));
        assert_eq!(parse("https://h/mrn|MRN-1", "i").unwrap(), number("https://h/mrn", "MRN-1"));
        assert_eq!(parse("https://h/mrn=MRN-1", "i").unwrap(), number("https://h/mrn", "MRN-1"));
        assert_eq!(parse("https://h?a=b=MRN-1", "i").unwrap(), number("https://h?a=b", "MRN-1"));
        assert_eq!(parse("https://h/mrn|a=b", "i").unwrap(), number("https://h/mrn", "a=b"));
        assert_eq!(parse("MRN-1", "i").unwrap(), number("i", "MRN-1"));
        for wrong in ["", "|x", "x|", "=x"] {
            assert_eq!(parse(wrong, "i").unwrap_err().exit_code(), 2, "{wrong}");
        }
    }
}
