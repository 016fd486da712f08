//! `caseledgerd emergency`: credentials made in quiet hours, sealed, and opened when issuers are away.
//!
//! As with any break-glass account there are two envelopes in two places, and it takes both: a file (or
//! its print-out), which says whose it is and until when, and the code that opens it, which is shown once
//! and written down. Neither needs a node, a network or the issuer's key when the day comes. Nodes accept
//! what is in it as `auth` says, and `announce` tells that they did.

pub(crate) mod announce;
pub mod command;
pub mod envelope;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use engine::Role;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::json;

use self::envelope::{Code, Envelope, EnvelopeError};
use crate::auth::{AUDIENCE, GRANTED, MAX_NAME};
use crate::init::{IssuerKeyError, issuer_key};
use crate::{clock, keys};

/// What is to be sealed.
#[derive(Debug, Clone)]
pub struct Seal {
    /// The emergency issuer's private key, a PEM file for its owner alone.
    pub key: PathBuf,
    /// Its name, as nodes know it (`[emergency]`, `name`).
    pub issuer: String,
    /// What nodes want as the audience; [`AUDIENCE`] if not said.
    pub audience: Option<String>,
    /// Who holds it: one person, by their stable identifier.
    pub person: String,
    /// What they may do.
    pub roles: Vec<Role>,
    /// On whose behalf.
    pub organisation: String,
    /// How long it may lie sealed, in days.
    pub days: u32,
    /// The envelope's file, which must not exist.
    pub envelope: PathBuf,
}

/// What was sealed.
#[derive(Debug)]
pub struct Sealed {
    /// The credential's id, by which it is announced and taken back.
    pub id: String,
    /// When it ends if nobody opens it, RFC 3339.
    pub expires: String,
    /// What opens it. It is kept nowhere.
    pub code: Code,
}

/// Why there is no key or no credential.
#[derive(Debug, thiserror::Error)]
pub enum EmergencyError {
    /// A key file, or the envelope's.
    #[error(transparent)]
    File(#[from] keys::KeyFileError),
    /// The issuer's key could not be made.
    #[error(transparent)]
    IssuerKey(#[from] IssuerKeyError),
    /// A file could not be read.
    #[error("{}: cannot be read", file.display())]
    Unreadable {
        /// Which file.
        file: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The issuer's key file holds something else.
    #[error("{}: is not an Ed25519 private key in PEM form (PKCS#8)", file.display())]
    NoKey {
        /// Which file.
        file: PathBuf,
        /// Why.
        #[source]
        source: jsonwebtoken::errors::Error,
    },
    /// A role that no emergency credential grants.
    #[error(
        "an emergency credential grants no {role}: in an emergency patients are cared for (case-manager, \
         physician, nurse, registrar), and nobody governs or reviews"
    )]
    NotGranted {
        /// Which.
        role: &'static str,
    },
    /// A name that cannot stand on an envelope.
    #[error("{0} is empty, has more than {MAX_NAME} bytes or holds control characters")]
    Name(&'static str),
    /// The envelope.
    #[error("{}: cannot be opened", file.display())]
    Envelope {
        /// Which file.
        file: PathBuf,
        /// Why.
        #[source]
        source: EnvelopeError,
    },
    /// It could not be sealed.
    #[error("the credential cannot be sealed")]
    Sealing(#[source] EnvelopeError),
}

/// Makes the emergency issuer's key: `private`, for its owner alone, and the public key that nodes are
/// given, beside it as `….pub.pem`, which is returned.
///
/// # Errors
/// One of them exists, or cannot be written.
pub fn make_key(private: &Path) -> Result<PathBuf, EmergencyError> {
    let public = private.with_extension("pub.pem");
    issuer_key(private, &public)?;
    Ok(public)
}

/// Makes a credential and seals it.
///
/// # Errors
/// The key cannot be used, a name cannot be written, or the file exists.
pub fn seal(wanted: &Seal) -> Result<Sealed, EmergencyError> {
    named("the issuer", &wanted.issuer)?;
    named("the person", &wanted.person)?;
    named("the organisation", &wanted.organisation)?;
    if let Some(role) = wanted.roles.iter().find(|role| !GRANTED.contains(role)) {
        return Err(EmergencyError::NotGranted { role: role.name() });
    }
    keys::owner_only(&wanted.key)?;
    let pem = zeroize::Zeroizing::new(read(&wanted.key)?);
    let no_key = |source| EmergencyError::NoKey { file: wanted.key.clone(), source };
    let key = EncodingKey::from_ed_pem(&pem).map_err(no_key)?;
    let id = hex::encode(keys::random::<8>()?);
    let from = clock::seconds();
    let until = from.saturating_add(u64::from(wanted.days) * 24 * 60 * 60);
    let roles: Vec<&str> = wanted.roles.iter().map(|role| role.name()).collect();
    let claims = json!({
        "iss": wanted.issuer, "aud": wanted.audience.as_deref().unwrap_or(AUDIENCE), "jti": id,
        "nbf": from, "exp": until, "sub": wanted.person, "roles": roles,
        "organisation": wanted.organisation,
    });
    let token = jsonwebtoken::encode(&Header::new(Algorithm::EdDSA), &claims, &key);
    let token = zeroize::Zeroizing::new(token.map_err(no_key)?);
    let expires = clock::rfc3339(until);
    let label = format!(
        "Caseledger emergency credential {id}\n\
         For:   {} ({}), {}\n\
         From:  {}\n\
         Good:  until {expires} if nobody uses it; else for the hours that nodes allow from its first use.\n\
         Open:  caseledgerd emergency open FILE, and type the code from the other envelope.\n\
         After: its use is announced; take it back by its id, and seal another.\n",
        wanted.person,
        roles.join(", "),
        wanted.organisation,
        wanted.issuer,
    );
    let code = Code::random()?;
    let sealed =
        Envelope::seal(&label, token.as_bytes(), &code).map_err(EmergencyError::Sealing)?;
    keys::create_private(&wanted.envelope, &sealed.to_string())?;
    Ok(Sealed { id, expires, code })
}

/// The token in an envelope.
///
/// # Errors
/// Unreadable, no envelope, changed, or another one's code.
pub fn open(file: &Path, code: &str) -> Result<String, EmergencyError> {
    let failed = |source| EmergencyError::Envelope { file: file.to_owned(), source };
    let text = String::from_utf8(read(file)?).map_err(|_| failed(EnvelopeError::None))?;
    let envelope: Envelope = text.parse().map_err(failed)?;
    let code = code.parse().map_err(failed)?;
    let token = envelope.open(&code).map_err(failed)?;
    String::from_utf8(token).map_err(|_| failed(EnvelopeError::Closed))
}

fn read(file: &Path) -> Result<Vec<u8>, EmergencyError> {
    std::fs::read(file)
        .map_err(|source| EmergencyError::Unreadable { file: file.to_owned(), source })
}

fn named(what: &'static str, name: &str) -> Result<(), EmergencyError> {
    let fits = !name.trim().is_empty() && name.len() <= MAX_NAME;
    if fits && !name.chars().any(char::is_control) {
        Ok(())
    } else {
        Err(EmergencyError::Name(what))
    }
}
