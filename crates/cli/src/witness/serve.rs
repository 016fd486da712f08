//! `caseledger witness serve`: the HTTP interface of c2sp.org/tlog-witness.
//!
//! | request | answer |
//! |---|---|
//! | `POST /add-checkpoint` | 200 and the cosignature, or why not: 400, 403, 404, 409, 422 |
//! | `GET /<hex SHA-256 of origin>/checkpoint` | the newest note that was cosigned |
//!
//! 500: the record of this log cannot be read or written, and nothing of it is cosigned.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::{TokioIo, TokioTimer};
use ledger::note::Vkey;
use ledger::witness::{AddCheckpoint, MAX_REQUEST, Refused};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::timeout;

use self::desk::{Answer, Desk};
use super::options::Serve;
use super::state::{State, name};
use super::{Own, key, policy};
use crate::failure::Failure;
use crate::output::{Output, complain};
use crate::stopping::Stopping;

mod desk;

/// Connections at once: a log needs one, and each may hold a request of [`MAX_REQUEST`] bytes.
const CONNECTIONS: usize = 256;
/// How long a connection may take to ask for something, the next time too, and to send the body.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a connection may last, whatever it does: one that never reads its answers has no other
/// limit. A log that is cut off here asks again.
const LIFETIME: Duration = Duration::from_secs(600);

/// All logs, by the name under which they are kept and served.
struct Witness {
    desks: BTreeMap<String, Desk>,
    output: Output,
    /// Held until the last request is done, so that no other process writes meanwhile.
    _state: State,
}

pub(crate) async fn run(wanted: &Serve, output: &Output) -> Result<ExitCode, Failure> {
    let own = Arc::new(key::read(&wanted.own)?);
    let logs = logs(wanted)?;
    let state = State::open(&wanted.own.state)?;
    let mut desks = BTreeMap::new();
    for (origin, keys) in &logs {
        let log = state.log(origin, &own.vkey);
        if let Err(why) = &log {
            complain(&Failure::local(format!("serve {origin}"), why), output.is_json());
        }
        desks.insert(name(origin), Desk::new(Arc::clone(&own), keys.clone(), log));
    }
    let mut stopping = Stopping::new()?;
    let listening = |error| Failure::local(format!("listen on {}", wanted.listen), error);
    let listener = TcpListener::bind(wanted.listen).await.map_err(listening)?;
    let address = listener.local_addr().map_err(listening)?;
    let origins: Vec<&String> = logs.keys().collect();
    output.show(
        || json!({"listening": address.to_string(), "vkey": own.vkey.to_string(), "origins": origins}),
        || format!("listening on http://{address}, cosigning as {}", own.vkey),
    )?;
    let witness = Arc::new(Witness { desks, output: *output, _state: state });
    serve(&witness, &listener, &mut stopping).await;
    Ok(ExitCode::SUCCESS)
}

/// The keys of each log: several nodes, and several policies, may name one origin.
fn logs(wanted: &Serve) -> Result<BTreeMap<String, Vec<Vkey>>, Failure> {
    let mut logs: BTreeMap<String, Vec<Vkey>> = BTreeMap::new();
    for file in &wanted.policy {
        for key in policy(file)?.log_keys() {
            let keys = logs.entry(key.name().to_owned()).or_default();
            if !keys.contains(key) {
                keys.push(key.clone());
            }
        }
    }
    Ok(logs)
}

/// Takes connections until it is asked to stop; then those that are being answered get their answer.
async fn serve(witness: &Arc<Witness>, listener: &TcpListener, stopping: &mut Stopping) {
    let (mut connections, places) = (JoinSet::new(), Arc::new(Semaphore::new(CONNECTIONS)));
    let (stop, stopped) = watch::channel(());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopping.asked() => break,
        };
        while connections.try_join_next().is_some() {}
        match (accepted, Arc::clone(&places).try_acquire_owned()) {
            (Ok((stream, _)), Ok(place)) => {
                let (witness, stopped) = (Arc::clone(witness), stopped.clone());
                connections.spawn(connection(stream, witness, stopped, place));
            }
            // Closed at once: whoever holds a place has ten seconds to ask for something.
            (Ok(_), Err(_)) => {}
            (Err(error), _) => {
                let failure = Failure::local("take a connection", error);
                complain(&failure, witness.output.is_json());
                pause().await;
            }
        }
    }
    drop(stop);
    // Whoever is slower than a request may be is let go.
    let _ = timeout(PATIENCE, async { while connections.join_next().await.is_some() {} }).await;
}

#[expect(clippy::disallowed_methods, reason = "out of descriptors: others must close some first")]
async fn pause() {
    tokio::time::sleep(Duration::from_millis(100)).await;
}

/// One connection, for as long as it asks for something.
async fn connection(
    stream: TcpStream,
    witness: Arc<Witness>,
    mut stopped: watch::Receiver<()>,
    _place: OwnedSemaphorePermit,
) {
    let service = service_fn(move |request| {
        let witness = Arc::clone(&witness);
        async move { Ok::<_, Infallible>(response(answer(&witness, request).await)) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let served = async {
        tokio::select! {
            _ = connection.as_mut() => return,
            _ = stopped.changed() => connection.as_mut().graceful_shutdown(),
        }
        // What a connection ends with concerns its other end.
        let _ = connection.await;
    };
    let _ = timeout(LIFETIME, served).await;
}

async fn answer(witness: &Arc<Witness>, request: Request<Incoming>) -> Answer {
    let path = request.uri().path();
    if path == "/add-checkpoint" {
        return match *request.method() {
            Method::POST => add_checkpoint(witness, request.into_body()).await,
            _ => Answer::of(StatusCode::METHOD_NOT_ALLOWED, "checkpoints are added with POST\n"),
        };
    }
    let log = path.strip_prefix('/').and_then(|path| path.strip_suffix("/checkpoint"));
    match (log.map(str::to_owned), request.method()) {
        (Some(log), &Method::GET) => at_desk(witness, &log, Desk::newest).await,
        (Some(_), _) => {
            Answer::of(StatusCode::METHOD_NOT_ALLOWED, "checkpoints are read with GET\n")
        }
        (None, _) => {
            Answer::of(StatusCode::NOT_FOUND, "there is add-checkpoint, and LOG/checkpoint\n")
        }
    }
}

async fn add_checkpoint(witness: &Arc<Witness>, body: Incoming) -> Answer {
    let body = match timeout(PATIENCE, Limited::new(body, MAX_REQUEST).collect()).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            return Answer::of(StatusCode::PAYLOAD_TOO_LARGE, "longer than any request\n");
        }
        Ok(Err(_)) => return Answer::refused(Refused::Malformed),
        Err(_) => return Answer::of(StatusCode::REQUEST_TIMEOUT, "the body did not come\n"),
    };
    let request = std::str::from_utf8(&body).ok().and_then(|text| text.parse().ok());
    let request: Option<AddCheckpoint> = request;
    let Some(request) = request else { return Answer::refused(Refused::Malformed) };
    let Some(origin) = request.origin() else { return Answer::refused(Refused::Malformed) };
    let mut answer = at_desk(witness, &name(&origin), move |desk| desk.add(&request)).await;
    if let Some(cosigned) = answer.cosigned.take() {
        // Nobody may be reading; the cosignature is on record all the same.
        let _ = witness.output.show(
            || json!({"cosigned": cosigned.origin, "size": cosigned.size, "root": cosigned.root.to_string()}),
            || format!("cosigned {} at size {}", cosigned.origin, cosigned.size),
        );
    }
    for trouble in answer.troubles.drain(..) {
        complain(&trouble, witness.output.is_json());
    }
    answer
}

/// Has a log's desk do something: it waits for the log's lock and for the disk, so aside.
async fn at_desk(
    witness: &Arc<Witness>,
    log: &str,
    ask: impl FnOnce(&Desk) -> Answer + Send + 'static,
) -> Answer {
    let (witness, log) = (Arc::clone(witness), log.to_owned());
    let asked = spawn_blocking(move || {
        witness.desks.get(&log).map_or_else(|| Answer::refused(Refused::UnknownLog), ask)
    });
    asked
        .await
        .unwrap_or_else(|_| Answer::of(StatusCode::INTERNAL_SERVER_ERROR, "the witness failed\n"))
}

fn response(answer: Answer) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(answer.body.into()));
    *response.status_mut() = answer.status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(answer.kind));
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-cache"));
    response
}
