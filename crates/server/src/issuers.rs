//! Where issuers' keys and revocations come from: files, read again when they change, and key sets that
//! issuers publish.
//!
//! A published set is fetched at the start, every few minutes, and when a token names a key that is not in
//! it. While an issuer cannot be reached, its last good keys stay: people go on working, and an alarm says
//! since when.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::{Request, StatusCode, Uri};
use http_body_util::Full;
use hyper::body::Bytes;
use rustls::RootCertStore;
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;

use crate::auth::{Authenticator, BadKeys, BadUses, Emergency, Issuer, KeySet, Revoked, Service};
use crate::config::{self, Config, Jwks};
use crate::files::{self, Contents, FileError};
use crate::names;
use crate::reload::{Reload, Troubles};
use crate::tls::{self, TlsError};
use crate::web::{self, Https};

/// How often a published set is fetched. Issuers publish a key for hours before they sign with it.
const EVERY: Duration = Duration::from_secs(5 * 60);
/// How soon again after a failure.
const AGAIN: Duration = Duration::from_secs(30);
/// At least so long between two fetches, whatever tokens come: nobody has this node flood an issuer.
const APART: Duration = Duration::from_secs(5);
/// How long an issuer may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest set, in bytes: five keys with their certificates have 10 KiB.
const MAX_SET: usize = 256 * 1024;

/// What is known of an issuer cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A file could not be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// Keys cannot be used.
    #[error("{}: cannot be used", file.display())]
    Keys {
        /// The file, or the first of several.
        file: PathBuf,
        /// Why.
        #[source]
        source: BadKeys,
    },
    /// A revocation list is none.
    #[error("{}: is no revocation list: a JSON object with the lists `jti` and `sub`", file.display())]
    Revoked {
        /// Which file.
        file: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The authorities of an issuer at https cannot be used.
    #[error(transparent)]
    Authorities(#[from] TlsError),
    /// Which emergency credentials were used.
    #[error(transparent)]
    Uses(#[from] BadUses),
    /// The library's, should it not support TLS.
    #[error("https cannot be spoken")]
    Https(#[from] rustls::Error),
}

/// All that callers are verified by, and what keeps it new.
pub(crate) struct Issuers {
    pub(crate) authenticator: Arc<Authenticator>,
    pub(crate) reloads: Vec<Reload>,
    pub(crate) published: Vec<Published>,
}

/// What files hold.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Pems,
    Jwks,
    Revoked,
}

/// What was read in them.
enum Learned {
    Keys(KeySet),
    Revoked(Revoked),
}

impl Learned {
    fn read(kind: Kind, paths: &[PathBuf], read: &Contents) -> Result<Self, SourceError> {
        let file = || paths.first().cloned().unwrap_or_default();
        let keys = |keys: Result<KeySet, BadKeys>| {
            keys.map(Self::Keys).map_err(|source| SourceError::Keys { file: file(), source })
        };
        match kind {
            Kind::Pems => keys(KeySet::of_pems(read.all())),
            Kind::Jwks => keys(KeySet::of_jwks(read.file(0))),
            Kind::Revoked => Revoked::parse(read.file(0))
                .map(Self::Revoked)
                .map_err(|source| SourceError::Revoked { file: file(), source }),
        }
    }

    fn tell(self, issuer: &mut Issuer) {
        match self {
            Self::Keys(keys) => issuer.keys = Arc::new(keys),
            Self::Revoked(revoked) => issuer.revoked = Arc::new(revoked),
        }
    }
}

/// Files of an issuer, read.
struct Source {
    issuer: String,
    kind: Kind,
    paths: Vec<PathBuf>,
    read: Contents,
}

impl Source {
    fn read(issuer: &str, kind: Kind, paths: Vec<PathBuf>) -> Result<Self, SourceError> {
        let read = files::read(&paths)?;
        Ok(Self { issuer: issuer.to_owned(), kind, paths, read })
    }

    fn learned(&self) -> Result<Learned, SourceError> {
        Learned::read(self.kind, &self.paths, &self.read)
    }

    /// Read again whenever they change.
    fn reload(self, authenticator: Arc<Authenticator>) -> Reload {
        let Self { issuer, kind, paths, read } = self;
        let key = match kind {
            Kind::Pems => "keys",
            Kind::Jwks => "jwks",
            Kind::Revoked => "revoked",
        };
        let what = format!("{key} of issuer {issuer}");
        let again = paths.clone();
        Reload::new(what, paths, &read, move |read| {
            let learned = Learned::read(kind, &again, read)?;
            authenticator.change(&issuer, |issuer| learned.tell(issuer));
            Ok(())
        })
    }
}

/// Reads what the configuration names.
///
/// # Errors
/// The issuer, and what of it cannot be used.
pub(crate) fn load(config: &Config) -> Result<Issuers, (String, SourceError)> {
    let (mut known, mut sources, mut addresses) = (BTreeMap::new(), Vec::new(), Vec::new());
    for issuer in &config.issuers {
        let of_it = |error| (issuer.name.clone(), error);
        let mut trusted = Issuer::new(KeySet::default(), &issuer.audience);
        for source in files_of(issuer).map_err(of_it)? {
            source.learned().map_err(of_it)?.tell(&mut trusted);
            sources.push(source);
        }
        if let Some(Jwks::Url(url)) = &issuer.jwks {
            let https = https(issuer, url).map_err(of_it)?;
            let wanted = Arc::clone(&trusted.unknown_key);
            addresses.push((issuer.name.clone(), url.clone(), https, wanted));
        }
        known.insert(issuer.name.clone(), trusted);
    }
    if let Some(emergency) = &config.emergency {
        let of_it = |error| (emergency.name.clone(), error);
        let (trusted, files) = for_emergencies(emergency, &config.node.data).map_err(of_it)?;
        known.insert(emergency.name.clone(), trusted);
        sources.extend(files);
    }
    let services = config.services.iter().map(|service| {
        let may =
            Service { roles: service.roles.clone(), organisation: service.organisation.clone() };
        (service.name.clone(), may)
    });
    let authenticator = Arc::new(Authenticator::new(known, services.collect()));
    let reload = |source: Source| source.reload(Arc::clone(&authenticator));
    let reloads = sources.into_iter().map(reload).collect();
    let published = addresses.into_iter().map(|(issuer, url, https, wanted)| Published {
        issuer,
        url,
        https,
        wanted,
        authenticator: Arc::clone(&authenticator),
        seen: None,
    });
    let published = published.collect();
    Ok(Issuers { authenticator, reloads, published })
}

/// The issuer of emergency credentials, and the files that it is read from.
fn for_emergencies(
    configured: &config::Emergency,
    data: &Path,
) -> Result<(Issuer, [Source; 2]), SourceError> {
    const HOUR: u64 = 60 * 60;
    let (usable, sealed) =
        (u64::from(configured.hours) * HOUR, u64::from(configured.days) * 24 * HOUR);
    let used = Emergency::load(data.join(names::EMERGENCY_FILE), usable, sealed)?;
    let name = &configured.name;
    let sources = [
        Source::read(name, Kind::Pems, configured.keys.clone())?,
        Source::read(name, Kind::Revoked, vec![configured.revoked.clone()])?,
    ];
    let mut issuer = Issuer::new(KeySet::default(), &configured.audience);
    for source in &sources {
        source.learned()?.tell(&mut issuer);
    }
    issuer.emergency = Some(Arc::new(used));
    Ok((issuer, sources))
}

fn files_of(issuer: &config::Issuer) -> Result<Vec<Source>, SourceError> {
    let mut sources = Vec::new();
    if !issuer.keys.is_empty() {
        sources.push(Source::read(&issuer.name, Kind::Pems, issuer.keys.clone())?);
    }
    if let Some(Jwks::File(file)) = &issuer.jwks {
        sources.push(Source::read(&issuer.name, Kind::Jwks, vec![file.clone()])?);
    }
    if let Some(file) = &issuer.revoked {
        sources.push(Source::read(&issuer.name, Kind::Revoked, vec![file.clone()])?);
    }
    Ok(sources)
}

/// What to fetch the set with: https trusts the configured authorities, else the system's.
fn https(issuer: &config::Issuer, url: &Uri) -> Result<Option<Https>, SourceError> {
    if url.scheme() != Some(&http::uri::Scheme::HTTPS) {
        return Ok(None);
    }
    let roots = match &issuer.jwks_ca {
        Some(file) => tls::roots(file, files::read(std::slice::from_ref(file))?.file(0))?,
        None => {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            roots
        }
    };
    Ok(Some(Https::trusting(roots)?))
}

/// A set of keys that an issuer publishes.
pub(crate) struct Published {
    issuer: String,
    url: Uri,
    https: Option<Https>,
    wanted: Arc<Notify>,
    authenticator: Arc<Authenticator>,
    /// Tells the set that is in use from others.
    seen: Option<[u8; 32]>,
}

impl Published {
    /// Fetches the set now, and then again and again until what is returned is dropped. Resolves after the
    /// first try.
    pub(crate) async fn follow(mut self, troubles: Troubles) -> AbortOnDropHandle<()> {
        let mut good = self.fetch_and_tell(&troubles).await;
        AbortOnDropHandle::new(tokio::spawn(async move {
            loop {
                // An endless wait that is cut off: the timer is what is waited for.
                let _apart = tokio::time::timeout(APART, std::future::pending::<()>()).await;
                let rest = if good { EVERY } else { AGAIN };
                // Whichever comes first: a token that names another key, or the time.
                let _asked = tokio::time::timeout(rest, self.wanted.notified()).await;
                good = self.fetch_and_tell(&troubles).await;
            }
        }))
    }

    async fn fetch_and_tell(&mut self, troubles: &Troubles) -> bool {
        let trouble = match tokio::time::timeout(PATIENCE, self.fetch()).await {
            Ok(fetched) => fetched.err(),
            Err(_) => Some(format!("no answer for {} seconds", PATIENCE.as_secs())),
        };
        let told =
            trouble.as_ref().map(|trouble| format!("{} cannot be fetched: {trouble}", self.url));
        troubles.tell(&format!("jwks of issuer {}", self.issuer), told.as_deref());
        trouble.is_none()
    }

    async fn fetch(&mut self) -> Result<(), String> {
        let request = Request::get(self.url.clone())
            .body(Full::new(Bytes::new()))
            .map_err(|error| error.to_string())?;
        let (status, body) = web::send(request, self.https.as_ref(), MAX_SET).await?;
        if status != StatusCode::OK {
            return Err(format!("it answers {status}"));
        }
        let now = files::fingerprint(&body);
        if self.seen != Some(now) {
            let keys = KeySet::of_jwks(&body).map_err(|error| store::causes(&error))?;
            tracing::info!(issuer = self.issuer, keys = keys.len(), "new keys of an issuer");
            let keys = Arc::new(keys);
            self.authenticator.change(&self.issuer, |issuer| issuer.keys = keys);
            self.seen = Some(now);
        }
        Ok(())
    }
}
