//! `caseledger witness serve`: each answer, over real HTTP.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Barrier;
use std::thread;

use ledger::Hash;
use ledger::note::SignedNote;
use ledger::witness::{AddCheckpoint, MAX_REQUEST};

use crate::log::Log;
use crate::program::{Office, Program, ask, caseledger};

const TEXT: &str = "text/plain; charset=utf-8";

#[test]
fn a_growing_log_is_cosigned_and_each_cosignature_verifies() {
    let log = Log::new(600, "a");
    let office = Office::of(&[&log]);
    let server = office.serve();
    assert_eq!(server.newest(&log).status, 404);
    let mut old = 0;
    for size in [0, 1, 1, 2, 255, 256, 300, 600] {
        let now = log.first(size);
        let answer = server.add(&now.request(old).to_string());
        assert_eq!((answer.status, answer.kind.as_str()), (200, TEXT), "{answer:?}");
        let cosigned: SignedNote = format!("{}{}", now.note(), answer.body).parse().unwrap();
        assert_eq!(cosigned.verify(std::slice::from_ref(&office.vkey)).unwrap().len(), 1);
        let newest = server.newest(&log);
        assert_eq!((newest.status, newest.kind.as_str()), (200, TEXT));
        assert_eq!(newest.body, cosigned.to_string());
        let said = server.program.line();
        assert_eq!(said["cosigned"], log.origin);
        assert_eq!(said["root"], now.root().to_string());
        old = size as u64;
    }
    assert!(server.program.terminate().success());
}

#[test]
fn every_refusal_has_its_status_and_changes_nothing() {
    let log = Log::new(40, "a");
    let office = Office::of(&[&log]);
    let server = office.serve();
    let known = log.first(20);
    assert_eq!(server.add(&known.request(0).to_string()).status, 200);
    let before = server.newest(&log).body;
    let stranger = Log { origin: "other.example/log", ..log.clone() };
    let impostor = Log { seed: 2, ..log.clone() };
    let fork = log.first(10).grown(10, "b");
    let forked = log.first(10).grown(30, "b");
    let with_proof = AddCheckpoint { proof: vec![Hash([1; 32])], ..known.request(20) };
    for (request, status) in [
        ("no request\n".to_owned(), 400),
        (log.request(20).to_string().replacen("old 20", "old 020", 1), 400),
        (log.first(19).request(20).to_string(), 400),
        (impostor.request(20).to_string(), 403),
        (impostor.request(3).to_string(), 403),
        (stranger.request(0).to_string(), 404),
        (fork.request(20).to_string(), 409),
        (forked.request(20).to_string(), 422),
        (AddCheckpoint { proof: Vec::new(), ..log.request(20) }.to_string(), 422),
        (with_proof.to_string(), 422),
        ("x".repeat(MAX_REQUEST + 1), 413),
    ] {
        let answer = server.add(&request);
        assert_eq!((answer.status, answer.kind.as_str()), (status, TEXT), "{answer:?}\n{request}");
    }
    for stale in [log.request(0), log.request(19), log.request(21), log.first(9).request(9)] {
        let answer = server.add(&stale.to_string());
        assert_eq!((answer.status, answer.kind.as_str()), (409, "text/x.tlog.size"));
        assert_eq!(answer.body, "20\n");
    }
    for (method, path, status) in [
        ("GET", "/add-checkpoint", 405),
        ("POST", "/0/checkpoint", 405),
        ("GET", "/", 404),
        ("GET", "/0/checkpoint", 404),
    ] {
        assert_eq!(
            ask(&server.address, method, path, "").unwrap().status,
            status,
            "{method} {path}"
        );
    }
    assert_eq!(server.newest(&log).body, before);
    let evidence = fs::read_to_string(office.record(&log).join("fork")).unwrap();
    assert_eq!(evidence, fork.note().to_string());
}

#[test]
fn any_key_of_a_log_will_do() {
    let log = Log::new(9, "a");
    let second = Log { seed: 2, ..log.clone() };
    let office = Office::of(&[&log, &second]);
    let server = office.serve();
    assert_eq!(server.add(&log.first(4).request(0).to_string()).status, 200);
    assert_eq!(server.add(&second.request(4).to_string()).status, 200);
}

#[test]
fn of_two_at_once_from_the_same_size_one_wins() {
    let mut log = Log::new(5, "a");
    let office = Office::of(&[&log]);
    let server = office.serve();
    assert_eq!(server.add(&log.request(0).to_string()).status, 200);
    for round in 1..=20 {
        let both = [log.grown(round, "a"), log.grown(round, "b")];
        let old = log.size();
        let (start, address) = (Barrier::new(both.len()), &server.address);
        let submit = &|one: &Log| {
            let request = one.request(old).to_string();
            start.wait();
            ask(address, "POST", "/add-checkpoint", &request).unwrap().status
        };
        let answers = thread::scope(|scope| {
            let asked = both.each_ref().map(|one| scope.spawn(move || submit(one)));
            asked.map(|answer| answer.join().unwrap())
        });
        let won = answers.iter().position(|status| *status == 200).expect("one is cosigned");
        assert_eq!(answers[1 - won], 409, "and the other is told so");
        log = both[won].clone();
        assert_eq!(office.opened(&server.newest(&log).body, &log).checkpoint().root, log.root());
    }
}

#[test]
fn what_cannot_be_read_stops_its_log_and_no_other() {
    let log = Log::new(9, "a");
    let other = Log { origin: "other.example/log", ..log.clone() };
    let office = Office::of(&[&log, &other]);
    let server = office.serve();
    for one in [&log, &other] {
        assert_eq!(server.add(&one.first(4).request(0).to_string()).status, 200);
    }
    assert!(server.program.terminate().success());
    let file = office.record(&log).join("checkpoint");
    let good = fs::read_to_string(&file).unwrap();
    fs::write(office.record(&log).join("4.checkpoint"), &good).unwrap();
    let damages: [&dyn Fn(); 4] = [
        &|| fs::write(&file, "").unwrap(),
        &|| fs::write(&file, good.replacen("\n4\n", "\n3\n", 1)).unwrap(),
        &|| fs::write(&file, good.split_at(good.len() / 2).0).unwrap(),
        &|| fs::remove_file(&file).unwrap(),
    ];
    for damage in damages {
        damage();
        let server = office.serve();
        for old in [0, 4] {
            assert_eq!(server.add(&log.request(old).to_string()).status, 500);
        }
        assert_eq!(server.newest(&log).status, 500);
        assert_eq!(server.add(&other.first(4).request(4).to_string()).status, 200);
        assert!(server.program.terminate().success());
    }
    fs::write(&file, &good).unwrap();
    assert_eq!(office.serve().add(&log.request(4).to_string()).status, 200);
}

#[test]
fn a_folder_has_one_witness_at_a_time() {
    let log = Log::new(9, "a");
    let office = Office::of(&[&log]);
    let server = office.serve();
    let second = caseledger(&office.serve_arguments());
    assert_eq!(second.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&second.stderr).contains("another witness"));
    assert_eq!(office.look("nowhere").0, 1);
    drop(server);
    assert_eq!(office.serve().add(&log.request(0).to_string()).status, 200);
}

#[test]
fn who_says_nothing_is_let_go_and_who_asks_to_stop_is_heard() {
    let log = Log::new(9, "a");
    let office = Office::of(&[&log]);
    let server = office.serve();
    let mut silent = TcpStream::connect(&server.address).unwrap();
    let mut slow = TcpStream::connect(&server.address).unwrap();
    slow.write_all(b"POST /add-checkpoint HTTP/1.1\r\nhost: w\r\ncontent-length: 9\r\n\r\nold")
        .unwrap();
    assert_eq!(silent.read(&mut [0; 1]).unwrap(), 0, "closed");
    let mut answer = [0; 12];
    slow.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 408");
    let idle = TcpStream::connect(&server.address).unwrap();
    assert!(server.program.terminate().success());
    drop(idle);
}

#[test]
fn wrong_usage_is_told_before_anything_is_written() {
    let log = Log::new(9, "a");
    let office = Office::of(&[&log]);
    fs::write(office.path("0.policy"), "frog\n").unwrap();
    let refused = caseledger(&office.serve_arguments());
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("line 1 of the policy"));
    assert!(!fs::exists(office.path("state")).unwrap());
    drop(Program::start(&office.serve_arguments()));
}
