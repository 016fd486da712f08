//! Where a key-encryption key comes from: a file, an environment variable, or a PKCS#11 module.
//!
//! | written | is |
//! |---|---|
//! | `keys/kek` | a file that only its owner may read: 64 hexadecimal digits, a line end at most after them |
//! | `env:NAME` | an environment variable with the same. It stays in the process's environment, which administrators can read: taking it out is not possible without `unsafe` code |
//! | `pkcs11:…` | a file that a key in a PKCS#11 module opens, see [`ModuleKey`] |

use crate::VaultError;
use crate::key_encryption::{KeyEncryptionKey, Secret, blank};
use crate::pkcs11::ModuleKey;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use zeroize::Zeroizing;

const VARIABLE: &str = "env:";
const MODULE: &str = "pkcs11:";

/// Where one version of the key-encryption key comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KekSource {
    /// A file that holds it.
    File(PathBuf),
    /// An environment variable of this name.
    Variable(String),
    /// A file that a key in a PKCS#11 module opens.
    Module(ModuleKey),
}

impl KekSource {
    /// Reads the key.
    ///
    /// # Errors
    /// When it is not there, others may read it, or it is no key. No message says what it holds.
    pub fn load(&self, version: u32) -> Result<KeyEncryptionKey, VaultError> {
        let secret = match self {
            Self::File(path) => file(path)?,
            Self::Variable(name) => variable(name)?,
            Self::Module(module) => module.open()?,
        };
        KeyEncryptionKey::from_slice(version, &secret)
    }

    /// Relative paths begin at this directory.
    pub fn resolve(&mut self, directory: &Path) {
        match self {
            Self::File(path) => *path = directory.join(&*path),
            Self::Variable(_) => {}
            Self::Module(module) => {
                for path in [&mut module.module, &mut module.pin, &mut module.sealed] {
                    *path = directory.join(&*path);
                }
            }
        }
    }
}

impl FromStr for KekSource {
    type Err = VaultError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |why: &str| {
            let (given, why) = (text.to_owned(), why.to_owned());
            Err(VaultError::KeySource { given, why })
        };
        if let Some(name) = text.strip_prefix(VARIABLE) {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
            return if name.is_empty() || !name.bytes().all(plain) {
                wrong("a variable's name has letters, digits and underscores")
            } else {
                Ok(Self::Variable(name.to_owned()))
            };
        }
        if text.starts_with(MODULE) {
            return text.parse().map(Self::Module);
        }
        if text.is_empty() { wrong("it is empty") } else { Ok(Self::File(text.into())) }
    }
}

impl fmt::Display for KekSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Variable(name) => write!(f, "{VARIABLE}{name}"),
            Self::Module(module) => write!(f, "{module}"),
        }
    }
}

/// The content of a file that nobody but its owner may read.
pub(crate) fn private(path: &Path) -> Result<Zeroizing<Vec<u8>>, VaultError> {
    let fail = |source| VaultError::KeyFile { path: path.to_path_buf(), source };
    let mode = std::fs::metadata(path).map_err(fail)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(VaultError::KeyFileMode { path: path.to_path_buf(), mode });
    }
    std::fs::read(path).map(Zeroizing::new).map_err(fail)
}

pub(crate) fn file(path: &Path) -> Result<Secret, VaultError> {
    digits(&private(path)?).ok_or_else(|| VaultError::KeyFileContent { path: path.to_path_buf() })
}

fn variable(name: &str) -> Result<Secret, VaultError> {
    let wrong = |why| VaultError::KeyVariable { name: name.to_owned(), why };
    let value = std::env::var_os(name).ok_or_else(|| wrong("is not set"))?;
    let value = Zeroizing::new(value.as_bytes().to_vec());
    digits(&value).ok_or_else(|| wrong("does not hold 64 hexadecimal digits"))
}

fn digits(text: &[u8]) -> Option<Secret> {
    let mut secret = blank();
    hex::decode_to_slice(text.trim_ascii(), &mut secret).ok()?;
    Some(secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_says_where_a_key_is_and_is_written_the_same_again() {
        let module = "pkcs11:token=case%20ledger;object=kek?module-path=/usr/lib/m.so\
                      &pin-source=file:/run/pin&x-sealed=/etc/kek.sealed";
        for text in ["keys/kek", "/a/kek", "env:CASELEDGER_KEK", module] {
            let source: KekSource = text.parse().unwrap();
            assert_eq!(source.to_string().parse::<KekSource>().unwrap(), source, "{text}");
        }
        assert_eq!("env:A".parse::<KekSource>().unwrap(), KekSource::Variable("A".to_owned()));
        let mut relative: KekSource = "keys/kek".parse().unwrap();
        relative.resolve(Path::new("/state"));
        assert_eq!(relative, KekSource::File("/state/keys/kek".into()));
        for wrong in ["", "env:", "env:A-B", "pkcs11:", "pkcs11:token=a"] {
            assert!(wrong.parse::<KekSource>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_variable_that_is_not_there_or_no_key_is_named_and_not_shown() {
        let load = |name: &str| KekSource::Variable(name.to_owned()).load(1).unwrap_err();
        assert!(load("CASELEDGER_NO_SUCH").to_string().contains("CASELEDGER_NO_SUCH is not set"));
        let path = std::env::var("PATH").unwrap();
        let error = load("PATH").to_string();
        assert!(error.contains("64 hexadecimal digits") && !error.contains(&path), "{error}");
    }
}
