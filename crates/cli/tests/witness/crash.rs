//! A witness that is killed, again and again, while a log asks: what it answered 200 to is never
//! taken back.

use std::sync::mpsc::channel;
use std::thread;

use crate::log::Log;
use crate::program::{Office, ask};

/// How often it is killed.
const KILLS: u64 = 50;

#[test]
fn a_killed_witness_never_goes_back_behind_what_it_answered() {
    // Rounds end long before the log does: each is a handful of requests.
    let log = Log::new(4_000, "a");
    let office = Office::of(&[&log]);
    let mut answered = 0;
    for round in 0..KILLS {
        let mut server = office.serve();
        let newest = server.newest(&log);
        let mut size = 0;
        if newest.status == 200 {
            let known = office.opened(&newest.body, &log);
            size = known.checkpoint().size;
            let history = log.first(usize::try_from(size).unwrap());
            assert_eq!(known.checkpoint().root, history.root(), "round {round}");
            let mut forked = log.first(usize::try_from(size - 1).unwrap()).grown(1, "b");
            assert_eq!(server.add(&forked.request(size).to_string()).status, 409);
            forked = forked.grown(5, "b");
            assert_eq!(server.add(&forked.request(size).to_string()).status, 422);
            for old in [0, size - 1] {
                let earlier = log.first(usize::try_from(size - 1).unwrap());
                assert_ne!(server.add(&earlier.request(old).to_string()).status, 200);
            }
        }
        assert!(size >= answered, "round {round}: {answered} was answered, {size} is on record");
        let (said, heard) = channel();
        answered = thread::scope(|scope| {
            let (log, address) = (&log, server.address.clone());
            let client = scope.spawn(move || {
                let mut last = size;
                loop {
                    let next = last + 1 + last % 3;
                    let request = log.first(usize::try_from(next).unwrap()).request(last);
                    match ask(&address, "POST", "/add-checkpoint", &request.to_string()) {
                        Ok(answer) => assert_eq!(answer.status, 200, "{answer:?}"),
                        Err(_) => return last,
                    }
                    last = next;
                    let _ = said.send(());
                }
            });
            // The next request is on its way when it is killed.
            (0..=round % 5).for_each(|_| heard.recv().unwrap());
            server.program.kill();
            client.join().unwrap()
        });
        assert!(answered > size, "round {round}");
    }
}
