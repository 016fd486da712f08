//! Who is calling: the service by its client certificate, the person by a bearer token, which is checked
//! once and remembered until it expires.
//!
//! A token is a JWT from an issuer of the node's configuration, signed with one of its keys and the
//! algorithm of that key: EdDSA (Ed25519), ES256, RS256 or PS256. Its claims:
//!
//! | claim | meaning |
//! |---|---|
//! | `iss` | the issuer's name in the configuration; only that issuer's keys are tried |
//! | `aud` | the issuer's audience, `caseledger` if not configured (text, or a list that holds it) |
//! | `exp`, `nbf` | seconds since 1970 UTC, 30 s skew allowed; `exp` is required |
//! | `sub` | the person |
//! | `azp` | the service that acts; `sub` or `azp` is required |
//! | `roles` | list of role names; names that this version does not know grant nothing |
//! | `organisation` | the organisation on whose behalf |
//! | `jti` | the token's id, by which it can be taken back |
//!
//! Where the listener asks for client certificates, the calling service is the one that the certificate
//! names: a token for another service (`azp`) is refused, so that no service acts for a person who is not
//! its own caller; a token without `azp` is its bearer's. A certificate alone is enough for a service that
//! the configuration lets act alone.
//!
//! One issuer may be for emergencies: what its tokens need besides, and when they end, is `emergency`'s.
//!
//! Not here: what a caller may do. That is the engine's access check, which records its answer.

mod cache;
mod emergency;
mod keys;
mod refused;
#[cfg(test)]
mod tests;
mod trust;

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::{Caller, Role};
use http::{HeaderMap, header};
use jsonwebtoken::errors::{Error as TokenError, ErrorKind};
use jsonwebtoken::{DecodingKey, Validation};
use serde::Deserialize;
use tokio::sync::watch;

use self::cache::TokenCache;
pub(crate) use self::emergency::GRANTED;
use self::emergency::Sealed;
pub use self::emergency::{BadUses, Emergency};
use self::keys::KeyId;
pub use self::keys::{BadKeys, KeySet};
pub use self::refused::Refused;
pub use self::trust::{Issuer, Revoked, Service, Trust};
use crate::tls::{Certificate, Presented};

/// The audience that a token must name, if its issuer is not configured with another.
pub const AUDIENCE: &str = "caseledger";

/// Clock skew allowed between issuer and node, in seconds: both run NTP, so half a minute is
/// generous, and it is also how long a token outlives its `exp` at most.
pub const SKEW_SECONDS: u64 = 30;

/// Longest token accepted, in bytes. Ours have about 500; a hospital's identity provider with a
/// long list of roles stays below 4 KiB. Nothing longer is even looked at.
pub const MAX_TOKEN: usize = 8 * 1024;

/// Longest name (person, service, organisation) taken from a token or certificate, in bytes: these go
/// into every access record, whose body is small.
pub(crate) const MAX_NAME: usize = 256;

/// A caller whose credentials were verified.
#[derive(Debug, Clone)]
pub struct Verified {
    /// Who it is; `network` is filled for each call.
    pub caller: Caller,
    /// When the credentials end, in seconds since 1970 UTC: the token, or the certificate if that ends
    /// before. A stream of this caller ends then.
    pub expires: u64,
    /// What the caller is then told: which of them it was.
    pub ended: Refused,
    /// Which token it was, if one.
    pub token: Option<Arc<TokenId>>,
}

/// What a token can be taken back by: its issuer's list, or the key that signed it.
#[derive(Debug)]
pub struct TokenId {
    issuer: String,
    id: Option<String>,
    key: KeyId,
}

/// Verifies callers.
#[derive(Debug)]
pub struct Authenticator {
    trust: watch::Sender<Arc<Trust>>,
    cache: TokenCache,
}

#[derive(Deserialize)]
struct Unverified {
    iss: String,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    exp: u64,
    nbf: Option<u64>,
    sub: Option<String>,
    azp: Option<String>,
    roles: Option<Vec<String>>,
    organisation: Option<String>,
    jti: Option<String>,
}

impl Authenticator {
    /// Trusts these issuers, by the name that tokens give, and these services to act alone, by the name
    /// that their certificates give.
    #[must_use]
    pub fn new(issuers: BTreeMap<String, Issuer>, services: BTreeMap<String, Service>) -> Self {
        let trust = Trust { generation: 0, issuers, services };
        Self { trust: watch::Sender::new(Arc::new(trust)), cache: TokenCache::default() }
    }

    /// Changes what is known of an issuer; from now on every token is verified anew.
    pub fn change(&self, issuer: &str, change: impl FnOnce(&mut Issuer)) {
        self.trust.send_modify(|trust| {
            let trust = Arc::make_mut(trust);
            if let Some(issuer) = trust.issuers.get_mut(issuer) {
                change(issuer);
            }
            trust.generation += 1;
        });
    }

    /// Resolves, with the reason, when this caller's token is taken back or its issuer withdraws the key
    /// that signed it; never, if neither happens.
    pub fn taken_back(&self, verified: &Verified) -> impl Future<Output = Refused> + Send + use<> {
        let mut trust = self.trust.subscribe();
        let (token, person) = (verified.token.clone(), verified.caller.person.clone());
        async move {
            let Some(token) = token else { return std::future::pending().await };
            let taken = |trust: &Arc<Trust>| {
                let issuer = trust.issuers.get(&token.issuer)?;
                if issuer.revoked.holds(token.id.as_deref(), person.as_deref()) {
                    return Some(Refused::Revoked);
                }
                (!issuer.keys.holds(&token.key)).then_some(Refused::Key)
            };
            loop {
                if let Some(why) = taken(&trust.borrow_and_update()) {
                    return why;
                }
                if trust.changed().await.is_err() {
                    // The node is gone, and the stream with it.
                    return std::future::pending().await;
                }
            }
        }
    }

    /// What tells that they, or what is taken back, may be others.
    pub(crate) fn emergency_changes(&self) -> Changes {
        let trust = self.trust.subscribe();
        let used = trust
            .borrow()
            .issuers
            .values()
            .find_map(|issuer| issuer.emergency.as_ref().map(|emergency| emergency.changes()));
        Changes { trust, used }
    }

    /// The emergency credentials that were used at this node and are not taken back: the id of each, when
    /// it was first used, and when it ends, in seconds since 1970 UTC.
    #[must_use]
    pub fn emergencies(&self) -> Vec<(String, u64, u64)> {
        let trust = Arc::clone(&self.trust.borrow());
        let of_one = |issuer: &Issuer| {
            let emergency = issuer.emergency.as_ref()?;
            let open = emergency.open(&issuer.revoked).into_iter();
            Some(open.map(|(id, one)| (id, one.first_used, emergency.end_of(&one))).collect())
        };
        trust.issuers.values().filter_map(of_one).next().unwrap_or_default()
    }

    /// Verifies what a call brought at the time `now`, in seconds since 1970 UTC: the value of its
    /// `authorization` header, and what its connection presented.
    ///
    /// # Errors
    /// The reason, without anything from token or certificate.
    pub fn verify(
        &self,
        authorization: Option<&[u8]>,
        presented: &Presented,
        now: u64,
    ) -> Result<Verified, Refused> {
        let certificate = match presented {
            Presented::NotAsked => None,
            Presented::Nothing => return Err(Refused::CertificateMissing),
            Presented::Nameless => return Err(Refused::Certificate),
            // Its connection may be open since long before.
            Presented::Certificate(shown) if now >= shown.expires => {
                return Err(Refused::Certificate);
            }
            Presented::Certificate(shown) => Some(&**shown),
        };
        let trust = Arc::clone(&self.trust.borrow());
        match (authorization, certificate) {
            (Some(value), Some(certificate)) => {
                acting_for(self.bearer(&trust, value, now)?, certificate)
            }
            (Some(value), None) => self.bearer(&trust, value, now),
            (None, Some(certificate)) => alone(&trust, certificate),
            (None, None) => Err(Refused::Missing),
        }
    }

    fn bearer(&self, trust: &Trust, value: &[u8], now: u64) -> Result<Verified, Refused> {
        let token = bearer(value)?;
        if token.len() > MAX_TOKEN {
            return Err(Refused::Malformed);
        }
        let hash = cache::hash(token);
        if let Some(verified) = self.cache.get(&hash, trust.generation, now) {
            return Ok(verified);
        }
        let verified = signed(trust, token, now)?;
        self.cache.put(hash, verified.clone(), trust.generation, now);
        Ok(verified)
    }
}

/// Told of what changes which emergency credentials are in use.
#[derive(Debug)]
pub(crate) struct Changes {
    trust: watch::Receiver<Arc<Trust>>,
    used: Option<watch::Receiver<()>>,
}

impl Changes {
    /// What there is to be seen now is.
    pub(crate) fn mark_seen(&mut self) {
        self.trust.mark_unchanged();
        if let Some(used) = &mut self.used {
            used.mark_unchanged();
        }
    }

    /// Resolves at the next change; never, when nobody can make one.
    pub(crate) async fn next(&mut self) {
        let Some(used) = &mut self.used else { return std::future::pending().await };
        let changed = tokio::select! {
            changed = self.trust.changed() => changed,
            changed = used.changed() => changed,
        };
        if changed.is_err() {
            std::future::pending().await
        }
    }
}

/// The value of the one `authorization` header.
///
/// # Errors
/// There are several: another program on the way may have believed another one.
pub fn authorization(headers: &HeaderMap) -> Result<Option<&[u8]>, Refused> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    match (values.next(), values.next()) {
        (Some(_), Some(_)) => Err(Refused::Ambiguous),
        (first, _) => Ok(first.map(http::HeaderValue::as_bytes)),
    }
}

/// A service by its certificate, without a person.
fn alone(trust: &Trust, certificate: &Certificate) -> Result<Verified, Refused> {
    let service = trust.services.get(&certificate.service).ok_or(Refused::Missing)?;
    let caller = Caller {
        person: None,
        service: certificate.service.clone(),
        roles: service.roles.clone(),
        organisation: service.organisation.clone(),
        network: None,
        issuer: None,
    };
    let (expires, ended) = (certificate.expires, Refused::Certificate);
    Ok(Verified { caller, expires, ended, token: None })
}

/// The service that the certificate names, on behalf of whom the token names.
fn acting_for(mut verified: Verified, certificate: &Certificate) -> Result<Verified, Refused> {
    let service = &mut verified.caller.service;
    if service.is_empty() {
        service.clone_from(&certificate.service);
    } else if *service != certificate.service {
        return Err(Refused::Service);
    }
    if certificate.expires < verified.expires {
        (verified.expires, verified.ended) = (certificate.expires, Refused::Certificate);
    }
    Ok(verified)
}

fn signed(trust: &Trust, token: &[u8], now: u64) -> Result<Verified, Refused> {
    let header = jsonwebtoken::decode_header(token).map_err(|e| reason(&e))?;
    if !keys::ACCEPTED.contains(&header.alg) {
        return Err(Refused::Algorithm);
    }
    // The issuer is read before anything is verified, only to choose the keys to verify with;
    // the validation then demands that very issuer.
    let claimed: Unverified =
        jsonwebtoken::dangerous::insecure_decode_claims(token).map_err(|_| Refused::Malformed)?;
    let issuer = trust.issuers.get(&claimed.iss).ok_or(Refused::Issuer)?;
    let mut refused = None;
    for key in issuer.keys.named(header.kid.as_deref()) {
        if key.algorithm != header.alg {
            refused = refused.or(Some(Refused::Algorithm));
            continue;
        }
        match decoded(token, &key.decoding, &validation(key.algorithm, &claimed.iss, issuer)) {
            Ok(claims) => return verified(claims, issuer, key.id, now),
            // The issuer's other keys may fit; any other reason holds for all of them.
            Err(Refused::Signature) => refused = refused.or(Some(Refused::Signature)),
            Err(other) => return Err(other),
        }
    }
    Err(refused.unwrap_or_else(|| {
        issuer.unknown_key.notify_one();
        if issuer.keys.is_empty() { Refused::NoKeys } else { Refused::Key }
    }))
}

fn decoded(token: &[u8], key: &DecodingKey, by: &Validation) -> Result<Claims, Refused> {
    let data = jsonwebtoken::decode::<Claims>(token, key, by).map_err(|error| reason(&error))?;
    Ok(data.claims)
}

fn validation(algorithm: jsonwebtoken::Algorithm, name: &str, issuer: &Issuer) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.leeway = SKEW_SECONDS;
    validation.validate_nbf = true;
    validation.set_audience(&[&issuer.audience]);
    validation.set_issuer(&[name]);
    validation.set_required_spec_claims(&["exp", "aud", "iss"]);
    validation
}

fn bearer(value: &[u8]) -> Result<&[u8], Refused> {
    match value.split_at_checked(7) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case(b"bearer ") => Ok(token.trim_ascii()),
        Some(_) | None => Err(Refused::Missing),
    }
}

fn verified(claims: Claims, issuer: &Issuer, key: KeyId, now: u64) -> Result<Verified, Refused> {
    if issuer.revoked.holds(claims.jti.as_deref(), claims.sub.as_deref()) {
        return Err(Refused::Revoked);
    }
    let named = |name: Option<String>| match name {
        // As in certificates: a name is one line, wherever it is shown.
        Some(name) if name.len() > MAX_NAME || name.chars().any(char::is_control) => {
            Err(Refused::Malformed)
        }
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
    if issuer.emergency.is_some() {
        roles.retain(|role| GRANTED.contains(role));
    }
    let expires = match &issuer.emergency {
        None => claims.exp,
        // Last: it is used only if it is good otherwise.
        Some(emergency) => {
            let id = claims.jti.as_deref();
            let (sealed_at, expires) = (claims.nbf, claims.exp);
            let token = Sealed { id, person: person.as_deref(), sealed_at, expires };
            emergency.ends(&token, now)?
        }
    };
    let caller = Caller {
        person,
        service: service.unwrap_or_default(),
        roles,
        organisation: organisation.unwrap_or_default(),
        network: None,
        issuer: Some(claims.iss.clone()),
    };
    let token = TokenId { issuer: claims.iss, id: claims.jti, key };
    Ok(Verified { caller, expires, ended: Refused::Expired, token: Some(Arc::new(token)) })
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
