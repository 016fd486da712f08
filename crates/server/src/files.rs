//! Small files that belong together, read whole and bounded.

use std::fs::OpenOptions;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};
use rustix::fs::OFlags;
use zeroize::Zeroizing;

/// Longest file, in bytes: the largest is a revocation list, which at 50 bytes an entry then holds
/// 160,000.
const MAX_FILE: u64 = 8 * 1024 * 1024;

/// A file that could not be read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The system says why.
    #[error("{}: cannot be read", file.display())]
    Unreadable {
        /// Which file.
        file: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A folder, a device, or a pipe that nobody may ever write to.
    #[error("{}: is not a regular file", .0.display())]
    NotRegular(PathBuf),
    /// It is longer than anything that belongs there.
    #[error("{}: has more than {MAX_FILE} bytes, the limit", .0.display())]
    TooLong(PathBuf),
}

/// What was in them.
#[derive(Debug)]
pub(crate) struct Contents(Vec<Zeroizing<Vec<u8>>>);

impl Contents {
    /// Of the file at this place; nothing where there is none.
    pub(crate) fn file(&self, place: usize) -> &[u8] {
        self.0.get(place).map_or(&[], |bytes| bytes.as_slice())
    }

    /// Of all of them, in order.
    pub(crate) fn all(&self) -> &[Zeroizing<Vec<u8>>] {
        &self.0
    }

    /// Tells these contents from others, without keeping what may be a private key.
    pub(crate) fn fingerprint(&self) -> Vec<[u8; 32]> {
        self.0.iter().map(|bytes| fingerprint(bytes)).collect()
    }
}

/// SHA-256.
pub(crate) fn fingerprint(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    for (to, from) in hash.iter_mut().zip(digest(&SHA256, bytes).as_ref()) {
        *to = *from;
    }
    hash
}

/// Reads all of them.
///
/// # Errors
/// The first that cannot be read.
pub(crate) fn read(paths: &[PathBuf]) -> Result<Contents, FileError> {
    paths.iter().map(|path| one(path)).collect::<Result<_, _>>().map(Contents)
}

fn one(path: &Path) -> Result<Zeroizing<Vec<u8>>, FileError> {
    let unreadable = |source| FileError::Unreadable { file: path.to_owned(), source };
    // Opening a pipe otherwise waits for somebody who writes to it.
    let waitless = OFlags::NONBLOCK.bits().cast_signed();
    let opened =
        OpenOptions::new().read(true).custom_flags(waitless).open(path).map_err(unreadable)?;
    let known = opened.metadata().map_err(unreadable)?;
    if !known.is_file() {
        return Err(FileError::NotRegular(path.to_owned()));
    }
    // With room for all of it, so that no copy is left behind when it grows.
    let length = known.len().min(MAX_FILE);
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(length).unwrap_or(0) + 1));
    opened.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= MAX_FILE) {
        Ok(bytes)
    } else {
        Err(FileError::TooLong(path.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_regular_file_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("file"), "text").unwrap();
        std::os::unix::fs::symlink(at("file"), at("link")).unwrap();
        assert_eq!(read(&[at("file"), at("link")]).unwrap().file(1), b"text");
        let owner = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, at("pipe"), rustix::fs::FileType::Fifo, owner, 0)
            .unwrap();
        std::fs::create_dir(at("folder")).unwrap();
        for place in [at("pipe"), at("folder"), "/dev/zero".into()] {
            let refused = read(std::slice::from_ref(&place)).unwrap_err().to_string();
            assert_eq!(refused, format!("{}: is not a regular file", place.display()));
        }
    }
}
