//! Why the caller looks or files: what was typed, or what the role in the token usually means.

use api::v1;
use serde::Deserialize;

use crate::connection;
use crate::failure::Failure;
use crate::options::Global;

/// What a call is made for when nothing was typed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Otherwise {
    /// The command has one purpose.
    Always(&'static str),
    /// It depends on who asks: the token's one role tells.
    ByRole,
}

/// A code as typed, in any case. Whether it is one, the server says: it knows which there are.
pub(crate) fn code(typed: &str) -> Result<String, &'static str> {
    let fits = !typed.is_empty() && typed.bytes().all(|byte| byte.is_ascii_alphabetic());
    if fits { Ok(typed.to_ascii_uppercase()) } else { Err("a purpose is a code of letters") }
}

/// The purpose that goes with a call.
pub(crate) fn of(global: &Global, otherwise: Otherwise) -> Result<v1::Purpose, Failure> {
    let purpose_of_use = match (&global.purpose, otherwise) {
        (Some(typed), _) => typed.clone(),
        (None, Otherwise::Always(code)) => code.to_owned(),
        (None, Otherwise::ByRole) => {
            let Some(token) = connection::token_text(global)? else {
                return Err(Failure::Usage(
                    "there is no token: give --token-file, --token or CASELEDGER_TOKEN".to_owned(),
                ));
            };
            by_role(token.trim())?.to_owned()
        }
    };
    let reason = global.reason.clone().unwrap_or_default();
    if purpose_of_use == "BTG" && reason.trim().is_empty() {
        let told = "say with --reason why, in your own words: the purpose BTG needs it";
        return Err(Failure::Usage(told.to_owned()));
    }
    Ok(v1::Purpose { purpose_of_use, reason })
}

/// The claim that is looked at. Nothing is verified: the server does that, and a forged claim
/// gains nothing but another default.
#[derive(Deserialize)]
struct Claims {
    roles: Vec<String>,
}

fn by_role(token: &str) -> Result<&'static str, Failure> {
    let needed = |why: &str| Failure::Usage(format!("{why}: say with --purpose why you look"));
    let claims: Claims = jsonwebtoken::dangerous::insecure_decode_claims(token)
        .map_err(|_| needed("the token does not say your role"))?;
    match claims.roles.as_slice() {
        [role] => usual(role).ok_or_else(|| needed("your role has no usual purpose")),
        _ => Err(needed("the token does not name exactly one role")),
    }
}

/// What a role usually reads files for.
fn usual(role: &str) -> Option<&'static str> {
    Some(match role {
        "case-manager" => "CAREMGT",
        "physician" | "nurse" => "TREAT",
        "registrar" => "PATADMIN",
        "billing" => "HPAYMT",
        "compliance-officer" | "auditor" => "HCOMPL",
        "hospital-it" => "HOPERAT",
        "patient-representative" => "PATRQT",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn global(arguments: &[&str]) -> Global {
        let line = ["caseledger"].iter().chain(arguments).chain(&["status"]);
        crate::options::Options::try_parse_from(line).unwrap().global
    }

    // header and claims of {"roles": [...]}; the signature is nobody's
    const NURSE: &str = "eyJhbGciOiJFZERTQSJ9.eyJyb2xlcyI6WyJudXJzZSJdfQ.AA";
    const NURSE_AND_AUDITOR: &str =
        "eyJhbGciOiJFZERTQSJ9.eyJyb2xlcyI6WyJudXJzZSIsImF1ZGl0b3IiXX0.AA";

    #[test]
    fn the_purpose_that_is_typed_wins_in_any_case() {
        let always = Otherwise::Always("RECORDMGT");
        assert_eq!(of(&global(&[]), always).unwrap().purpose_of_use, "RECORDMGT");
        let typed = of(&global(&["--purpose", "btg", "--reason", "emergency"]), always).unwrap();
        assert_eq!((typed.purpose_of_use.as_str(), typed.reason.as_str()), ("BTG", "emergency"));
        for silent in [vec!["--purpose", "BTG"], vec!["--purpose", "btg", "--reason", " "]] {
            let told = of(&global(&silent), always).unwrap_err();
            assert!(told.report().contains("--reason") && told.exit_code() == 2, "{told:?}");
        }
        let line = ["caseledger", "--purpose", "to look", "status"];
        assert_eq!(
            crate::options::Options::try_parse_from(line).unwrap_err().exit_code(),
            2,
            "what no code looks like is wrong usage"
        );
    }

    #[test]
    fn one_role_tells_the_purpose_and_anything_else_asks() {
        assert_eq!(by_role(NURSE).unwrap(), "TREAT");
        for unclear in [NURSE_AND_AUDITOR, "not a token", ""] {
            assert_eq!(by_role(unclear).unwrap_err().exit_code(), 2, "{unclear}");
        }
        let several = global(&["--token", NURSE_AND_AUDITOR, "--purpose", "HQUALIMP"]);
        assert_eq!(of(&several, Otherwise::ByRole).unwrap().purpose_of_use, "HQUALIMP");
    }
}
