use std::pin::Pin;
use std::sync::{Arc, Mutex};

use api::v1::import_service_server::{ImportService, ImportServiceServer};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

use super::*;
use crate::import::count::Where;
use crate::options::Global;

/// What the scripted server does with an item: the attempt-th time it sees this number.
type Script = fn(number: u64, attempt: u32) -> Result<v1::ImportResult, Status>;

struct Server {
    script: Script,
    seen: Arc<Mutex<HashMap<u64, u32>>>,
}

#[tonic::async_trait]
impl ImportService for Server {
    type ImportStream = Pin<Box<dyn Stream<Item = Result<v1::ImportResponse, Status>> + Send>>;

    async fn import(
        &self,
        request: Request<Streaming<v1::ImportRequest>>,
    ) -> Result<Response<Self::ImportStream>, Status> {
        let mut requests = request.into_inner();
        // like the real one: who asks and why, before anything else
        let first = requests.message().await?.unwrap();
        assert_eq!(first.purpose.unwrap().purpose_of_use, "RECORDMGT");
        let (script, seen) = (self.script, Arc::clone(&self.seen));
        let answers = requests.map(move |request| {
            let mut answer = v1::ImportResponse { position: 5, ..Default::default() };
            for item in request?.items {
                let attempt = {
                    let mut seen = seen.lock().unwrap();
                    let attempt = seen.entry(item.number).or_default();
                    *attempt += 1;
                    *attempt
                };
                answer.results.push(script(item.number, attempt)?);
            }
            Ok(answer)
        });
        Ok(Response::new(Box::pin(answers)))
    }
}

fn filed(number: u64) -> v1::ImportResult {
    v1::ImportResult { number, status: v1::ImportStatus::Filed.into(), ..Default::default() }
}

fn refused(number: u64, retryable: bool) -> v1::ImportResult {
    v1::ImportResult {
        number,
        status: v1::ImportStatus::Refused.into(),
        reason: "NOT_FILED".to_owned(),
        retryable,
        ..Default::default()
    }
}

fn batch(numbers: std::ops::Range<u64>) -> Step {
    let parcel = |number| Parcel {
        item: v1::ImportItem { number, ..Default::default() },
        found: Where::new("Condition", String::new(), String::new()),
        patient: Some(format!("Patient/{}", number % 10).into()),
        bytes: 10,
    };
    Step::Batch(numbers.map(parcel).collect())
}

async fn import(script: Script, steps: Vec<Step>) -> (Result<(), Failure>, Count) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server { script, seen: Arc::default() };
    tokio::spawn(
        tonic::transport::Server::builder()
            .add_service(ImportServiceServer::new(server))
            .serve_with_incoming(TcpListenerStream::new(listener)),
    );
    let global = Global {
        server: format!("http://{address}"),
        ca: None,
        cert: None,
        cert_key: None,
        token: None,
        token_file: None,
        purpose: None,
        reason: None,
        json: false,
    };
    let client = ImportServiceClient::new(crate::connection::connect(&global).await.unwrap());
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        for step in steps {
            if sender.send(step).await.is_err() {
                break;
            }
        }
    });
    let mut count = Count::default();
    for _ in 0..20 {
        count.found("Condition");
    }
    let mut import =
        Import::new(global.server.clone(), count, ProgressBar::hidden(), Duration::ZERO);
    let purpose = crate::purpose::of(&global, crate::import::PURPOSE).unwrap();
    let ended = import.run(client, purpose, receiver).await;
    (ended, import.into_count())
}

#[tokio::test]
async fn every_item_gets_its_result() {
    let steps = vec![
        batch(0..10),
        Step::PhaseEnd(Phase::Patients),
        batch(10..20),
        Step::PhaseEnd(Phase::Entries),
    ];
    let script: Script = |number, _| {
        Ok(if number.is_multiple_of(5) { refused(number, false) } else { filed(number) })
    };
    let (ended, count) = import(script, steps).await;
    ended.unwrap();
    let total = &count.json()["total"];
    assert_eq!(
        (&total["filed"], &total["refused"], &total["unanswered"]),
        (&16.into(), &4.into(), &0.into())
    );
    assert_eq!(count.json()["position"], 5);
}

#[tokio::test]
async fn what_belongs_to_a_patient_of_unclear_numbers_is_not_sent() {
    let script: Script = |number, _| {
        let mut refused = refused(number, false);
        match number {
            3 => "IDENTIFIERS_DISAGREE".clone_into(&mut refused.reason),
            4 => "INVALID_ARGUMENT".clone_into(&mut refused.reason),
            13 => return Err(Status::internal("it was sent")),
            _ => return Ok(filed(number)),
        }
        Ok(refused)
    };
    let steps = vec![
        batch(0..10),
        Step::PhaseEnd(Phase::Patients),
        batch(10..20),
        Step::PhaseEnd(Phase::Entries),
    ];
    let (ended, count) = import(script, steps).await;
    ended.unwrap();
    let json = count.json();
    assert_eq!((&json["total"]["filed"], &json["total"]["unanswered"]), (&17.into(), &0.into()));
    let reasons: Vec<_> =
        json["refusals"].as_array().unwrap().iter().map(|refusal| &refusal["reason"]).collect();
    assert!(reasons.contains(&&"PATIENT_REFUSED".into()), "{reasons:?}");
}

#[tokio::test]
async fn what_the_server_could_not_take_is_sent_again_and_given_up_in_the_end() {
    // 3 passes the second time; 4 never does
    let script: Script = |number, attempt| {
        Ok(match number {
            3 if attempt == 1 => refused(number, true),
            4 => refused(number, true),
            _ => filed(number),
        })
    };
    let (ended, count) = import(script, vec![batch(0..20), Step::PhaseEnd(Phase::Entries)]).await;
    ended.unwrap();
    let total = &count.json()["total"];
    assert_eq!((&total["filed"], &total["refused"]), (&19.into(), &1.into()));
}

#[tokio::test]
async fn a_broken_stream_is_told_with_what_was_answered() {
    let script: Script = |number, _| {
        if number < 10 { Ok(filed(number)) } else { Err(Status::unavailable("connection reset")) }
    };
    let steps = vec![batch(0..10), Step::PhaseEnd(Phase::Patients), batch(10..20)];
    let (ended, count) = import(script, steps).await;
    assert_eq!(ended.unwrap_err().exit_code(), 3);
    assert_eq!(count.answered(), 10);
    assert_eq!(count.json()["total"]["unanswered"], 10);
}

#[tokio::test]
async fn a_denial_is_not_a_broken_stream() {
    let script: Script = |_, _| Err(Status::permission_denied("no"));
    let (ended, count) = import(script, vec![batch(0..20)]).await;
    assert_eq!(ended.unwrap_err().exit_code(), 1);
    assert_eq!(count.answered(), 0);
}
