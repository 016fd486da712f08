//! What is made of files is made anew when they change; what cannot be is told, and the earlier stays.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use engine::Engine;
use tokio_util::task::AbortOnDropHandle;

use crate::clock;
use crate::files::{self, Contents};

/// How often files are looked at. They are read whole: a time stamp does not change when a file is put in
/// place of another within a second, or where names are links. A hospital's have some kilobytes.
const LOOK: Duration = Duration::from_secs(2);

/// The alarm's code.
const CODE: &str = "CREDENTIALS_OUTDATED";

type Apply = Box<dyn FnMut(&Contents) -> Result<(), Box<dyn Error + Send + Sync>> + Send>;

/// Files, and what is made of them.
pub(crate) struct Reload {
    what: String,
    paths: Vec<PathBuf>,
    seen: Vec<[u8; 32]>,
    apply: Apply,
}

impl std::fmt::Debug for Reload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reload").field("what", &self.what).finish_non_exhaustive()
    }
}

impl Reload {
    /// `what` names them as the configuration does. `apply` makes something of them whenever they are no
    /// longer as they were `read`.
    pub(crate) fn new(
        what: String,
        paths: Vec<PathBuf>,
        read: &Contents,
        apply: impl FnMut(&Contents) -> Result<(), Box<dyn Error + Send + Sync>> + Send + 'static,
    ) -> Self {
        Self { what, paths, seen: read.fingerprint(), apply: Box::new(apply) }
    }

    /// Reads the files and, if they have changed, makes something of them.
    pub(crate) fn look(&mut self) -> Result<(), String> {
        let read = files::read(&self.paths).map_err(|error| store::causes(&error))?;
        let now = read.fingerprint();
        if now != self.seen {
            (self.apply)(&read).map_err(|error| store::causes(&*error))?;
            self.seen = now;
            tracing::info!(what = self.what, "changed files were read anew");
        }
        Ok(())
    }
}

/// Looks at all of them again and again, until it is dropped.
pub(crate) fn follow(mut reloads: Vec<Reload>, troubles: Troubles) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(async move {
        let mut looks = tokio::time::interval(LOOK);
        let lasting = troubles.clone();
        loop {
            looks.tick().await;
            let troubles = troubles.clone();
            let looked = tokio::task::spawn_blocking(move || {
                for reload in &mut reloads {
                    let trouble = reload.look().err();
                    troubles.tell(&reload.what, trouble.as_deref());
                }
                reloads
            });
            match looked.await {
                Ok(back) => reloads = back,
                Err(error) => {
                    tracing::error!(%error, "changed files are no longer read");
                    let trouble = "changed files are no longer read: restart the node";
                    lasting.tell("all files of credentials", Some(trouble));
                    return;
                }
            }
        }
    }))
}

/// Everything that is older than it should be, as one alarm of the node.
#[derive(Clone)]
pub(crate) struct Troubles {
    engine: Engine,
    /// By what it is about: since when, as text, and what is wrong.
    known: Arc<Mutex<BTreeMap<String, (String, String)>>>,
}

impl Troubles {
    pub(crate) fn new(engine: Engine) -> Self {
        Self { engine, known: Arc::default() }
    }

    /// What is wrong with something, or that nothing is; told once, however often it is said.
    pub(crate) fn tell(&self, about: &str, trouble: Option<&str>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match (trouble, known.get_mut(about)) {
            (None, None) => return,
            (None, Some(_)) => drop(known.remove(about)),
            (Some(trouble), Some((_, told))) if told == trouble => return,
            (Some(trouble), Some((_, told))) => trouble.clone_into(told),
            (Some(trouble), None) => {
                known.insert(
                    about.to_owned(),
                    (clock::rfc3339(clock::seconds()), trouble.to_owned()),
                );
            }
        }
        if known.is_empty() {
            self.engine.clear_alarm(CODE);
            return;
        }
        let each = known
            .iter()
            .map(|(about, (since, trouble))| format!("{about}: {trouble} (since {since})"));
        let all = each.collect::<Vec<_>>().join("; ");
        self.engine.raise_alarm(CODE, format!("the earlier ones stay in use. {all}"));
    }
}
