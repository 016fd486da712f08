//! `caseledger token`: a token for trials, signed with the quickstart's issuer key. In a hospital
//! the identity provider signs, and this command has no key to sign with.

use std::fs;
use std::process::ExitCode;

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde::Serialize;
use serde_json::json;

use crate::failure::Failure;
use crate::options::Token;
use crate::output::Output;
use crate::time;

/// The audience that nodes accept.
const AUDIENCE: &str = "caseledger";

/// Claims as the server reads them.
#[derive(Debug, Serialize)]
struct Claims {
    iss: String,
    aud: &'static str,
    sub: String,
    azp: String,
    roles: Vec<String>,
    organisation: String,
    iat: i64,
    nbf: i64,
    exp: i64,
    jti: String,
}

pub(crate) fn run(token: &Token, output: &Output) -> Result<ExitCode, Failure> {
    let path = token.issuer_key.display();
    let pem = fs::read(&token.issuer_key)
        .map_err(|error| Failure::local(format!("read --issuer-key {path}"), error))?;
    let mut id = [0; 16];
    aws_lc_rs::rand::fill(&mut id)
        .map_err(|_| Failure::local("make a token id", "the system has no random numbers"))?;
    let claims = claims(token, jiff::Timestamp::now().as_second(), hex::encode(id));
    let signed = sign(&claims, &pem)
        .map_err(|error| Failure::local(format!("sign with --issuer-key {path}"), error))?;
    let expires = prost_types::Timestamp { seconds: claims.exp, nanos: 0 };
    output.show(
        || json!({"token": signed, "expires_at": time::rfc3339(&expires), "jti": claims.jti}),
        || signed.clone(),
    )?;
    Ok(ExitCode::SUCCESS)
}

fn claims(token: &Token, now: i64, id: String) -> Claims {
    Claims {
        iss: token.issuer.clone(),
        aud: AUDIENCE,
        sub: token.person.clone(),
        azp: token.service.clone(),
        roles: token.role.clone(),
        organisation: token.organisation.clone(),
        iat: now,
        nbf: now,
        exp: now.saturating_add(i64::from(token.hours) * 3600),
        jti: id,
    }
}

fn sign(claims: &Claims, pem: &[u8]) -> Result<String, jsonwebtoken::errors::Error> {
    encode(&Header::new(Algorithm::EdDSA), claims, &EncodingKey::from_ed_pem(pem)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use jsonwebtoken::{DecodingKey, Validation, decode};

    // RFC 8032's first test key, known to everybody
    const PRIVATE: &str = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n\
        -----END PRIVATE KEY-----\n";
    const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\n\
        MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n\
        -----END PUBLIC KEY-----\n";

    fn typed(arguments: &[&str]) -> Token {
        let line = ["caseledger", "token", "--role", "nurse"].iter().chain(arguments);
        let options = crate::options::Options::try_parse_from(line).unwrap();
        let crate::options::Command::Token(token) = options.command else { panic!("not a token") };
        token
    }

    #[test]
    fn a_server_that_trusts_the_issuer_accepts_the_token() {
        let token = typed(&["--person", "jdoe", "--role", "auditor", "--hours", "2"]);
        let now = jiff::Timestamp::now().as_second();
        let signed = sign(&claims(&token, now, "id".to_owned()), PRIVATE.as_bytes()).unwrap();
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_audience(&["caseledger"]);
        validation.set_issuer(&["caseledger-quickstart"]);
        validation.validate_nbf = true;
        let key = DecodingKey::from_ed_pem(PUBLIC.as_bytes()).unwrap();
        let claims = decode::<serde_json::Value>(&signed, &key, &validation).unwrap().claims;
        assert_eq!(claims["sub"], "jdoe");
        assert_eq!(claims["azp"], "caseledger-cli");
        assert_eq!(claims["roles"], json!(["nurse", "auditor"]));
        assert_eq!(claims["organisation"], "quickstart");
        assert_eq!(claims["exp"], now + 7200);
    }

    #[test]
    fn a_file_that_is_no_key_is_refused() {
        let claims = claims(&typed(&[]), 0, String::new());
        assert!(sign(&claims, b"not a key").is_err());
    }
}
