//! What callers are known by: `[grpc.tls]`, `[http.tls]`, `[[issuers]]`, `[emergency]`, `[[services]]`.

use std::path::{Path, PathBuf};

use engine::Role;
use http::Uri;
use serde::Deserialize;

use super::Config;
use crate::auth::AUDIENCE;

/// `[grpc.tls]` and `[http.tls]`: a listener's certificate. All files are read again when they change.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// PEM file: the node's certificate, then those between it and its authority.
    pub certificate: PathBuf,
    /// PEM file: its private key, readable by the owner only.
    pub key: PathBuf,
    /// PEM file: the authorities whose client certificates name services. If it is set, whoever needs
    /// credentials needs such a certificate, too.
    pub client_ca: Option<PathBuf>,
}

/// `[[services]]`: who may act without a person, by client certificate alone.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// As its certificate names it.
    pub name: String,
    /// What it may do.
    #[serde(deserialize_with = "roles")]
    pub roles: Vec<Role>,
    /// The organisation on whose behalf.
    pub organisation: String,
}

/// `[[issuers]]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Issuer {
    /// The tokens' `iss`.
    pub name: String,
    /// Files with its Ed25519 public keys in PEM form; these or `jwks`.
    #[serde(default)]
    pub keys: Vec<PathBuf>,
    /// Its keys as a JSON Web Key Set: a file, or the address where it publishes them, `https://…`
    /// (`http://…` on this machine only).
    pub jwks: Option<Jwks>,
    /// PEM file: the authorities trusted for `jwks` at https; otherwise the system's.
    pub jwks_ca: Option<PathBuf>,
    /// The tokens' `aud`.
    #[serde(default = "audience")]
    pub audience: String,
    /// JSON file: the ids (`jti`) and persons (`sub`) whose tokens are refused.
    pub revoked: Option<PathBuf>,
}

/// `[emergency]`: who issues the credentials that lie in sealed envelopes for when issuers are away.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Emergency {
    /// The tokens' `iss`; no other issuer's.
    pub name: String,
    /// Files with its Ed25519 public keys in PEM form: it needs nobody at the other end.
    pub keys: Vec<PathBuf>,
    /// The tokens' `aud`.
    #[serde(default = "audience")]
    pub audience: String,
    /// How long one is good from its first use at this node, in hours.
    #[serde(default = "twelve")]
    pub hours: u32,
    /// How long one may lie sealed, in days. Whoever seals for longer makes what is refused.
    #[serde(default = "a_quarter")]
    pub days: u32,
    /// JSON file: the ids (`jti`) and persons (`sub`) that are refused. An emergency is over when what was
    /// opened in it stands here.
    pub revoked: PathBuf,
}

fn twelve() -> u32 {
    12
}

fn a_quarter() -> u32 {
    100
}

fn audience() -> String {
    AUDIENCE.to_owned()
}

/// Where a JSON Web Key Set is.
#[derive(Debug, Clone)]
pub enum Jwks {
    /// A file.
    File(PathBuf),
    /// An address.
    Url(Uri),
}

impl<'de> Deserialize<'de> for Jwks {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.starts_with("https://") || text.starts_with("http://") {
            text.parse().map(Self::Url).map_err(serde::de::Error::custom)
        } else {
            Ok(Self::File(text.into()))
        }
    }
}

fn roles<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<Role>, D::Error> {
    let names = Vec::<String>::deserialize(deserializer)?;
    let role = |name: &String| name.parse().map_err(serde::de::Error::custom);
    names.iter().map(role).collect()
}

/// Longest that an opened credential may be good for, in hours: over a weekend.
const MAX_EMERGENCY_HOURS: u32 = 72;
/// Longest that a sealed one may be, in days: a year, and time to replace it.
const MAX_EMERGENCY_DAYS: u32 = 400;

type Fault = (String, &'static str);

/// What is wrong with them: key and problem.
pub(super) fn check(config: &Config) -> Result<(), Fault> {
    for (n, issuer) in config.issuers.iter().enumerate() {
        let key = |name: &str| format!("issuers[{n}].{name}");
        check_issuer(issuer).map_err(|(name, problem)| (key(name), problem))?;
        if config.issuers.iter().position(|other| other.name == issuer.name) != Some(n) {
            return Err((key("name"), "is used twice"));
        }
    }
    if let Some(emergency) = &config.emergency {
        let key = |name: &str| format!("emergency.{name}");
        check_emergency(emergency).map_err(|(name, problem)| (key(name), problem))?;
        if config.issuers.iter().any(|issuer| issuer.name == emergency.name) {
            return Err((key("name"), "is an issuer's, too: emergencies have one of their own"));
        }
    }
    for (n, service) in config.services.iter().enumerate() {
        let key = |name: &str| format!("services[{n}].{name}");
        if service.name.is_empty() {
            return Err((key("name"), "is empty"));
        }
        if config.services.iter().position(|other| other.name == service.name) != Some(n) {
            return Err((key("name"), "is used twice"));
        }
        if service.roles.is_empty() {
            return Err((key("roles"), "is empty: without a role it may do nothing"));
        }
    }
    let asks = |tls: Option<&Tls>| tls.is_some_and(|tls| tls.client_ca.is_some());
    let http = config.http.as_ref().and_then(|http| http.tls.as_ref());
    if !config.services.is_empty() && !asks(config.grpc.tls.as_ref()) && !asks(http) {
        return Err(("services".into(), "needs grpc.tls.client_ca: they are known by certificate"));
    }
    Ok(())
}

fn check_emergency(emergency: &Emergency) -> Result<(), (&'static str, &'static str)> {
    if emergency.name.is_empty() {
        return Err(("name", "is empty"));
    }
    if emergency.audience.is_empty() {
        return Err(("audience", "is empty"));
    }
    if emergency.keys.is_empty() {
        return Err(("keys", "names no key file"));
    }
    if !(1..=MAX_EMERGENCY_HOURS).contains(&emergency.hours) {
        return Err(("hours", "must be 1 to 72: longer is no emergency"));
    }
    if !(1..=MAX_EMERGENCY_DAYS).contains(&emergency.days) {
        return Err(("days", "must be 1 to 400: envelopes are replaced at least once a year"));
    }
    Ok(())
}

fn check_issuer(issuer: &Issuer) -> Result<(), (&'static str, &'static str)> {
    if issuer.name.is_empty() {
        return Err(("name", "is empty"));
    }
    if issuer.audience.is_empty() {
        return Err(("audience", "is empty"));
    }
    match (&issuer.jwks, issuer.keys.is_empty()) {
        (None, true) => Err(("keys", "names no key file, and there is no jwks")),
        (Some(_), false) => Err(("jwks", "is beside keys: name one of them")),
        (Some(Jwks::Url(url)), true) => check_url(url),
        (Some(Jwks::File(_)) | None, _) => Ok(()),
    }
}

/// Whoever could change keys on their way could make tokens of his own.
fn check_url(url: &Uri) -> Result<(), (&'static str, &'static str)> {
    let host = url.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let here = host == "localhost"
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    if url.scheme() == Some(&http::uri::Scheme::HTTPS) || here {
        Ok(())
    } else {
        Err(("jwks", "must be https://…: over http anybody on the way could put in keys"))
    }
}

/// Makes relative paths relative to the configuration's directory.
pub(super) fn resolve(config: &mut Config, directory: &Path) {
    let http = config.http.as_mut().and_then(|http| http.tls.as_mut());
    for tls in config.grpc.tls.as_mut().into_iter().chain(http) {
        for path in [&mut tls.certificate, &mut tls.key].into_iter().chain(&mut tls.client_ca) {
            *path = directory.join(&*path);
        }
    }
    if let Some(emergency) = &mut config.emergency {
        for path in emergency.keys.iter_mut().chain([&mut emergency.revoked]) {
            *path = directory.join(&*path);
        }
    }
    for issuer in &mut config.issuers {
        let jwks = match &mut issuer.jwks {
            Some(Jwks::File(file)) => Some(file),
            Some(Jwks::Url(_)) | None => None,
        };
        let files = issuer.keys.iter_mut().chain(jwks);
        for path in files.chain(&mut issuer.jwks_ca).chain(&mut issuer.revoked) {
            *path = directory.join(&*path);
        }
    }
}
