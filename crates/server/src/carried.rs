//! What protects a node and is the same at every one: `admit` takes it over from the existing node.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::auth::AUDIENCE;
use crate::config::{Config, Emergency, Issuer, Jwks, Witnesses};
use crate::state_dir::quoted;

/// Issuers, emergencies, witnesses, and what the broker wants to see.
#[derive(Debug, Clone)]
pub(crate) struct Carried {
    issuers: Vec<Issuer>,
    emergency: Option<Emergency>,
    witnesses: Witnesses,
    nats: Option<PathBuf>,
}

impl Carried {
    /// What the configuration of an existing node says.
    pub(crate) fn of(config: &Config) -> Self {
        Self {
            issuers: config.issuers.clone(),
            emergency: config.emergency.clone(),
            witnesses: config.witnesses.clone(),
            nats: config.nats.credentials.clone(),
        }
    }

    /// What a first node begins with: one issuer with one key.
    pub(crate) fn first(issuer: &str) -> Self {
        let issuer = Issuer {
            name: issuer.to_owned(),
            keys: vec!["keys/issuer.pub.pem".into()],
            jwks: None,
            jwks_ca: None,
            audience: AUDIENCE.to_owned(),
            revoked: None,
        };
        let witnesses = Witnesses::default();
        Self { issuers: vec![issuer], emergency: None, witnesses, nats: None }
    }

    /// Every file, and what its copy is called among a new node's keys.
    pub(crate) fn files(&mut self) -> Vec<(String, &mut PathBuf)> {
        let mut files = Vec::new();
        for (n, issuer) in (1..).zip(&mut self.issuers) {
            for (m, key) in (1..).zip(&mut issuer.keys) {
                let first = (n, m) == (1, 1);
                let name = if first { String::new() } else { format!(".{n}.{m}") };
                files.push((format!("issuer{name}.pub.pem"), key));
            }
            if let Some(Jwks::File(file)) = &mut issuer.jwks {
                files.push((format!("issuer.{n}.jwks.json"), file));
            }
            if let Some(file) = &mut issuer.jwks_ca {
                files.push((format!("issuer.{n}.jwks_ca.pem"), file));
            }
            if let Some(file) = &mut issuer.revoked {
                files.push((format!("issuer.{n}.revoked.json"), file));
            }
        }
        if let Some(emergency) = &mut self.emergency {
            for (m, key) in (1..).zip(&mut emergency.keys) {
                files.push((format!("emergency.{m}.pub.pem"), key));
            }
            files.push(("emergency.revoked.json".to_owned(), &mut emergency.revoked));
        }
        if let Some(file) = &mut self.nats {
            files.push(("nats.creds".to_owned(), file));
        }
        files
    }

    /// Files of what is revoked: of a copy somebody has to know.
    pub(crate) fn revoked(&self) -> impl Iterator<Item = &Path> {
        let issuers = self.issuers.iter().filter_map(|issuer| issuer.revoked.as_deref());
        issuers.chain(self.emergency.iter().map(|emergency| emergency.revoked.as_path()))
    }

    /// The line of `[nats]`, if there is one.
    pub(crate) fn written_nats(&self) -> String {
        let line = |file: &PathBuf| format!("credentials = {}\n", path(file));
        self.nats.as_ref().map(line).unwrap_or_default()
    }

    /// The tables of their own.
    pub(crate) fn written(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        for issuer in &self.issuers {
            let _ = writeln!(text, "[[issuers]]\nname = {}", quoted(&issuer.name));
            if !issuer.keys.is_empty() {
                let _ = writeln!(text, "keys = [{}]", paths(&issuer.keys));
            }
            let _ = match &issuer.jwks {
                Some(Jwks::File(file)) => writeln!(text, "jwks = {}", path(file)),
                Some(Jwks::Url(url)) => writeln!(text, "jwks = {}", quoted(&url.to_string())),
                None => Ok(()),
            };
            if let Some(file) = &issuer.jwks_ca {
                let _ = writeln!(text, "jwks_ca = {}", path(file));
            }
            if issuer.audience != AUDIENCE {
                let _ = writeln!(text, "audience = {}", quoted(&issuer.audience));
            }
            if let Some(file) = &issuer.revoked {
                let _ = writeln!(text, "revoked = {}", path(file));
            }
            text.push('\n');
        }
        if let Some(Emergency { name, keys, audience, hours, days, revoked }) = &self.emergency {
            let (name, audience) = (quoted(name), quoted(audience));
            let (keys, revoked) = (paths(keys), path(revoked));
            let _ = writeln!(
                text,
                "[emergency]\nname = {name}\nkeys = [{keys}]\naudience = {audience}\n\
                 hours = {hours}\ndays = {days}\nrevoked = {revoked}\n"
            );
        }
        let Witnesses { quorum, known } = &self.witnesses;
        if !known.is_empty() {
            let _ = writeln!(text, "[witnesses]\nquorum = {quorum}\n");
        }
        for witness in known {
            let (key, url) = (quoted(&witness.key.to_string()), quoted(&witness.url));
            let _ = writeln!(text, "[[witnesses.known]]\nkey = {key}\nurl = {url}\n");
        }
        text
    }
}

fn path(file: &Path) -> String {
    quoted(&file.to_string_lossy())
}

fn paths(files: &[PathBuf]) -> String {
    files.iter().map(|file| path(file)).collect::<Vec<_>>().join(", ")
}
