//! `caseledger witness key`, and reading the file that it makes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::process::ExitCode;

use ledger::SigningKey;
use serde_json::json;

use super::Own;
use super::options::{Key, Own as Typed};
use crate::failure::Failure;
use crate::output::Output;

/// Permissions of a private key.
const PRIVATE: u32 = 0o600;

pub(crate) fn run(wanted: &Key, output: &Output) -> Result<ExitCode, Failure> {
    let mut secret = [0; 32];
    aws_lc_rs::rand::fill(&mut secret)
        .map_err(|_| Failure::local("make a key", "the system has no random numbers"))?;
    // A name that cannot be one is refused before there is a file.
    let own = Own::new(&wanted.name, SigningKey::from_bytes(&secret))?;
    let file = wanted.output.display();
    create(&wanted.output, format!("{}\n", hex::encode(secret)).as_bytes()).map_err(|error| {
        if error.kind() == ErrorKind::AlreadyExists {
            Failure::Usage(format!("{file} exists already; keys are never overwritten"))
        } else {
            Failure::local(format!("write {file}"), error)
        }
    })?;
    let vkey = own.vkey.to_string();
    output.show(|| json!({"vkey": vkey, "file": wanted.output}), || vkey.clone())?;
    Ok(ExitCode::SUCCESS)
}

/// The whole file or none, and never over another.
fn create(file: &Path, content: &[u8]) -> io::Result<()> {
    let part = file.with_added_extension("part");
    let mut opened =
        OpenOptions::new().write(true).create(true).truncate(true).mode(PRIVATE).open(&part)?;
    opened.write_all(content).and_then(|()| opened.sync_all())?;
    // A link, unlike a renaming, never replaces what is there.
    let linked = fs::hard_link(&part, file);
    fs::remove_file(&part)?;
    linked?;
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// The witness that was named on the command line.
pub(crate) fn read(typed: &Typed) -> Result<Own, Failure> {
    let file = typed.key.display();
    let usage = |why: String| Failure::Usage(format!("--key {file}: {why}"));
    let unread = |error: io::Error| usage(format!("it cannot be read: {error}"));
    let mode = fs::metadata(&typed.key).map_err(unread)?.permissions().mode();
    if mode & 0o077 != 0 {
        let why = "others can read it; run `chmod 600` on it and consider the key known";
        return Err(usage(why.to_owned()));
    }
    let text = fs::read_to_string(&typed.key).map_err(unread)?;
    let mut secret = [0; 32];
    hex::decode_to_slice(text.trim(), &mut secret)
        .map_err(|_| usage("it must hold 64 hex digits".to_owned()))?;
    Own::new(&typed.name, SigningKey::from_bytes(&secret))
}
