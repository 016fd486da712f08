//! One request to a web server of somebody else, over HTTP/1.1: witnesses, and issuers' keys.

use std::sync::Arc;

use http::uri::{Authority, Scheme};
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// What https is spoken with: whom it trusts.
#[derive(Clone)]
pub(crate) struct Https(Arc<ClientConfig>);

impl Https {
    /// Trusts these authorities.
    ///
    /// # Errors
    /// The library's, should it not support TLS.
    pub(crate) fn trusting(roots: RootCertStore) -> Result<Self, rustls::Error> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self(Arc::new(config)))
    }
}

/// Sends a request whose URI is whole and waits for the whole answer, of at most `longest` bytes. The
/// caller limits the time.
///
/// # Errors
/// What went wrong, for a log.
pub(crate) async fn send(
    request: Request<Full<Bytes>>,
    https: Option<&Https>,
    longest: usize,
) -> Result<(StatusCode, Bytes), String> {
    let uri = request.uri().clone();
    let authority = uri.authority().ok_or("the address names no host")?.clone();
    let secure = uri.scheme() == Some(&Scheme::HTTPS);
    // An IPv6 address stands in brackets in a URI, and nowhere else.
    let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
    let port = authority.port_u16().unwrap_or(if secure { 443 } else { 80 });
    let stream = TcpStream::connect((host.as_str(), port))
        .await
        .map_err(|error| format!("{authority} cannot be reached: {error}"))?;
    match https {
        Some(Https(config)) if secure => {
            let name = ServerName::try_from(host).map_err(|error| error.to_string())?;
            let stream = TlsConnector::from(Arc::clone(config))
                .connect(name, stream)
                .await
                .map_err(|error| format!("{authority}: {error}"))?;
            exchange(request, &authority, stream, longest).await
        }
        None if secure => Err("nothing is known to trust https with".to_owned()),
        Some(_) | None => exchange(request, &authority, stream, longest).await,
    }
}

async fn exchange(
    mut request: Request<Full<Bytes>>,
    authority: &Authority,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    longest: usize,
) -> Result<(StatusCode, Bytes), String> {
    let text = |error: &dyn std::error::Error| store::causes(error);
    let host = header::HeaderValue::from_str(authority.as_str()).map_err(|error| text(&error))?;
    request.headers_mut().insert(header::HOST, host);
    // To the server itself one names the path alone.
    let path = request.uri().path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    *request.uri_mut() = path.parse().map_err(|error: http::uri::InvalidUri| text(&error))?;
    let (mut sender, connection) =
        handshake(TokioIo::new(stream)).await.map_err(|error| text(&error))?;
    // It ends with the sender; what goes wrong with it, the sender says.
    tokio::spawn(connection);
    let answer = sender.send_request(request).await.map_err(|error| text(&error))?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), longest).collect().await;
    let body = body.map_err(|error| error.to_string())?;
    Ok((status, body.to_bytes()))
}
