//! The gate without a network: what passes, what is refused, what a panic becomes.

use std::collections::BTreeMap;

use futures::future::BoxFuture;
use tonic_types::StatusExt;

use super::*;

/// A service behind the gate that does what its closure says.
#[derive(Clone)]
struct Inner(fn(Request<Body>) -> BoxFuture<'static, Response<Body>>);

impl Service<Request<Body>> for Inner {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let answer = self.0(request);
        Box::pin(async move { Ok(answer.await) })
    }
}

fn gate() -> Gate {
    Gate::new(Arc::new(Authenticator::new(BTreeMap::new(), BTreeMap::new())))
}

fn fine(_: Request<Body>) -> BoxFuture<'static, Response<Body>> {
    Box::pin(async { Response::new(Body::empty()) })
}

async fn call(gate: &Gate, inner: Inner, path: &str) -> Result<(), Status> {
    let request = Request::builder().uri(path).body(Body::empty()).unwrap();
    let response = gate.layer(inner).call(request).await.unwrap();
    match Status::from_header_map(response.headers()) {
        Some(status) if status.code() != Code::Ok => Err(status),
        _ => Ok(()),
    }
}

#[tokio::test]
async fn what_is_not_open_needs_a_token_even_if_nobody_thought_of_it() {
    let gate = gate();
    for path in [
        "/caseledger.v1.PatientFileService/GetPatientFile",
        "/caseledger.v1.LedgerService/GetHead",
        "/some.new.Service/Method",
        "/grpc.health.v1.HealthX/Check",
    ] {
        let status = call(&gate, Inner(fine), path).await.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated, "{path}");
    }
    assert_eq!(gate.refusals().iter().map(|count| count.count).sum::<u64>(), 4);
    for path in [
        "/grpc.health.v1.Health/Check",
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        "/caseledger.v1.PeerService/GetSignedHead",
    ] {
        assert!(call(&gate, Inner(fine), path).await.is_ok(), "{path}");
    }
}

#[tokio::test]
async fn a_panic_is_an_internal_error_that_says_nothing() {
    let inner = Inner(|_| Box::pin(async { panic!("a secret") }));
    let status = call(&gate(), inner, "/grpc.health.v1.Health/Check").await.unwrap_err();
    assert_eq!(status.code(), Code::Internal);
    assert!(!format!("{status:?}").contains("secret"));
}

#[tokio::test]
async fn beyond_the_limit_calls_are_refused_and_places_come_back() {
    let gate = gate();
    let never = Inner(|_| Box::pin(std::future::pending()));
    let mut held = Vec::new();
    for _ in 0..OPEN_IN_FLIGHT {
        let request =
            Request::builder().uri("/grpc.health.v1.Health/Watch").body(Body::empty()).unwrap();
        held.push(gate.layer(never.clone()).call(request));
    }
    let path = "/grpc.health.v1.Health/Check";
    let status = call(&gate, Inner(fine), path).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(status.get_details_retry_info().is_some());
    held.pop();
    assert!(call(&gate, Inner(fine), path).await.is_ok());
}

#[tokio::test]
async fn open_streams_are_counted_until_they_end_and_leave_checks_their_places() {
    let gate = gate();
    let stays = Inner(|_| {
        let body = http_body_util::Full::new(bytes::Bytes::from_static(b"serving"));
        Box::pin(async { Response::new(Body::new(body)) })
    });
    let watch = "/grpc.health.v1.Health/Watch";
    let mut held = Vec::new();
    for _ in 0..OPEN_STREAMS {
        let request = Request::builder().uri(watch).body(Body::empty()).unwrap();
        held.push(gate.layer(stays.clone()).call(request).await.unwrap());
    }
    let reflection = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    for path in [watch, reflection] {
        let status = call(&gate, stays.clone(), path).await.unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted, "{path}");
    }
    assert!(call(&gate, stays.clone(), CHECK).await.is_ok());
    held.pop();
    assert!(call(&gate, stays, watch).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_call_without_credentials_gives_its_place_back_although_its_request_never_comes() {
    let never = Inner(|_| Box::pin(std::future::pending()));
    for (path, places) in [
        ("/grpc.health.v1.Health/Check", OPEN_IN_FLIGHT),
        ("/caseledger.v1.PeerService/GetSignedHead", PEERS_IN_FLIGHT),
    ] {
        let gate = gate();
        let held = (0..places).map(|_| call(&gate, never.clone(), path));
        let ended = tokio::time::timeout(2 * WITHOUT_CREDENTIALS, futures::future::join_all(held));
        for answer in ended.await.expect("each is ended") {
            assert_eq!(answer.unwrap_err().code(), Code::Unavailable, "{path}");
        }
        assert!(call(&gate, Inner(fine), path).await.is_ok(), "{path}");
    }
}

#[test]
fn streams_and_imports_have_places_of_their_own() {
    let slots = Slots::new();
    let imports: Vec<_> = (0..IMPORTS_IN_FLIGHT).map(|_| slots.import().unwrap()).collect();
    assert_eq!(slots.import().unwrap_err().code(), Code::ResourceExhausted);
    drop(imports);
    assert!(slots.import().is_ok());
    let _watches: Vec<_> = (0..STREAMS_IN_FLIGHT).map(|_| slots.watch().unwrap()).collect();
    assert_eq!(slots.watch().unwrap_err().code(), Code::ResourceExhausted);
}
