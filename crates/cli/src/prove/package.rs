//! The file that a package is written to: beside its name, which it takes when it is whole.

use std::io::ErrorKind;
use std::path::Path;

use tempfile::NamedTempFile;

use crate::failure::Failure;

/// A file that only its owner can read. It is gone when it is dropped, and so not kept.
pub(super) fn begun(output: &Path) -> Result<NamedTempFile, Failure> {
    if output.symlink_metadata().is_ok() {
        return Err(taken(output));
    }
    let folder = output.parent().filter(|folder| !folder.as_os_str().is_empty());
    tempfile::Builder::new()
        .prefix(".caseledger-")
        .suffix(".part")
        .tempfile_in(folder.unwrap_or(Path::new(".")))
        .map_err(|error| not_made(output, error))
}

/// Gives it its name, unless something has that by now.
pub(super) fn keep(package: NamedTempFile, output: &Path) -> Result<(), Failure> {
    match package.persist_noclobber(output) {
        Ok(_) => Ok(()),
        Err(failed) if failed.error.kind() == ErrorKind::AlreadyExists => Err(taken(output)),
        Err(failed) => Err(not_made(output, failed.error)),
    }
}

/// Why there is none, when somebody stopped it.
pub(super) fn interrupted(output: &Path) -> Failure {
    not_made(output, "it was interrupted; nothing of it is kept")
}

fn taken(output: &Path) -> Failure {
    not_made(output, "it exists already: choose another name, or delete it")
}

fn not_made(output: &Path, cause: impl std::fmt::Display) -> Failure {
    Failure::local(format!("make {}", output.display()), cause)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_package_has_its_name_only_when_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("evidence.zip");
        let files = || std::fs::read_dir(folder.path()).unwrap().count();
        let mut begun_first = begun(&output).unwrap();
        begun_first.write_all(b"half").unwrap();
        assert!(!output.exists());
        drop(begun_first);
        assert_eq!(files(), 0, "what was interrupted leaves nothing");
        let (mut whole, late) = (begun(&output).unwrap(), begun(&output).unwrap());
        whole.write_all(b"whole").unwrap();
        keep(whole, &output).unwrap();
        assert_eq!(output.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        for refused in [keep(late, &output), begun(&output).map(drop)] {
            let told = refused.unwrap_err().report();
            assert!(told.ends_with("choose another name, or delete it\n"), "{told}");
        }
        assert_eq!((std::fs::read(&output).unwrap(), files()), (b"whole".to_vec(), 1));
        let told = interrupted(&output).report();
        assert!(told.contains("nothing of it is kept"), "{told}");
    }
}
