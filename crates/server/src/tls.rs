//! TLS at the node's own listeners: 1.3 only, with aws-lc-rs, and client certificates where an authority
//! for them is configured.
//!
//! A certificate of another authority, or one that is out of date, ends the handshake. Whoever shows none
//! is connected: health, reflection and other nodes need none, and the gate refuses everybody else. Nothing
//! is resumed, so each connection proves anew what it claims.

mod certificate;
mod connection;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use tokio::sync::watch;

pub use self::certificate::Certificate;
pub use self::connection::Peer;
pub(crate) use self::connection::{CONNECTIONS, handshake, incoming};
use crate::config;
use crate::files::{self, Contents};
use crate::keys;
use crate::reload::Reload;

/// What is spoken at the gRPC listener, after the handshake.
pub(crate) const HTTP2: &[u8] = b"h2";
/// And at the one of tiles.
pub(crate) const HTTP1: &[u8] = b"http/1.1";

/// What a connection presented about the service at its other end.
#[derive(Debug, Clone)]
pub enum Presented {
    /// The listener asks for no client certificates.
    NotAsked,
    /// It asks, and none was shown.
    Nothing,
    /// One that an accepted authority signed, but that names no service.
    Nameless,
    /// One that an accepted authority signed.
    Certificate(Arc<Certificate>),
}

/// A listener's certificate, or what it accepts, cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file could not be read.
    #[error(transparent)]
    File(#[from] files::FileError),
    /// The private key's file can be read by others.
    #[error(transparent)]
    Key(#[from] keys::KeyFileError),
    /// A file holds something else.
    #[error("{}: holds no {what} in PEM form", file.display())]
    NotPem {
        /// Which file.
        file: PathBuf,
        /// What it should hold.
        what: &'static str,
    },
    /// They do not fit each other, or are not what TLS takes.
    #[error("{}: {problem}", file.display())]
    Unfit {
        /// Which file.
        file: PathBuf,
        /// What is wrong.
        problem: String,
    },
}

/// One listener's TLS, made anew when its files change.
#[derive(Debug, Clone)]
pub(crate) struct Tls {
    current: watch::Sender<Arc<ServerConfig>>,
    asks: bool,
}

impl Tls {
    /// Reads the files. Also returned: what looks whether they have changed.
    ///
    /// # Errors
    /// Which file cannot be used, and why.
    pub(crate) fn load(
        key: &str,
        files: &config::Tls,
        protocol: &'static [u8],
    ) -> Result<(Self, Reload), TlsError> {
        let files = files.clone();
        let mut paths = vec![files.certificate.clone(), files.key.clone()];
        paths.extend(files.client_ca.clone());
        let read = files::read(&paths)?;
        let first = Arc::new(server_config(&files, &read, protocol)?);
        let tls = Self { current: watch::Sender::new(first), asks: files.client_ca.is_some() };
        let current = tls.current.clone();
        let reload = Reload::new(key.to_owned(), paths, &read, move |read| {
            current.send_replace(Arc::new(server_config(&files, read, protocol)?));
            Ok(())
        });
        Ok((tls, reload))
    }
}

fn server_config(
    files: &config::Tls,
    read: &Contents,
    protocol: &[u8],
) -> Result<ServerConfig, TlsError> {
    keys::owner_only(&files.key)?;
    let chain = certificates(&files.certificate, read.file(0))?;
    let key = PrivateKeyDer::from_pem_slice(read.file(1))
        .map_err(|_| TlsError::NotPem { file: files.key.clone(), what: "private key" })?;
    let unfit = |file: &Path, problem: String| TlsError::Unfit { file: file.to_owned(), problem };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| unfit(&files.certificate, error.to_string()))?;
    let builder = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(file) => {
            let roots = Arc::new(roots(file, read.file(2))?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider)
                .allow_unauthenticated()
                .build()
                .map_err(|error| unfit(file, error.to_string()))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder
        .with_single_cert(chain, key)
        .map_err(|error| unfit(&files.certificate, format!("does not go with its key: {error}")))?;
    config.alpn_protocols.push(protocol.to_vec());
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// All certificates of a PEM file; at least one.
fn certificates(file: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    found
        .ok()
        .filter(|found| !found.is_empty())
        .ok_or_else(|| TlsError::NotPem { file: file.to_owned(), what: "certificate" })
}

/// Authorities of a PEM file.
///
/// # Errors
/// There are none, or one cannot be used.
pub(crate) fn roots(file: &Path, pem: &[u8]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file, pem)? {
        roots.add(certificate).map_err(|error| TlsError::Unfit {
            file: file.to_owned(),
            problem: error.to_string(),
        })?;
    }
    Ok(roots)
}
