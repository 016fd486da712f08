//! An authority of a hospital and the certificates that it signs, in PEM form.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    SanType, date_time_ymd,
};

/// Who signs certificates.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its own certificate.
    pub pem: String,
}

/// A certificate and its private key.
#[derive(Clone, Debug)]
pub struct Certified {
    /// The certificate.
    pub certificate: String,
    /// Its key.
    pub key: String,
}

impl Authority {
    /// A new one.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn new(name: &str) -> anyhow::Result<Self> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate()?;
        let pem = params.self_signed(&key)?.pem();
        Ok(Self { issuer: Issuer::new(params, key), pem })
    }

    /// A certificate for a listener at this address.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn server(&self, address: IpAddr) -> anyhow::Result<Certified> {
        let mut params = CertificateParams::default();
        params.subject_alt_names.push(SanType::IpAddress(address));
        params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
        self.sign(&params)
    }

    /// A client certificate that names a service by this URI.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn service(&self, uri: &str) -> anyhow::Result<Certified> {
        self.sign(&service(uri)?)
    }

    /// The same, good from 2019 to so many seconds after 1970 UTC.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn service_until(&self, uri: &str, seconds: u64) -> anyhow::Result<Certified> {
        let mut params = service(uri)?;
        params.not_before = date_time_ymd(2019, 1, 1);
        params.not_after = date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds);
        self.sign(&params)
    }

    fn sign(&self, params: &CertificateParams) -> anyhow::Result<Certified> {
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?.pem();
        Ok(Certified { certificate, key: key.serialize_pem() })
    }
}

fn service(uri: &str) -> anyhow::Result<CertificateParams> {
    let mut params = CertificateParams::default();
    params.subject_alt_names.push(SanType::URI(uri.try_into().context("a URI")?));
    params.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
    Ok(params)
}

impl Certified {
    /// Writes `name.pem` and, for the owner alone, `name.key.pem` into a folder.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn write(&self, folder: &Path, name: &str) -> anyhow::Result<()> {
        use std::os::unix::fs::PermissionsExt as _;
        let key = folder.join(format!("{name}.key.pem"));
        // In place of another at once: whoever reads sees the one or the other, and never half of it.
        let new = folder.join("new.pem");
        std::fs::write(&new, &self.key)?;
        std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o600))?;
        std::fs::rename(&new, key)?;
        std::fs::write(&new, &self.certificate)?;
        std::fs::rename(&new, folder.join(format!("{name}.pem")))?;
        Ok(())
    }
}
