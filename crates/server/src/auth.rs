//! Who is calling: bearer tokens, checked once and remembered until they expire.
//!
//! A token is a JWT signed with Ed25519 (`alg` EdDSA and nothing else) by an issuer whose public
//! key stands in the node's configuration. Its claims:
//!
//! | claim | meaning |
//! |---|---|
//! | `iss` | the issuer's name in the configuration; only that issuer's keys are tried |
//! | `aud` | `caseledger` (text, or a list that holds it) |
//! | `exp`, `nbf` | seconds since 1970 UTC, 30 s skew allowed; `exp` is required |
//! | `sub` | the person |
//! | `azp` | the service that acts; `sub` or `azp` is required |
//! | `roles` | list of role names; names that this version does not know grant nothing |
//! | `organisation` | the organisation on whose behalf |
//!
//! Not here: what a caller may do. That is the engine's access check, which records its answer.

mod cache;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use engine::{Caller, Role};
use jsonwebtoken::errors::{Error as TokenError, ErrorKind};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;

use self::cache::TokenCache;

/// The audience that a token must name.
pub const AUDIENCE: &str = "caseledger";

/// Clock skew allowed between issuer and node, in seconds: both run NTP, so half a minute is
/// generous, and it is also how long a token outlives its `exp` at most.
pub const SKEW_SECONDS: u64 = 30;

/// Longest token accepted, in bytes. Ours have about 500; a hospital's identity provider with a
/// long list of roles stays below 4 KiB. Nothing longer is even looked at.
pub const MAX_TOKEN: usize = 8 * 1024;

/// Longest name (person, service, organisation) taken from a token, in bytes: these go into every
/// access record, whose body is small.
const MAX_NAME: usize = 256;

/// Why a call's credentials were refused. Its name is a stable code; none says anything about the
/// token's content, which is the issuer's secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Refused {
    /// No `authorization` header, or none of the form `Bearer …`.
    Missing,
    /// Not a JWT, too long, of no known algorithm (`none` included), or a claim has the wrong type.
    Malformed,
    /// Signed with an algorithm other than EdDSA (HMAC included).
    Algorithm,
    /// The issuer is not configured here.
    Issuer,
    /// No key of the issuer verifies the signature.
    Signature,
    /// Past its `exp`.
    Expired,
    /// Before its `nbf`.
    NotYetValid,
    /// Meant for somebody else.
    Audience,
    /// Neither person nor service, no roles, or no `exp`.
    Claims,
    /// A peer call whose node is unknown, whose signature is wrong or whose time is off.
    Peer,
}

impl Refused {
    /// All reasons, for tests and tables.
    pub const ALL: [Self; 10] = [
        Self::Missing,
        Self::Malformed,
        Self::Algorithm,
        Self::Issuer,
        Self::Signature,
        Self::Expired,
        Self::NotYetValid,
        Self::Audience,
        Self::Claims,
        Self::Peer,
    ];

    /// The stable code that clients get in `ErrorInfo.reason`.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Missing => "CREDENTIALS_MISSING",
            Self::Malformed => "TOKEN_MALFORMED",
            Self::Algorithm => "TOKEN_ALGORITHM",
            Self::Issuer => "TOKEN_ISSUER_UNKNOWN",
            Self::Signature => "TOKEN_SIGNATURE",
            Self::Expired => "TOKEN_EXPIRED",
            Self::NotYetValid => "TOKEN_NOT_YET_VALID",
            Self::Audience => "TOKEN_AUDIENCE",
            Self::Claims => "TOKEN_CLAIMS",
            Self::Peer => "PEER_CREDENTIALS",
        }
    }

    /// What the client is told.
    #[must_use]
    pub fn message(self) -> &'static str {
        match self {
            Self::Missing => {
                "no bearer token: send the header `authorization: Bearer <token>` with every call"
            }
            Self::Malformed => "the bearer token is not a well-formed JWT",
            Self::Algorithm => "the bearer token must be signed with EdDSA (Ed25519)",
            Self::Issuer => "the bearer token's issuer (iss) is not one that this node trusts",
            Self::Signature => "the bearer token's signature does not verify",
            Self::Expired => "the bearer token has expired: get a new one",
            Self::NotYetValid => "the bearer token is not valid yet (nbf)",
            Self::Audience => "the bearer token is meant for another audience (aud)",
            Self::Claims => {
                "the bearer token must carry exp, roles, and sub (person) or azp (service)"
            }
            Self::Peer => "the call is not signed by a node that belongs to this ledger",
        }
    }
}

/// A caller whose token was verified.
#[derive(Debug, Clone)]
pub struct Verified {
    /// Who it is; `network` is filled for each call.
    pub caller: Caller,
    /// When the token ends, in seconds since 1970 UTC. A stream of this caller ends then.
    pub expires: u64,
}

/// An issuer's key was not readable as an Ed25519 public key.
#[derive(Debug, thiserror::Error)]
#[error(
    "issuer {issuer}: key {number} is not an Ed25519 public key in PEM form (SubjectPublicKeyInfo)"
)]
pub struct BadIssuerKey {
    issuer: String,
    number: usize,
    #[source]
    source: TokenError,
}

/// Verifies bearer tokens.
#[derive(Debug)]
pub struct Authenticator {
    issuers: BTreeMap<String, Issuer>,
    cache: TokenCache,
}

struct Issuer {
    keys: Vec<DecodingKey>,
    validation: Validation,
}

impl std::fmt::Debug for Issuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issuer").field("keys", &self.keys.len()).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Unverified {
    iss: String,
}

#[derive(Deserialize)]
struct Claims {
    exp: u64,
    sub: Option<String>,
    azp: Option<String>,
    roles: Option<Vec<String>>,
    organisation: Option<String>,
}

impl Authenticator {
    /// Trusts these issuers: name → public keys in PEM form. Several keys let an issuer change
    /// its key without a gap.
    ///
    /// # Errors
    /// A key that is not an Ed25519 public key.
    pub fn new(issuers: &BTreeMap<String, Vec<Vec<u8>>>) -> Result<Self, BadIssuerKey> {
        let mut trusted = BTreeMap::new();
        for (name, pems) in issuers {
            let mut keys = Vec::new();
            for (number, pem) in pems.iter().enumerate() {
                keys.push(DecodingKey::from_ed_pem(pem).map_err(|source| BadIssuerKey {
                    issuer: name.clone(),
                    number: number + 1,
                    source,
                })?);
            }
            let mut validation = Validation::new(Algorithm::EdDSA);
            validation.leeway = SKEW_SECONDS;
            validation.validate_nbf = true;
            validation.set_audience(&[AUDIENCE]);
            validation.set_issuer(&[name]);
            validation.set_required_spec_claims(&["exp", "aud", "iss"]);
            trusted.insert(name.clone(), Issuer { keys, validation });
        }
        Ok(Self { issuers: trusted, cache: TokenCache::default() })
    }

    /// Verifies the value of an `authorization` header at the time `now` (seconds since 1970 UTC,
    /// which only decides whether a remembered token still holds).
    ///
    /// # Errors
    /// The reason, without anything from the token.
    pub fn verify(&self, authorization: Option<&[u8]>, now: u64) -> Result<Verified, Refused> {
        let token = bearer(authorization.ok_or(Refused::Missing)?)?;
        if token.len() > MAX_TOKEN {
            return Err(Refused::Malformed);
        }
        let hash = cache::hash(token);
        if let Some(verified) = self.cache.get(&hash, now) {
            return Ok(verified);
        }
        let verified = self.verify_signed(token)?;
        self.cache.put(hash, verified.clone(), now);
        Ok(verified)
    }

    fn verify_signed(&self, token: &[u8]) -> Result<Verified, Refused> {
        let header = jsonwebtoken::decode_header(token).map_err(|e| reason(&e))?;
        if header.alg != Algorithm::EdDSA {
            return Err(Refused::Algorithm);
        }
        // The issuer is read before anything is verified, only to choose the keys to verify with;
        // `validation` then demands that very issuer.
        let claimed: Unverified = jsonwebtoken::dangerous::insecure_decode_claims(token)
            .map_err(|_| Refused::Malformed)?;
        let issuer = self.issuers.get(&claimed.iss).ok_or(Refused::Issuer)?;
        let mut refused = Refused::Signature;
        for key in &issuer.keys {
            match jsonwebtoken::decode::<Claims>(token, key, &issuer.validation) {
                Ok(data) => return verified(data.claims),
                Err(error) => {
                    // The issuer's other keys may fit; any other reason holds for all of them.
                    let other = reason(&error);
                    if other != Refused::Signature {
                        refused = other;
                    }
                }
            }
        }
        Err(refused)
    }
}

fn bearer(value: &[u8]) -> Result<&[u8], Refused> {
    match value.split_at_checked(7) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case(b"bearer ") => Ok(token.trim_ascii()),
        Some(_) | None => Err(Refused::Missing),
    }
}

fn verified(claims: Claims) -> Result<Verified, Refused> {
    let named = |name: Option<String>| match name {
        Some(name) if name.len() > MAX_NAME => Err(Refused::Malformed),
        Some(name) if name.trim().is_empty() => Ok(None),
        other => Ok(other),
    };
    let person = named(claims.sub)?;
    let service = named(claims.azp)?;
    let organisation = named(claims.organisation)?;
    let roles = claims.roles.ok_or(Refused::Claims)?;
    if person.is_none() && service.is_none() {
        return Err(Refused::Claims);
    }
    let mut roles: Vec<Role> = roles.iter().filter_map(|name| name.parse().ok()).collect();
    roles.dedup();
    let caller = Caller {
        person,
        service: service.unwrap_or_default(),
        roles,
        organisation: organisation.unwrap_or_default(),
        network: None,
    };
    Ok(Verified { caller, expires: claims.exp })
}

/// The library's kinds are open-ended: whatever is not told apart is a malformed token.
#[expect(clippy::wildcard_enum_match_arm, reason = "the foreign enum is non-exhaustive")]
fn reason(error: &TokenError) -> Refused {
    match error.kind() {
        ErrorKind::InvalidSignature => Refused::Signature,
        ErrorKind::ExpiredSignature => Refused::Expired,
        ErrorKind::ImmatureSignature => Refused::NotYetValid,
        ErrorKind::InvalidAudience => Refused::Audience,
        ErrorKind::InvalidIssuer => Refused::Issuer,
        ErrorKind::MissingRequiredClaim(claim) if claim == "aud" => Refused::Audience,
        ErrorKind::MissingRequiredClaim(_) => Refused::Claims,
        ErrorKind::InvalidAlgorithm
        | ErrorKind::InvalidAlgorithmName
        | ErrorKind::UnsupportedAlgorithm => Refused::Algorithm,
        _ => Refused::Malformed,
    }
}
