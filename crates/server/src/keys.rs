//! Key files: made once, never overwritten, readable by their owner only.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// Permissions of a private key file.
const PRIVATE: u32 = 0o600;

/// A key file that could not be made or used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// It exists: keys are never overwritten.
    #[error("{} exists already; keys are never overwritten", .0.display())]
    Exists(PathBuf),
    /// It could not be read or written.
    #[error("{}: cannot be read or written", file.display())]
    File {
        /// Which file.
        file: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Others than its owner can read it.
    #[error("{}: others can read it; run `chmod 600` on it and consider the key known", .0.display())]
    Exposed(PathBuf),
    /// It holds something else than 64 hex digits.
    #[error("{}: must hold 64 hex digits", .0.display())]
    Malformed(PathBuf),
    /// The machine gives no random numbers.
    #[error("the machine gives no random numbers")]
    NoRandom,
}

/// 32 random bytes.
///
/// # Errors
/// The machine gives none.
pub fn random<const N: usize>() -> Result<[u8; N], KeyFileError> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| KeyFileError::NoRandom)?;
    Ok(bytes)
}

/// Writes a file that must not exist, synced, with these permissions. Whoever is killed meanwhile
/// leaves the whole file or none.
///
/// # Errors
/// It exists, or cannot be written.
pub fn create(file: &Path, content: &[u8], mode: u32) -> Result<(), KeyFileError> {
    let failed = |source: std::io::Error| {
        if source.kind() == std::io::ErrorKind::AlreadyExists {
            KeyFileError::Exists(file.to_owned())
        } else {
            KeyFileError::File { file: file.to_owned(), source }
        }
    };
    let part = file.with_added_extension("part");
    let mut opened: File = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(&part)
        .map_err(failed)?;
    opened.write_all(content).and_then(|()| opened.sync_all()).map_err(failed)?;
    // A link, unlike a renaming, never replaces what is there.
    let linked = std::fs::hard_link(&part, file);
    std::fs::remove_file(&part).map_err(failed)?;
    linked.map_err(failed)?;
    sync_parent(file).map_err(failed)
}

/// Syncs the directory that names this file.
pub(crate) fn sync_parent(file: &Path) -> std::io::Result<()> {
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new("."))).and_then(|directory| directory.sync_all())
}

/// Makes a new 32-byte secret and writes it as 64 hex digits, mode 0600.
///
/// # Errors
/// As `create`.
pub fn create_secret(file: &Path) -> Result<Zeroizing<[u8; 32]>, KeyFileError> {
    let secret = Zeroizing::new(random()?);
    let mut text = Zeroizing::new(hex::encode(secret.as_slice()));
    text.push('\n');
    create(file, text.as_bytes(), PRIVATE)?;
    Ok(secret)
}

/// The secret of an earlier attempt, or else a new one.
///
/// # Errors
/// As `create_secret` and `read_secret`.
pub fn keep_or_create_secret(file: &Path) -> Result<Zeroizing<[u8; 32]>, KeyFileError> {
    match create_secret(file) {
        Err(KeyFileError::Exists(_)) => read_secret(file),
        made => made,
    }
}

/// Writes a private text, mode 0600.
///
/// # Errors
/// As `create`.
pub fn create_private(file: &Path, text: &str) -> Result<(), KeyFileError> {
    create(file, text.as_bytes(), PRIVATE)
}

/// Makes sure that only its owner can read a file.
///
/// # Errors
/// Others can, or it cannot be looked at.
pub(crate) fn owner_only(file: &Path) -> Result<(), KeyFileError> {
    let metadata = std::fs::metadata(file)
        .map_err(|source| KeyFileError::File { file: file.to_owned(), source })?;
    if metadata.permissions().mode() & 0o077 == 0 {
        Ok(())
    } else {
        Err(KeyFileError::Exposed(file.to_owned()))
    }
}

/// Reads a secret of 64 hex digits, whose file only its owner may read.
///
/// # Errors
/// Unreadable, readable by others, or something else in it.
pub fn read_secret(file: &Path) -> Result<Zeroizing<[u8; 32]>, KeyFileError> {
    owner_only(file)?;
    let failed = |source| KeyFileError::File { file: file.to_owned(), source };
    let opened = File::open(file).map_err(failed)?;
    let mut text = Zeroizing::new(String::with_capacity(67));
    // 64 digits and a line end, and one byte more to notice a longer file.
    opened.take(67).read_to_string(&mut text).map_err(failed)?;
    let mut secret = Zeroizing::new([0; 32]);
    hex::decode_to_slice(text.trim_ascii_end(), secret.as_mut_slice())
        .map_err(|_| KeyFileError::Malformed(file.to_owned()))?;
    Ok(secret)
}

/// A SubjectPublicKeyInfo in PEM form (RFC 7468).
#[must_use]
pub fn public_pem(der: &[u8]) -> String {
    pem("PUBLIC KEY", der)
}

/// A PKCS#8 private key in PEM form (RFC 7468).
#[must_use]
pub fn private_pem(der: &[u8]) -> String {
    pem("PRIVATE KEY", der)
}

/// Bytes in PEM form (RFC 7468).
pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    let mut text = format!("-----BEGIN {label}-----\n");
    for (place, character) in STANDARD.encode(der).chars().enumerate() {
        if place > 0 && place % 64 == 0 {
            text.push('\n');
        }
        text.push(character);
    }
    text.push_str(&format!("\n-----END {label}-----\n"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_private_and_never_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("kek");
        let secret = create_secret(&file).unwrap();
        assert_eq!(read_secret(&file).unwrap(), secret);
        assert!(matches!(create_secret(&file), Err(KeyFileError::Exists(_))));
        assert_eq!(keep_or_create_secret(&file).unwrap(), secret);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is left over");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(read_secret(&file), Err(KeyFileError::Exposed(_))));
    }

    #[test]
    fn a_file_with_something_else_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in [("short", "00"), ("long", &"0".repeat(80)), ("text", "hello")] {
            let file = directory.path().join(name);
            create_private(&file, text).unwrap();
            assert!(matches!(read_secret(&file), Err(KeyFileError::Malformed(_))), "{name}");
        }
    }

    #[test]
    fn pem_lines_have_64_characters() {
        let text = public_pem(&[7; 100]);
        assert!(text.lines().all(|line| line.len() <= 64));
        assert!(text.starts_with("-----BEGIN PUBLIC KEY-----\n"));
        assert!(text.ends_with("\n-----END PUBLIC KEY-----\n"));
    }
}
