//! `caseledger import fhir`: reads, maps, sends, and accounts for every resource.

mod count;
mod feed;
mod files;
mod stream;

use std::process::ExitCode;

use api::v1::import_service_client::ImportServiceClient;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::sync::mpsc;

use crate::connection::connect;
use crate::failure::Failure;
use crate::options::{Global, ImportFhir};
use crate::output::{Output, is_watched};
use crate::purpose::{self, Otherwise};

use stream::{FIRST_PAUSE, Import};

const PURPOSE: Otherwise = Otherwise::Always("RECORDMGT");

/// Batches read ahead: enough that reading and sending overlap, little enough that a slow server
/// stops the reading.
const READ_AHEAD: usize = 8;

pub(crate) async fn run(
    global: &Global,
    import: &ImportFhir,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let files = files::find(&import.paths)?;
    let purpose = purpose::of(global, PURPOSE)?;
    // before anything is read, so that a wrong address or token costs no minutes
    let client = ImportServiceClient::new(connect(global).await?)
        .accept_compressed(tonic::codec::CompressionEncoding::Gzip);
    let bar = bar();
    bar.set_message("reading");
    let source = import.source.clone();
    let surveyed = tokio::task::spawn_blocking(move || feed::survey(files, &source)).await;
    let (feed, count) = surveyed.map_err(|error| Failure::local("read the files", error))??;
    bar.set_length(count.read());
    let (steps, ahead) = mpsc::channel(READ_AHEAD);
    let reader = tokio::task::spawn_blocking(move || feed.run(&steps));
    let mut import = Import::new(global.server.clone(), count, bar.clone(), FIRST_PAUSE);
    let ended = import.run(client, purpose, ahead).await;
    bar.finish_and_clear();
    drop(reader); // it ends by itself: its channel is closed
    let count = import.into_count();
    // what was answered before a failure is on file, and worth knowing
    if ended.is_ok() || count.answered() > 0 {
        output.explain(|| count.json(), || count.text())?;
    }
    ended.map(|()| if count.is_complete() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn bar() -> ProgressBar {
    let target =
        if is_watched() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(Some(0), target);
    let template = "{msg:10} {bar:32} {human_pos:>9} / {human_len} {per_sec:>12} {eta:>6}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}
