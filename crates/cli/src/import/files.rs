//! Which files are meant.

use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::output::one_line;

/// Endings of files that are looked for in folders. A file that is named is always read.
const ENDINGS: [&str; 3] = ["json", "ndjson", "jsonl"];

/// Endings that such a file has besides when it is compressed.
const COMPRESSED: [&str; 5] = ["gz", "bz2", "xz", "zst", "zip"];

/// The files, those of a folder (and of folders in it) in alphabetical order.
pub(super) fn find(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for path in paths {
        let before = files.len();
        search(path, true, &mut files)?;
        if files.len() == before {
            let endings = ENDINGS.join(", .");
            let path = one_line(&path.display().to_string());
            return Err(Failure::Usage(format!("{path}: no .{endings} file in it")));
        }
    }
    Ok(files)
}

/// Whether it is one of these files and compressed, which is not read.
pub(super) fn is_compressed(path: &Path) -> bool {
    let inner = path.file_stem().map(Path::new);
    ends_with(path, &COMPRESSED) && inner.is_some_and(|inner| ends_with(inner, &ENDINGS))
}

fn ends_with(path: &Path, endings: &[&str]) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    endings.iter().any(|one| one.eq_ignore_ascii_case(ending))
}

fn search(path: &Path, named: bool, files: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let cannot = |error| Failure::local(format!("read {}", path.display()), error);
    let found = fs::metadata(path).map_err(cannot)?;
    if found.is_dir() {
        let mut inside = fs::read_dir(path)
            .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect())
            .map_err(cannot)
            .map(|paths: Vec<PathBuf>| paths)?;
        inside.sort();
        for path in inside {
            search(&path, false, files)?;
        }
    } else if named || ends_with(path, &ENDINGS) || is_compressed(path) {
        if !found.is_file() {
            let path = one_line(&path.display().to_string());
            return Err(Failure::Usage(format!(
                "{path}: not a file; an import reads several times, and a pipe gives what it has once: save \
                 it to a file and import that"
            )));
        }
        files.push(path.to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_searched_and_files_taken_as_they_are() {
        let folder = std::env::temp_dir().join(format!("caseledger-files-{}", std::process::id()));
        fs::create_dir_all(folder.join("b")).unwrap();
        fs::create_dir_all(folder.join("empty")).unwrap();
        for name in
            ["c.ndjson", "a.json", "LICENSE", "b/d.json", "e.NDJSON", "f.ndjson.gz", "g.tar.gz"]
        {
            fs::write(folder.join(name), "").unwrap();
        }
        let named = |paths: &[&str]| {
            let paths: Vec<_> = paths.iter().map(|path| folder.join(path)).collect();
            find(&paths).map(|files| {
                let name =
                    |file: &PathBuf| file.strip_prefix(&folder).unwrap().display().to_string();
                files.iter().map(name).collect::<Vec<_>>()
            })
        };
        assert_eq!(
            named(&[""]).unwrap(),
            ["a.json", "b/d.json", "c.ndjson", "e.NDJSON", "f.ndjson.gz"]
        );
        assert!(is_compressed(Path::new("f.ndjson.gz")) && !is_compressed(Path::new("g.tar.gz")));
        assert_eq!(named(&["LICENSE"]).unwrap(), ["LICENSE"]);
        assert_eq!(named(&["empty"]).unwrap_err().exit_code(), 2);
        assert_eq!(named(&["missing"]).unwrap_err().exit_code(), 1);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn what_can_be_read_once_only_is_refused() {
        let refused = find(&[PathBuf::from("/dev/null")]).unwrap_err();
        assert_eq!(refused.exit_code(), 2);
        assert!(refused.report().contains("save it to a file"), "{}", refused.report());
    }
}
