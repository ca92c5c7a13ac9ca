//! The pool of OS threads: it outlives whatever it runs.
//!
//! The pool is the process's, so these tests have a process each.

use std::sync::mpsc;

use crate::common::{DropToken, Drops, child_case, child_succeeds, each_run, os_threads, stress, wait_until};
use sward_runtime::{
    runtime::Handle,
    thread::{self, State},
    unblock,
};

/// Panics after it has been counted.
struct PanicsInDrop(#[expect(dead_code, reason = "for its destructor")] DropToken);

impl Drop for PanicsInDrop {
    fn drop(&mut self) {
        panic!("on purpose");
    }
}

#[test]
fn an_abandoned_result_that_panics_in_its_destructor_takes_no_thread_with_it() {
    const TEST: &str = "an_abandoned_result_that_panics_in_its_destructor_takes_no_thread_with_it";
    if child_case().is_none() {
        return child_succeeds(TEST, "alone");
    }
    each_run(|| {
        for _ in 0..4 {
            let drops = Drops::new();
            let token = drops.token();
            let (go, gone) = mpsc::channel::<()>();
            let waiting = thread::spawn(move || {
                // What would drop it here is not what this is about.
                std::mem::forget(unblock(move || {
                    let _ = gone.recv();
                    PanicsInDrop(token)
                }));
            });
            wait_until(|| matches!(waiting.thread().state(), State::Waiting(_)));
            waiting.cancel();
            assert!(waiting.join().is_err());
            drop(go);
            wait_until(|| drops.count() == 1);
        }
        // Also one that comes while its owner gives up.
        for _ in 0..stress(200) {
            let drops = Drops::new();
            let token = drops.token();
            let waiting = thread::spawn(move || std::mem::forget(unblock(move || PanicsInDrop(token))));
            thread::yield_now();
            waiting.cancel();
            let _ = waiting.join();
        }
        assert_eq!(unblock(|| 7), 7);
        wait_until(|| {
            let pool = Handle::current().metrics().pool;
            pool.idle == pool.threads && os_threads("sward-pool") == pool.threads
        });
    });
}
