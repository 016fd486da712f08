//! What to do about what a server says, in terms of this program.

use tonic::Code;

use super::{NOT_REPRODUCED, OUTCOME_UNKNOWN};

/// What to do about it; `glass`: whether emergency access could open it.
pub(super) fn advice(call: &str, code: Code, reason: &str, glass: bool) -> &'static str {
    match (code, reason) {
        (_, "TOKEN_EXPIRED" | "TOKEN_NOT_YET_VALID") => "get a new token",
        (_, "CREDENTIALS_MISSING") => "give --token-file, --token or CASELEDGER_TOKEN",
        (_, "CERTIFICATE_MISSING") => {
            "give --cert and --cert-key, or CASELEDGER_CERT and CASELEDGER_CERT_KEY"
        }
        (_, "CERTIFICATE_REFUSED") => "check the client certificate with whoever signed it",
        (_, "TOKEN_KEY_UNKNOWN") => "try again in some seconds, then get a new token",
        (_, "TOKEN_ISSUER_UNREACHED") => {
            "try another node, or this one in half a minute; what cannot wait takes an emergency credential"
        }
        (_, "TOKEN_USE_NOT_RECORDED") => "try another node, and tell hospital IT",
        (_, "TOKEN_SERVICE_MISMATCH") => {
            "get a token that was issued for your certificate's service"
        }
        (Code::Unauthenticated, _) => "check the token and its issuer with whoever gave it to you",
        (Code::PermissionDenied, _) => denied(call, reason, glass),
        (_, NOT_REPRODUCED) => "tell hospital IT: what is stored may not be what was",
        (_, "REASON_MISSING") => "say with --reason why",
        (_, "STATUS_STEP_NOT_ALLOWED") if call == "PrivacyIncidentService/AmendIncident" => {
            "open it again: caseledger incident amend ID --reopen --reason TEXT"
        }
        (Code::NotFound, _) => not_found(call),
        (_, "NOT_FILED") => {
            "this call filed nothing; try again, under the same request id, here or at another node; \
             `caseledger status` names what is wrong"
        }
        (_, OUTCOME_UNKNOWN) => "repeat with the same request id, or use `caseledger settle`",
        (Code::Aborted, _) => "reload the file and decide anew",
        (Code::ResourceExhausted, _) => "try again a little later",
        (_, "MESSAGE_TOO_LARGE") => "send less at once",
        (Code::InvalidArgument, _) if call == "PrivacyIncidentService/AmendIncident" => {
            "correct the fields named above: caseledger incident amend files an assessment with --assessment, \
             a notice with --notice"
        }
        (Code::InvalidArgument, _) => "correct the fields named above",
        (Code::DataLoss, _) => "tell hospital IT: `caseledger status` names the alarm",
        (Code::DeadlineExceeded | Code::Unavailable, _) => "try again",
        (Code::Internal | Code::Unknown, _) => "tell hospital IT the id and the time",
        (Code::Unimplemented, _) => "the server is older than this program, or not Caseledger",
        _ => "see the message above",
    }
}

fn denied(call: &str, reason: &str, glass: bool) -> &'static str {
    match (reason, glass) {
        // No emergency access covers such a call.
        ("GLASS_NOT_BROKEN", false) => {
            "state the purpose that you have without the emergency (--purpose); the denial is on record"
        }
        ("GLASS_NOT_BROKEN", true) => {
            "break the glass first (caseledger emergency start), or state another purpose (--purpose); the \
             denial is on record"
        }
        // Neither a role nor, as a rule, a purpose would change it.
        ("FORBIDDEN", true) => {
            "in an emergency, break the glass (caseledger emergency start) and call again with --purpose \
             BTG; otherwise ask the privacy office; the denial is on record"
        }
        ("FORBIDDEN", false) => "ask the privacy office; the denial is on record",
        _ if call.ends_with("/FindPatient") => {
            "state the purpose that you really have (--purpose), name the patient by id, or ask for a role \
             that may look numbers up; the denial is on record"
        }
        (_, true) => {
            "state the purpose that you really have (--purpose); in an emergency, break the glass (caseledger \
             emergency start); or ask for a role that permits it; the denial is on record"
        }
        (_, false) => {
            "state the purpose that you really have (--purpose), or ask for a role that permits it; the \
             denial is on record"
        }
    }
}

/// What was looked for by this call. What is hidden is not told from what is not there.
fn not_found(call: &str) -> &'static str {
    match call {
        "StaffService/LinkOwnFile" => {
            "put the person into the directory first (caseledger staff put), and check the patient's id"
        }
        "StaffService/GetPractitionerRole" => {
            "check the person's id (caseledger staff list), or put the person into the directory first \
             (caseledger staff put)"
        }
        "PatientFileService/GetPatientFile" => {
            "check the id, and --as-of: there is none, or not at that version or time; you may also lack \
             permission to know"
        }
        "PrivacyIncidentService/GetIncident" | "PrivacyIncidentService/AmendIncident" => {
            "check the incident's id (caseledger incident list --all)"
        }
        "EmergencyAccessService/EndEmergencyAccess" => {
            "check the id that caseledger emergency start told: it has to be an emergency access of your own"
        }
        "EmergencyAccessService/CloseReview" => {
            "check the id of the emergency access (caseledger emergency list)"
        }
        "AuditService/Replay" => "check the position (caseledger audit list)",
        _ if call.starts_with("PolicyService/") => "check the set's id (caseledger policy list)",
        _ => "check the id or number; you may also lack permission to know",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_has_not_broken_the_glass_is_told_how_where_that_opens_anything() {
        for call in ["PatientFileService/FindPatient", "PatientFileService/GetPatientFile"] {
            let told = |glass| advice(call, Code::PermissionDenied, "GLASS_NOT_BROKEN", glass);
            let (how, instead) = (told(true), told(false));
            assert!(how.starts_with("break the glass first (caseledger emergency start)"), "{how}");
            assert!(instead.contains("(--purpose)") && !instead.contains("glass"), "{instead}");
        }
    }

    #[test]
    fn what_was_not_filed_or_is_too_long_is_told_so() {
        let told = |code, reason| advice("PatientFileService/Contribute", code, reason, false);
        let not_filed = told(Code::Unavailable, "NOT_FILED");
        assert!(not_filed.contains("another node") && not_filed.contains("caseledger status"));
        let incident = "PrivacyIncidentService/AmendIncident";
        let long = advice(incident, Code::InvalidArgument, "MESSAGE_TOO_LARGE", false);
        assert_eq!((long, told(Code::InvalidArgument, "MESSAGE_TOO_LARGE")), (long, long));
        assert_eq!(long, "send less at once");
    }

    #[test]
    fn nobody_is_sent_for_a_role_that_would_not_help() {
        for call in ["PatientFileService/FindPatient", "PatientFileService/GetPatientFile"] {
            for glass in [true, false] {
                let told = advice(call, Code::PermissionDenied, "FORBIDDEN", glass);
                assert!(!told.contains("role") && told.contains("privacy office"), "{told}");
                assert_eq!(told.contains("caseledger emergency start"), glass, "{told}");
            }
        }
        let told = advice("A/B", Code::PermissionDenied, "ROLE", true);
        assert!(told.contains("caseledger emergency start") && told.contains("a role"), "{told}");
    }

    #[test]
    fn what_was_looked_for_is_named() {
        for (call, named) in [
            ("StaffService/LinkOwnFile", "caseledger staff put"),
            ("StaffService/GetPractitionerRole", "caseledger staff list"),
            ("PatientFileService/GetPatientFile", "--as-of"),
            ("PrivacyIncidentService/GetIncident", "caseledger incident list"),
            ("EmergencyAccessService/EndEmergencyAccess", "caseledger emergency start"),
            ("EmergencyAccessService/CloseReview", "caseledger emergency list"),
            ("PolicyService/GetPolicy", "caseledger policy list"),
            ("AuditService/Replay", "position"),
            ("PatientFileService/GetPatientHistory", "id or number"),
        ] {
            let told = advice(call, Code::NotFound, "NOT_FOUND", false);
            assert!(told.contains(named), "{call}: {told}");
        }
    }

    #[test]
    fn what_is_missing_is_named_by_its_option() {
        let call = "PrivacyIncidentService/AmendIncident";
        let told = |code, reason| advice(call, code, reason, false);
        assert!(told(Code::FailedPrecondition, "STATUS_STEP_NOT_ALLOWED").contains("--reopen"));
        assert!(told(Code::InvalidArgument, "INVALID_FIELDS").contains("--assessment"));
        assert!(told(Code::FailedPrecondition, "REASON_MISSING").contains("--reason"));
    }
}
