//! `caseledger witness follow`: a log that grows, forks, shrinks, or is damaged.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::thread;

use serde_json::Value;
use tempfile::TempDir;

use crate::log::Log;
use crate::program::{Office, Program};

/// An office and the log that it follows.
struct World {
    office: Office,
    folder: TempDir,
    log: Log,
}

impl World {
    fn new(size: usize) -> Self {
        let log = Log::new(size, "a");
        let world = Self { office: Office::of(&[&log]), folder: tempfile::tempdir().unwrap(), log };
        world.show(&world.log);
        world
    }

    /// What the log now shows: only this, nothing of before.
    fn show(&self, log: &Log) {
        let tiles = self.folder.path().join("tile");
        if tiles.exists() {
            fs::remove_dir_all(tiles).unwrap();
        }
        log.write(self.folder.path());
    }

    fn look(&self) -> (i32, Value) {
        self.office.look(self.folder.path().to_str().unwrap())
    }

    fn newest(&self) -> u64 {
        let note = fs::read_to_string(self.office.record(&self.log).join("checkpoint")).unwrap();
        self.office.opened(&note, &self.log).checkpoint().size
    }

    /// The files that are kept, by name.
    fn kept(&self) -> Vec<String> {
        let files = fs::read_dir(self.office.record(&self.log)).unwrap();
        let mut names: Vec<String> =
            files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn flip(&self, file: &str, at: usize) {
        let file = self.folder.path().join(file);
        let mut bytes = fs::read(&file).unwrap();
        bytes[at] ^= 1;
        fs::write(file, bytes).unwrap();
    }
}

#[test]
fn a_log_that_grows_is_cosigned_and_every_note_is_kept() {
    let mut world = World::new(0);
    let mut sizes = Vec::new();
    for more in [0, 1, 1, 5, 249, 0, 44, 300] {
        world.log = world.log.grown(more, "a");
        world.show(&world.log);
        let (code, said) = world.look();
        assert_eq!((code, &said["verdict"]), (0, &Value::from("consistent")), "{said}");
        assert_eq!(said["records"], world.log.size());
        assert_eq!(said["cosigned"], more > 0 || sizes.is_empty());
        sizes.push(world.log.size());
    }
    sizes.dedup();
    for size in &sizes {
        let file = world.office.record(&world.log).join(format!("{size}.checkpoint"));
        let note = fs::read_to_string(file).unwrap();
        let known = world.office.opened(&note, &world.log);
        let root = world.log.first(usize::try_from(*size).unwrap()).root();
        assert_eq!((known.checkpoint().size, known.checkpoint().root), (*size, root));
    }
    assert_eq!(world.kept().len(), 1 + sizes.len());
}

#[test]
fn a_fork_is_told_every_time_kept_and_never_cosigned() {
    let world = World::new(300);
    assert_eq!(world.look().0, 0);
    let before = world.kept();
    let forks = [
        world.log.first(299).grown(1, "b"),
        world.log.first(299).grown(50, "b"),
        Log::new(512, "b"),
    ];
    for _ in 0..2 {
        for fork in &forks {
            world.show(fork);
            let (code, said) = world.look();
            assert_eq!((code, &said["verdict"]), (11, &Value::from("forked")), "{said}");
            assert_eq!(world.newest(), 300);
        }
    }
    let evidence = fs::read_to_string(world.office.record(&world.log).join("fork")).unwrap();
    assert_eq!(evidence, forks[0].note().to_string());
    assert_eq!(world.kept().len(), before.len() + 1);
    // Back on its first history it is cosigned again, and what it did is not forgotten.
    world.show(&world.log.grown(7, "a"));
    let (code, said) = world.look();
    assert_eq!((code, &said["records"]), (0, &Value::from(307)));
    assert!(said["fork"].as_str().unwrap().ends_with("/fork"));
}

#[test]
fn a_fork_behind_a_power_of_two_is_a_fork_too() {
    // There the proof begins with the root that the verifier knows, not with one from the tiles.
    let world = World::new(256);
    assert_eq!(world.look().0, 0);
    world.show(&world.log.first(255).grown(2, "b"));
    assert_eq!(world.look().0, 11);
    world.show(&world.log.grown(1, "a"));
    world.flip("tile/1/000.p/1", 3);
    assert_eq!(world.look().0, 10);
}

#[test]
fn a_log_whose_end_is_gone_is_behind() {
    let world = World::new(300);
    assert_eq!(world.look().0, 0);
    world.show(&world.log.first(299));
    let (code, said) = world.look();
    assert_eq!((code, &said["verdict"]), (11, &Value::from("forked")));
    assert!(said["what"].as_str().unwrap().contains("the end is gone"));
    assert_eq!(world.newest(), 300);
    assert!(!world.kept().contains(&"fork".to_owned()), "an old copy proves no fork");
    world.show(&world.log);
    assert_eq!(world.look().0, 0);
}

#[test]
fn tiles_that_are_not_there_or_not_right_are_told_apart() {
    let world = World::new(300);
    let used = ["tile/0/001.p/44", "tile/1/000.p/1"];
    let broken = |code: i32, newest: Option<u64>| {
        let (found, said) = world.look();
        assert_eq!(found, code, "{said}");
        assert_eq!(newest, newest.map(|_| world.newest()));
    };
    let spoil = |more: &Log, newest: Option<u64>| {
        for file in used {
            world.show(more);
            let found = fs::read_dir(world.folder.path().join(file).parent().unwrap()).unwrap();
            let name = found.map(|file| file.unwrap().path()).min().unwrap();
            let path = name.strip_prefix(world.folder.path()).unwrap().to_str().unwrap().to_owned();
            world.flip(&path, 40 % fs::read(&name).unwrap().len());
            broken(10, newest);
            fs::write(&name, [7; 33]).unwrap();
            broken(10, newest);
            fs::remove_file(&name).unwrap();
            broken(12, newest);
        }
        world.show(more);
        broken(0, newest.map(|_| more.size()));
    };
    // Seen for the first time, and grown.
    spoil(&world.log, None);
    spoil(&world.log.grown(20, "a"), Some(300));
}

#[test]
fn a_full_tile_serves_for_an_unfinished_one_that_was_taken_away() {
    let world = World::new(300);
    let later = tempfile::tempdir().unwrap();
    world.log.grown(212, "a").write(later.path());
    fs::remove_dir_all(world.folder.path().join("tile/0/001.p")).unwrap();
    let full = "tile/0/001";
    fs::copy(later.path().join(full), world.folder.path().join(full)).unwrap();
    assert_eq!(world.look().0, 0);
}

#[test]
fn a_checkpoint_that_the_policy_does_not_accept_is_damage() {
    let world = World::new(30);
    world.show(&Log { seed: 2, ..world.log.clone() });
    assert_eq!(world.look().0, 10);
    world.show(&Log { origin: "other.example/log", ..world.log.clone() });
    assert_eq!(world.look().0, 10);
    fs::write(world.folder.path().join("checkpoint"), "frog").unwrap();
    assert_eq!(world.look().0, 10);
    fs::remove_file(world.folder.path().join("checkpoint")).unwrap();
    assert_eq!(world.look().0, 12);
    assert_eq!(world.office.look("http://127.0.0.1:1/log").0, 12);
    assert_eq!(world.office.look("https://127.0.0.1:1/log").0, 2);
}

#[test]
fn several_logs_are_not_followed_as_one() {
    let world = World::new(3);
    let other = Log { origin: "other.example/log", ..world.log.clone() };
    let both = world.log.policy().replacen("quorum", &format!("{}#", other.policy()), 1);
    fs::write(world.office.path("0.policy"), both).unwrap();
    assert_eq!(world.look().0, 2);
}

#[test]
fn a_record_that_cannot_be_read_is_not_taken_for_none() {
    let world = World::new(30);
    assert_eq!(world.look().0, 0);
    let file = world.office.record(&world.log).join("checkpoint");
    fs::remove_file(&file).unwrap();
    assert_eq!(world.look().0, 1);
    fs::copy(world.office.record(&world.log).join("30.checkpoint"), &file).unwrap();
    assert_eq!(world.look().0, 0);
}

#[test]
fn who_follows_on_says_what_changes_and_every_fork() {
    let world = World::new(10);
    let (policy, at) = (world.office.path("0.policy"), world.folder.path().to_str().unwrap());
    let more = ["--policy", &policy, "--every", "1", at];
    let program = Program::start(&world.office.arguments("follow", &more));
    assert_eq!(program.line()["records"], 10);
    world.log.grown(5, "a").write(world.folder.path());
    assert_eq!(program.line()["records"], 15);
    world.log.grown(9, "b").write(world.folder.path());
    // Tiles come before their checkpoint; a look between them finds damage first.
    let fork = std::iter::repeat_with(|| program.line()).find(|said| said["verdict"] == "forked");
    assert!(fork.is_some());
    assert_eq!(program.line()["verdict"], "forked", "and once more");
    assert!(program.terminate().success());
    assert_eq!(world.newest(), 15);
}

#[test]
fn a_log_is_followed_over_http() {
    let world = World::new(300);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/log", listener.local_addr().unwrap());
    let folder = world.folder.path().to_owned();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, folder) = (stream.unwrap(), folder.clone());
            thread::spawn(move || files(&stream, &folder));
        }
    });
    assert_eq!(world.office.look(&address).0, 0);
    world.show(&world.log.grown(400, "a"));
    assert_eq!(world.office.look(&address).0, 0);
    assert_eq!(world.newest(), 700);
    fs::remove_file(world.folder.path().join("checkpoint")).unwrap();
    assert_eq!(world.office.look(&address).0, 12);
}

/// Serves the files of a folder under `/log`, one request after another.
fn files(mut stream: &std::net::TcpStream, folder: &Path) {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    while let Some(first) = lines.next() {
        let path = first.split(' ').nth(1).unwrap().strip_prefix("/log/").unwrap().to_owned();
        lines.by_ref().take_while(|line| !line.is_empty()).for_each(drop);
        let (status, body) = match fs::read(folder.join(path)) {
            Ok(body) => ("200 OK", body),
            Err(_) => ("404 Not Found", b"no such file".to_vec()),
        };
        let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all(&[head.as_bytes(), &body].concat()).unwrap();
    }
}
