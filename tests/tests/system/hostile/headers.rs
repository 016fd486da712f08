//! Credentials smuggled past whoever looks at them: twice, or under names that are not quite theirs.

use api::v1::GetHeadRequest;
use api::v1::ledger_service_client::LedgerServiceClient;
use testkit::client::Token;
use testkit::cluster::{Cluster, Node};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::still_serves;
use crate::tools::reason;
use crate::verifier::with_http;

/// Names that another program might take for `authorization`.
const ODD_NAMES: [&[u8]; 8] = [
    b"authorization\0",
    b"authorization ",
    b" authorization",
    b"authorization\t",
    b"authorization\xa0",
    b"author\nization",
    b"authorization\r",
    b"authoriz\xc3\xa4tion",
];

fn good(node: &Node) -> String {
    let token = Token::signed(&node.state, "auditor", "auditor-1").expect("a token");
    format!("Bearer {}", token.0)
}

/// Text that HTTP/2 sends as it is (RFC 7541, 5.2).
fn literal(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    if text.len() < 127 {
        bytes.push(u8::try_from(text.len()).expect("short"));
    } else {
        bytes.push(127);
        let mut rest = text.len() - 127;
        while rest >= 128 {
            bytes.push(u8::try_from(rest % 128 + 128).expect("a byte"));
            rest /= 128;
        }
        bytes.push(u8::try_from(rest).expect("a byte"));
    }
    bytes.extend(text);
    bytes
}

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    let head = [length[1], length[2], length[3], kind, flags, 0, 0, 0, stream];
    [&head, payload].concat()
}

/// Whether `GetHead` is answered with a message when these headers come with it, as they are.
async fn answered(node: &Node, headers: &[(&[u8], &str)]) -> bool {
    const DATA: u8 = 0;
    const HEADERS: u8 = 1;
    const RESET: u8 = 3;
    const SETTINGS: u8 = 4;
    const GO_AWAY: u8 = 7;
    let known: [(&[u8], &str); 6] = [
        (b":method", "POST"),
        (b":scheme", "http"),
        (b":path", "/caseledger.v1.LedgerService/GetHead"),
        (b":authority", "ledger"),
        (b"content-type", "application/grpc"),
        (b"te", "trailers"),
    ];
    let mut block = Vec::new();
    for (name, value) in known.iter().chain(headers) {
        block.push(0);
        block.extend(literal(name));
        block.extend(literal(value.as_bytes()));
    }
    let mut stream = TcpStream::connect(node.listen).await.expect("connected");
    let sent = [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        frame(SETTINGS, 0, 0, &[]),
        frame(HEADERS, 4, 1, &block),
        frame(DATA, 1, 1, &[0; 5]),
    ];
    stream.write_all(&sent.concat()).await.expect("sent");
    loop {
        let mut head = [0; 9];
        if stream.read_exact(&mut head).await.is_err() {
            return false;
        }
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length).expect("a length")];
        stream.read_exact(&mut payload).await.expect("a whole frame");
        match head[3] {
            DATA => return true,
            RESET | GO_AWAY => return false,
            // An error is all in the headers.
            HEADERS if head[4] & 1 == 1 => return false,
            _ => {}
        }
    }
}

#[tokio::test]
async fn of_two_authorization_headers_neither_is_believed() {
    let cluster = Cluster::start(1).await.expect("a node");
    let node = cluster.node(0);
    let channel = tonic::transport::Endpoint::try_from(format!("http://{}", node.listen)).unwrap();
    let mut client = LedgerServiceClient::new(channel.connect().await.expect("connected"));
    let good = good(node);
    for (first, second) in [(&*good, "Bearer a.b.c"), ("Basic YQ==", &*good), (&*good, &*good)] {
        let mut request = tonic::Request::new(GetHeadRequest::default());
        for value in [first, second] {
            request.metadata_mut().append("authorization", value.parse().expect("a value"));
        }
        let status = client.get_head(request).await.expect_err("refused");
        assert_eq!(reason(&status), "CREDENTIALS_AMBIGUOUS");
    }
    let log = std::fs::read_to_string(node.log()).expect("the node's log");
    assert!(log.contains("reason=\"CREDENTIALS_AMBIGUOUS\" count=2"), "it is counted: {log}");
    still_serves(&cluster).await;
}

#[tokio::test]
async fn a_header_of_nearly_the_right_name_holds_no_credentials() {
    let cluster = Cluster::start(1).await.expect("a node");
    let node = cluster.node(0);
    let good = good(node);
    assert!(answered(node, &[(b"authorization", &good)]).await, "the right name is");
    assert!(!answered(node, &[(b"authorization", &good), (b"authorization", &good)]).await);
    // HTTP/2 knows no capitals.
    for name in ODD_NAMES.into_iter().chain([&b"Authorization"[..], b"", b":authorization"]) {
        assert!(!answered(node, &[(name, &good)]).await, "{name:?}");
        assert!(
            !answered(node, &[(name, &good), (b"authorization", "Bearer x")]).await,
            "{name:?}"
        );
    }
    still_serves(&cluster).await;
}

#[tokio::test]
async fn so_it_is_where_tiles_are_served() {
    let mut cluster = Cluster::found(1).await.expect("founded");
    let at = with_http(cluster.node(0));
    cluster.node_mut(0).spawn().expect("started");
    cluster.node(0).serving().await.expect("serving");
    let head = cluster.agreed().await.expect("a head").swap_remove(0);
    let prefix = head.origin.split_once('/').expect("name and path").1.to_owned();
    let good = good(cluster.node(0));
    let status = async |headers: &[u8]| {
        let mut stream = TcpStream::connect(&at).await.expect("connected");
        let request = format!("GET /{prefix}/tile/entries/000.p/1 HTTP/1.1\r\nHost: ledger\r\n");
        let whole = [request.as_bytes(), headers, b"Connection: close\r\n\r\n"].concat();
        stream.write_all(&whole).await.expect("sent");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.expect("answered");
        let answer = String::from_utf8_lossy(&answer).into_owned();
        answer.split(' ').nth(1).map(str::to_owned).expect("a status")
    };
    let header = |name: &[u8]| [name, b": ", good.as_bytes(), b"\r\n"].concat();
    let right = header(b"Authorization");
    assert_eq!(status(&right).await, "200");
    assert_eq!(status(&[&*right, b"authorization: Basic YQ==\r\n"].concat()).await, "401");
    for name in ODD_NAMES {
        let told = status(&header(name)).await;
        assert!(told == "400" || told == "401", "{name:?}: {told}");
    }
    still_serves(&cluster).await;
}
