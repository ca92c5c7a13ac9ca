//! `Parker`: a token of its own; in every kind of runtime, and with OS threads.

use std::{
    sync::mpsc,
    time::{Duration, Instant},
};

use crate::common::{each_config, each_run, spawn_either, stress};
use sward_runtime::thread;
use sward_sync::{Parker, Unparker};

/// Longer than any test.
const LONG: Duration = Duration::from_secs(u32::MAX as u64);

#[test]
fn both_may_be_sent_and_the_unparker_shared() {
    fn sent<T: Send>() {}
    fn shared<T: Sync>() {}
    sent::<Parker>();
    sent::<Unparker>();
    shared::<Unparker>();
}

#[test]
fn the_token_is_taken_and_is_one() {
    each_run(|| {
        let parker = Parker::default();
        for _ in 0..10 {
            parker.unparker().unpark();
            parker.unparker().clone().unpark();
            parker.park_timeout(LONG);
            let (start, timeout) = (Instant::now(), Duration::from_micros(200));
            parker.park_timeout(timeout);
            assert!(start.elapsed() >= timeout, "no second token was there");
            parker.park_deadline(start);
        }
    });
}

#[test]
fn it_is_unparked_by_threads_of_either_kind() {
    each_run(|| {
        let parker = Parker::new();
        for i in 0..stress(50) {
            let unparker = parker.unparker().clone();
            let other = spawn_either(i, move || unparker.unpark());
            match i % 3 {
                0 => parker.park(),
                1 => parker.park_timeout(LONG),
                _ => parker.park_deadline(Instant::now() + LONG),
            }
            other.join();
        }
    });
}

#[test]
fn the_tokens_of_a_parker_and_of_its_thread_are_two() {
    each_run(|| {
        let parker = Parker::new();
        thread::current().unpark();
        let (start, timeout) = (Instant::now(), Duration::from_micros(200));
        parker.park_timeout(timeout);
        assert!(start.elapsed() >= timeout);
        parker.unparker().unpark();
        thread::park();
        parker.park();
    });
}

/// Sends its parker out when it is dropped.
struct Rescue(Option<Parker>, mpsc::Sender<Parker>);

impl Drop for Rescue {
    fn drop(&mut self) {
        let parker = self.0.take().unwrap();
        self.1.send(parker).unwrap();
    }
}

#[test]
fn the_token_outlives_one_who_is_cancelled() {
    each_config(|config| {
        let (runtime, parker) = (config.build(), Parker::new());
        let unparker = parker.unparker().clone();
        let (sender, receiver) = mpsc::channel();
        let parked = runtime.handle().spawn(move || {
            let rescue = Rescue(Some(parker), sender);
            rescue.0.as_ref().unwrap().park();
        });
        drop(runtime);
        assert!(parked.join().is_err());
        // It was dropped with its closure if the green thread had not started.
        if let Ok(parker) = receiver.recv() {
            unparker.unpark();
            parker.park();
        }
    });
}

#[test]
fn what_they_look_like() {
    let parker = Parker::new();
    assert_eq!(format!("{parker:?} {:?}", parker.unparker()), "Parker { .. } Unparker { .. }");
}
