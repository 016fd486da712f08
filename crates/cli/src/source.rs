//! Where a log is read from: a folder, or a node's HTTP address, both laid out as C2SP tlog-tiles, with
//! the bodies of control records beside.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::output::one_line;

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
    /// Whether the other end is this machine, which only a connection tells.
    here: bool,
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
        Ok(Self::Http(Http { authority, prefix, token, here: false, connection }))
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
                read_file(&folder.join(path), bytes).map_err(missing)
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

/// A folder may be somebody else's: a device in it has no end, and a pipe no beginning.
fn read_file(path: &Path, bytes: &mut Vec<u8>) -> Result<(), String> {
    let told = |error: std::io::Error| error.to_string();
    if !std::fs::metadata(path).map_err(told)?.is_file() {
        return Err("is no file".to_owned());
    }
    let file = File::open(path).map_err(told)?;
    file.take(MAX_FILE as u64 + 1).read_to_end(bytes).map_err(told)?;
    if bytes.len() > MAX_FILE {
        return Err(format!("is longer than any file of a log ({MAX_FILE} bytes)"));
    }
    Ok(())
}

impl Http {
    async fn read(&mut self, path: &str) -> Result<Vec<u8>, String> {
        let kept = self.connection.take().filter(SendRequest::is_ready);
        let before = kept.is_some();
        let mut connection = match kept {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let mut answer = connection.send_request(self.request(path)?).await;
        if before && answer.is_err() {
            // A node ends a connection after a while, and that may have been just now.
            connection = self.connect().await?;
            answer = connection.send_request(self.request(path)?).await;
        }
        let answer = answer.map_err(|error| error.to_string())?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), MAX_FILE).collect().await;
        let body = body.map_err(|error| error.to_string())?.to_bytes();
        self.connection = Some(connection);
        if status == StatusCode::OK {
            return Ok(body.to_vec());
        }
        let said = String::from_utf8_lossy(&body);
        let what = one_line(said.lines().next().unwrap_or_default());
        let advice = match status {
            StatusCode::UNAUTHORIZED if self.token.is_some() && !self.here => {
                "; the token is not sent in the clear to another machine: name a folder with the files, or a \
                 proxy on this machine"
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                "; use a compliance officer's or an auditor's token (--token-file)"
            }
            _ => "",
        };
        Err(format!("{status}: {what}{advice}"))
    }

    /// A token opens patient files too: it goes along only where it is asked for, and in the clear only to
    /// this machine.
    fn request(&self, path: &str) -> Result<Request<Empty<Bytes>>, String> {
        let prefix =
            if self.prefix.is_empty() { String::new() } else { format!("/{}", self.prefix) };
        let mut request =
            Request::get(format!("{prefix}/{path}")).header(header::HOST, &self.authority);
        let asked_for = path.starts_with("tile/entries/") || path.starts_with("control/");
        if let Some(token) = self.token.as_ref().filter(|_| asked_for && self.here) {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        request.body(Empty::new()).map_err(|error| error.to_string())
    }

    async fn connect(&mut self) -> Result<SendRequest<Empty<Bytes>>, String> {
        let stream = TcpStream::connect(&self.authority)
            .await
            .map_err(|error| format!("{} cannot be reached: {error}", self.authority))?;
        let there = stream.peer_addr().map_err(|error| error.to_string())?;
        self.here = there.ip().to_canonical().is_loopback();
        let (sender, connection) =
            handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
        // It ends with the sender; what goes wrong with it, the sender says.
        tokio::spawn(connection);
        Ok(sender)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// Reads a request and returns it; empty if the other end has closed.
    async fn asked(stream: &mut TcpStream) -> String {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => request.push(byte),
                Err(_) => break,
            }
        }
        String::from_utf8(request).unwrap()
    }

    async fn source() -> (TcpListener, Source) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = format!("http://{}/records.0.0/9f", listener.local_addr().unwrap());
        (listener, Source::new(&at, Some("secret".to_owned())).unwrap())
    }

    #[tokio::test]
    async fn the_token_goes_along_only_with_what_needs_it_and_only_to_this_machine() {
        let (listener, mut source) = source().await;
        let node = tokio::spawn(async move {
            let mut with_token = Vec::new();
            while with_token.len() < 4 {
                let (mut stream, _) = listener.accept().await.unwrap();
                let request = asked(&mut stream).await;
                with_token.push(request.contains("Bearer secret"));
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx";
                stream.write_all(answer).await.unwrap();
            }
            with_token
        });
        for path in ["checkpoint", "tile/0/000", "tile/entries/000", "control/1"] {
            assert_eq!(source.read(path).await.unwrap(), b"x", "{path}");
        }
        assert_eq!(node.await.unwrap(), [false, false, true, true]);
        let Source::Http(mut http) = source else { panic!("it is an address") };
        http.here = false;
        let elsewhere = http.request("control/1").unwrap();
        assert!(!elsewhere.headers().contains_key(header::AUTHORIZATION));
    }

    #[tokio::test]
    async fn a_connection_that_ends_between_two_files_is_made_again() {
        let (listener, mut source) = source().await;
        let node = tokio::spawn(async move {
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx";
            for _ in 0..2 {
                let (mut stream, _) = listener.accept().await.unwrap();
                asked(&mut stream).await;
                stream.write_all(answer).await.unwrap();
                // The next one on it gets no answer.
                asked(&mut stream).await;
            }
        });
        for path in ["checkpoint", "tile/0/000"] {
            assert_eq!(source.read(path).await.unwrap(), b"x", "{path}");
        }
        drop(source);
        node.await.unwrap();
    }

    #[tokio::test]
    async fn a_folder_is_read_no_further_than_files_of_a_log_go() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let mut source = Source::new(&folder.path().to_string_lossy(), None).unwrap();
        // Of no bytes on the disk, but as long as that to whoever reads it.
        let largest = File::create(at("largest")).unwrap();
        largest.set_len(MAX_FILE as u64).unwrap();
        assert_eq!(source.read("largest").await.unwrap().len(), MAX_FILE);
        largest.set_len(MAX_FILE as u64 + 1).unwrap();
        std::os::unix::fs::symlink("/dev/null", at("device")).unwrap();
        std::fs::create_dir(at("folder")).unwrap();
        for (name, names) in [("largest", "longer"), ("device", "no file"), ("folder", "no file")] {
            let Missing(why) = source.read(name).await.unwrap_err();
            assert!(why.starts_with(name) && why.contains(names), "{why}");
        }
    }

    #[tokio::test]
    async fn what_a_node_says_paints_no_screen() {
        let (listener, mut source) = source().await;
        let node = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            asked(&mut stream).await;
            let answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: 10\r\n\r\n\x1b[1Aintact";
            stream.write_all(answer).await.unwrap();
        });
        let Missing(why) = source.read("checkpoint").await.unwrap_err();
        assert!(why.ends_with("404 Not Found:  [1Aintact"), "{why}");
        node.await.unwrap();
    }
}
