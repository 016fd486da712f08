//! Which files are meant.

use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::output::one_line;

/// Endings of files that are looked for in folders. A file that is named is always read.
const ENDINGS: [&str; 3] = ["json", "ndjson", "jsonl"];

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

fn search(path: &Path, named: bool, files: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let cannot = |error| Failure::local(format!("read {}", path.display()), error);
    if fs::metadata(path).map_err(cannot)?.is_dir() {
        let mut inside = fs::read_dir(path)
            .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect())
            .map_err(cannot)
            .map(|paths: Vec<PathBuf>| paths)?;
        inside.sort();
        for path in inside {
            search(&path, false, files)?;
        }
    } else {
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        if named || ENDINGS.contains(&ending) {
            files.push(path.to_owned());
        }
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
        for name in ["c.ndjson", "a.json", "LICENSE", "b/d.json"] {
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
        assert_eq!(named(&[""]).unwrap(), ["a.json", "b/d.json", "c.ndjson"]);
        assert_eq!(named(&["LICENSE"]).unwrap(), ["LICENSE"]);
        assert_eq!(named(&["empty"]).unwrap_err().exit_code(), 2);
        assert_eq!(named(&["missing"]).unwrap_err().exit_code(), 1);
        fs::remove_dir_all(&folder).unwrap();
    }
}
