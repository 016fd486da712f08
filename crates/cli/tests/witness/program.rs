//! The program, its folders, and an HTTP client of a few lines.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use ledger::Hash;
use ledger::note::Vkey;
use ledger::witness::Known;
use serde_json::Value;
use tempfile::TempDir;

use crate::log::Log;

pub(crate) const NAME: &str = "office.hospital.example/w1";

/// A witness's key, its state and the policies it goes by.
pub(crate) struct Office {
    pub(crate) folder: TempDir,
    pub(crate) vkey: Vkey,
}

impl Office {
    /// An office that knows these logs.
    pub(crate) fn of(logs: &[&Log]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let policies: Vec<String> = logs.iter().map(|log| log.policy()).collect();
        for (number, policy) in policies.iter().enumerate() {
            fs::write(folder.path().join(format!("{number}.policy")), policy).unwrap();
        }
        let key = folder.path().join("key");
        let made = caseledger(&["witness", "key", "--name", NAME, "-o", key.to_str().unwrap()]);
        assert_eq!(made.status.code(), Some(0));
        let vkey = String::from_utf8(made.stdout).unwrap().trim().parse().unwrap();
        Self { folder, vkey }
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    /// Where the witness keeps what it cosigned of this log.
    pub(crate) fn record(&self, log: &Log) -> PathBuf {
        let name = Hash::of(log.origin.as_bytes()).to_string();
        self.folder.path().join("state").join(name)
    }

    /// `caseledger --json witness …` with key, name and state, then these.
    pub(crate) fn arguments(&self, command: &str, more: &[&str]) -> Vec<String> {
        let (key, state) = (self.path("key"), self.path("state"));
        let own = ["--json", "witness", command, "--name", NAME, "--key", &key, "--state", &state];
        own.iter().chain(more).map(|&word| word.to_owned()).collect()
    }

    fn policies(&self) -> Vec<String> {
        let files = fs::read_dir(self.folder.path()).unwrap().map(|file| file.unwrap().path());
        let policies = files.filter(|file| file.extension().is_some_and(|end| end == "policy"));
        policies.map(|file| file.to_str().unwrap().to_owned()).collect()
    }

    pub(crate) fn serve_arguments(&self) -> Vec<String> {
        let mut arguments = self.arguments("serve", &["--listen", "127.0.0.1:0", "--policy"]);
        arguments.extend(self.policies());
        arguments
    }

    pub(crate) fn serve(&self) -> Server {
        let program = Program::start(&self.serve_arguments());
        let address = program.line()["listening"].as_str().unwrap().to_owned();
        Server { program, address }
    }

    /// Looks at the log in `folder` once: exit code, and what was said.
    pub(crate) fn look(&self, log: &str) -> (i32, Value) {
        let policy = self.path("0.policy");
        let looked = caseledger(&self.arguments("follow", &["--policy", &policy, "--once", log]));
        let said = serde_json::from_slice(&looked.stdout).unwrap_or(Value::Null);
        (looked.status.code().unwrap(), said)
    }

    /// What it holds cosigned of this log: a note that verifies under its key.
    pub(crate) fn opened(&self, note: &str, log: &Log) -> Known {
        Known::open(note, log.origin, &self.vkey).unwrap()
    }
}

pub(crate) fn caseledger<S: AsRef<std::ffi::OsStr>>(arguments: &[S]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_caseledger")).args(arguments).output().unwrap()
}

/// A running program; killed when nobody needs it.
pub(crate) struct Program {
    child: Child,
    lines: Receiver<String>,
}

impl Program {
    pub(crate) fn start(arguments: &[String]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_caseledger"));
        let command = command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let (out, (said, lines)) = (child.stdout.take().unwrap(), channel());
        // It ends with the program's output, whoever listens.
        thread::spawn(move || {
            let lines = BufReader::new(out).lines().map_while(Result::ok);
            lines.for_each(|line| drop(said.send(line)));
        });
        Self { child, lines }
    }

    /// The next line of JSON.
    pub(crate) fn line(&self) -> Value {
        serde_json::from_str(&self.lines.recv().expect("the program says something")).unwrap()
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to end, as the system's service manager does.
    pub(crate) fn terminate(mut self) -> ExitStatus {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        self.child.wait().unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A witness that serves.
pub(crate) struct Server {
    pub(crate) program: Program,
    pub(crate) address: String,
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) kind: String,
    pub(crate) body: String,
}

impl Server {
    pub(crate) fn add(&self, body: &str) -> Answer {
        ask(&self.address, "POST", "/add-checkpoint", body).unwrap()
    }

    pub(crate) fn newest(&self, log: &Log) -> Answer {
        let path = format!("/{}/checkpoint", Hash::of(log.origin.as_bytes()));
        ask(&self.address, "GET", &path, "").unwrap()
    }
}

/// One request on a connection of its own.
pub(crate) fn ask(address: &str, method: &str, path: &str, body: &str) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(address)?;
    let length = body.len();
    let head = format!("{method} {path} HTTP/1.1\r\nhost: w\r\nconnection: close\r\n");
    stream.write_all(format!("{head}content-length: {length}\r\n\r\n{body}").as_bytes())?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    answer(&text).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

fn answer(text: &str) -> Option<Answer> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let field = |name: &str| {
        head.lines().filter_map(|line| line.split_once(": ")).find(|(field, _)| *field == name)
    };
    let length: usize = field("content-length")?.1.parse().ok()?;
    let kind = field("content-type")?.1.to_owned();
    // A killed witness may have sent half of it.
    (body.len() == length).then(|| Answer { status, kind, body: body.to_owned() })
}
