//! The connection: address, trust, client certificate, token.

use std::fs;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Request, Status};

use crate::failure::Failure;
use crate::options::Global;

/// How long to wait for a connection: a node in the same hospital answers in milliseconds.
const CONNECT: Duration = Duration::from_secs(5);

/// How long to wait for the answer to a single call: the server gives up first, at ten seconds at
/// most for a write whose broker is away.
pub(crate) const ANSWER: Duration = Duration::from_secs(30);

/// How often to ask whether the other end is still there during a long import.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// A channel that sends the token with every call.
pub(crate) type Authenticated = InterceptedService<Channel, Token>;

/// Adds the bearer token.
#[derive(Clone, Debug)]
pub(crate) struct Token(Option<MetadataValue<Ascii>>);

impl Interceptor for Token {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            request.metadata_mut().insert("authorization", token.clone());
        }
        Ok(request)
    }
}

/// Connects to the node.
pub(crate) async fn connect(global: &Global) -> Result<Authenticated, Failure> {
    let token = token(global)?;
    let channel = endpoint(global)?.connect().await.map_err(|error| {
        let mut cause: &dyn std::error::Error = &error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        Failure::Unreachable { server: global.server.clone(), cause: cause.to_string() }
    })?;
    Ok(InterceptedService::new(channel, Token(token)))
}

fn endpoint(global: &Global) -> Result<Endpoint, Failure> {
    let usage = |why: &str| Failure::Usage(format!("--server {}: {why}", global.server));
    let endpoint = Endpoint::from_shared(global.server.clone())
        .map_err(|_| usage("write it as http://HOST:PORT or https://HOST:PORT"))?
        .user_agent(concat!("caseledger/", env!("CARGO_PKG_VERSION")))
        .map_err(|error| Failure::local("connect", error))?
        .connect_timeout(CONNECT)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .tcp_nodelay(true);
    match endpoint.uri().scheme_str() {
        Some("http") => Ok(endpoint),
        Some("https") => {
            let mut tls = match &global.ca {
                Some(path) => ClientTlsConfig::new()
                    .ca_certificate(Certificate::from_pem(read("--ca", path)?)),
                None => ClientTlsConfig::new().with_native_roots(),
            };
            match (&global.cert, &global.cert_key) {
                (Some(cert), Some(key)) => {
                    let (cert, key) = (read("--cert", cert)?, read("--cert-key", key)?);
                    tls = tls.identity(Identity::from_pem(cert, key));
                }
                (None, None) => {}
                (Some(_), None) | (None, Some(_)) => {
                    let told = "give --cert and --cert-key together, or neither";
                    return Err(Failure::Usage(told.to_owned()));
                }
            }
            endpoint.tls_config(tls).map_err(|error| Failure::local("set up TLS", error))
        }
        _ => Err(usage("write it as http://HOST:PORT or https://HOST:PORT")),
    }
}

fn read(option: &str, path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path)
        .map_err(|error| Failure::local(format!("read {option} {}", path.display()), error))
}

/// The token as given, perhaps with white space around it.
pub(crate) fn token_text(global: &Global) -> Result<Option<String>, Failure> {
    match (&global.token_file, &global.token) {
        (Some(path), _) => {
            let what = || format!("read --token-file {}", path.display());
            fs::read_to_string(path).map(Some).map_err(|error| Failure::local(what(), error))
        }
        (None, token) => Ok(token.clone()),
    }
}

fn token(global: &Global) -> Result<Option<MetadataValue<Ascii>>, Failure> {
    let Some(text) = token_text(global)? else { return Ok(None) };
    let mut value = MetadataValue::from_str(&format!("Bearer {}", text.trim()))
        .map_err(|_| Failure::Usage("the token has characters that no token has".to_owned()))?;
    value.set_sensitive(true); // never in logs
    Ok(Some(value))
}

/// A request that waits no longer than [`ANSWER`].
pub(crate) fn timed<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(ANSWER);
    request
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn global(arguments: &[&str]) -> Global {
        let line = ["caseledger"].iter().chain(arguments).chain(&["status"]);
        crate::options::Options::try_parse_from(line).unwrap().global
    }

    #[test]
    fn only_http_addresses_are_accepted() {
        for server in ["http://h:1", "https://h:1"] {
            assert!(endpoint(&global(&["--server", server])).is_ok(), "{server}");
        }
        for server in ["h:1", "ftp://h", "not an address"] {
            let failure = endpoint(&global(&["--server", server])).unwrap_err();
            assert_eq!(failure.exit_code(), 2, "{server}");
        }
    }

    #[test]
    fn a_certificate_needs_its_key() {
        for half in [["--cert", "c.pem"], ["--cert-key", "k.pem"]] {
            let [option, file] = half;
            let failure =
                endpoint(&global(&["--server", "https://h:1", option, file])).unwrap_err();
            assert_eq!(failure.exit_code(), 2, "{option}");
        }
    }

    #[test]
    fn a_token_is_sent_trimmed_and_never_printed() {
        let value = token(&global(&["--token", " a.b.c\n"])).unwrap().unwrap();
        assert_eq!(value, "Bearer a.b.c");
        assert!(!format!("{value:?}").contains("a.b.c"));
        assert_eq!(token(&global(&["--token", "a\u{7}"])).unwrap_err().exit_code(), 2);
    }
}
