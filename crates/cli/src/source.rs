//! Where a log is read from: a folder, or a node's HTTP address, both laid out as C2SP tlog-tiles, with
//! the bodies of control records beside.

use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long a node may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Longest file of a log: 256 entries of at most 64 KiB.
const MAX_FILE: usize = 256 * (2 + 65_535);

/// A log.
pub(crate) enum Source {
    /// `checkpoint`, `tile/` and `control/` are in this folder.
    Folder(PathBuf),
    /// They are under this address.
    Http(Http),
}

/// A node's HTTP address.
pub(crate) struct Http {
    authority: String,
    prefix: String,
    token: Option<String>,
    connection: Option<SendRequest<Empty<Bytes>>>,
}

/// A file that could not be read, and why.
#[derive(Debug)]
pub(crate) struct Missing(pub(crate) String);

impl Source {
    /// A folder, or an address that begins with `http://`.
    pub(crate) fn new(from: &str, token: Option<String>) -> Result<Self, String> {
        if from.starts_with("https://") {
            return Err(
                "https is not spoken here: fetch the files with another program, and name \
                        their folder"
                    .to_owned(),
            );
        }
        let Some(address) = from.strip_prefix("http://") else {
            return Ok(Self::Folder(from.into()));
        };
        let (authority, prefix) = address.split_once('/').unwrap_or((address, ""));
        let prefix = prefix.trim_matches('/').to_owned();
        let (authority, connection) = (authority.to_owned(), None);
        Ok(Self::Http(Http { authority, prefix, token, connection }))
    }

    /// A file of the log.
    pub(crate) async fn read(&mut self, path: &str) -> Result<Vec<u8>, Missing> {
        let mut bytes = Vec::new();
        self.read_into(path, &mut bytes).await?;
        Ok(bytes)
    }

    /// A file of the log, instead of what the buffer held.
    pub(crate) async fn read_into(
        &mut self,
        path: &str,
        bytes: &mut Vec<u8>,
    ) -> Result<(), Missing> {
        let from = match self {
            Self::Folder(folder) => folder.display().to_string(),
            Self::Http(http) => format!("http://{}/{}", http.authority, http.prefix),
        };
        let missing = |why: String| Missing(format!("{path} of {from}: {why}"));
        match self {
            // Here and now: nothing else goes on meanwhile, and handing each of many small files to
            // another thread took a quarter of the time of a verification.
            Self::Folder(folder) => {
                bytes.clear();
                let read =
                    File::open(folder.join(path)).and_then(|mut file| file.read_to_end(bytes));
                read.map(drop).map_err(|error| missing(error.to_string()))
            }
            Self::Http(http) => match timeout(PATIENCE, http.read(path)).await {
                Ok(read) => read.map(|read| *bytes = read).map_err(missing),
                Err(_) => {
                    // What comes later on it would be taken for another answer.
                    http.connection = None;
                    Err(missing(format!("no answer for {} seconds", PATIENCE.as_secs())))
                }
            },
        }
    }
}

impl Http {
    async fn read(&mut self, path: &str) -> Result<Vec<u8>, String> {
        let connection = match self.connection.take().filter(SendRequest::is_ready) {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let connection = self.connection.insert(connection);
        let prefix =
            if self.prefix.is_empty() { String::new() } else { format!("/{}", self.prefix) };
        let mut request =
            Request::get(format!("{prefix}/{path}")).header(header::HOST, &self.authority);
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(Empty::new()).map_err(|error| error.to_string())?;
        let answer = connection.send_request(request).await.map_err(|error| error.to_string())?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), MAX_FILE).collect().await;
        let body = body.map_err(|error| error.to_string())?.to_bytes();
        if status == StatusCode::OK {
            return Ok(body.to_vec());
        }
        let said = String::from_utf8_lossy(&body);
        let what = said.lines().next().unwrap_or_default();
        let advice = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                "; use a compliance officer's or an auditor's token (--token-file)"
            }
            _ => "",
        };
        Err(format!("{status}: {what}{advice}"))
    }

    async fn connect(&self) -> Result<SendRequest<Empty<Bytes>>, String> {
        let stream = TcpStream::connect(&self.authority)
            .await
            .map_err(|error| format!("{} cannot be reached: {error}", self.authority))?;
        let (sender, connection) =
            handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
        // It ends with the sender; what goes wrong with it, the sender says.
        tokio::spawn(connection);
        Ok(sender)
    }
}
