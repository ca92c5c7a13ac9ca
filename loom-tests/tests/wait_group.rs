//! The wait group: members that leave, against those who wait until all have left.
//!
//! The real `WaitGroup`, and the lot. Stand-ins: a deadline has always passed; what members did is [`Plain`] memory.
//!
//! # Fails when
//!
//! - the load in `get` is Relaxed, or the subtraction is Acquire: who waits does not see what a member did;
//! - a waiter does not look at the number under the bucket's lock, `WAITING` is cleared while somebody waits, or the last member does not wake:
//!   the waiter waits for ever.

use std::time::Instant;

use loom::{sync::Arc, thread};
use sward_loom_tests::{Plain, check, check_bounded};
use sward_sync::WaitGroup;

type Memory = Arc<[Plain<u32>; 2]>;

/// A member on a thread of its own, which writes before it leaves.
fn member(group: &WaitGroup, memory: &Memory, i: usize) -> thread::JoinHandle<()> {
    let (group, memory) = (group.clone(), Arc::clone(memory));
    thread::spawn(move || {
        memory[i].set(1);
        drop(group);
    })
}

#[test]
fn who_waits_sees_what_each_member_did() {
    check_bounded(3, || {
        let (group, memory) = (WaitGroup::new(), Memory::default());
        let members = [0, 1].map(|i| member(&group, &memory, i));
        group.wait();
        assert_eq!(memory[0].get() + memory[1].get(), 2);
        for member in members {
            member.join().unwrap();
        }
    });
}

#[test]
fn two_wait_for_each_other() {
    check(|| {
        let (group, memory) = (WaitGroup::new(), Memory::default());
        let other = thread::spawn({
            let (group, memory) = (group.clone(), Arc::clone(&memory));
            move || {
                memory[1].set(1);
                group.wait();
                assert_eq!(memory[0].get(), 1);
            }
        });
        memory[0].set(1);
        group.wait();
        assert_eq!(memory[1].get(), 1);
        other.join().unwrap();
    });
}

#[test]
fn a_waiter_whose_time_is_up_does_not_hold_up_another() {
    check_bounded(3, || {
        let (group, memory) = (WaitGroup::new(), Memory::default());
        let member = member(&group, &memory, 0);
        let patient = thread::spawn({
            let (group, memory) = (group.clone(), Arc::clone(&memory));
            move || {
                group.wait();
                assert_eq!(memory[0].get(), 1);
            }
        });
        if group.wait_until(Instant::now()) {
            assert_eq!(memory[0].get(), 1);
        }
        member.join().unwrap();
        patient.join().unwrap();
    });
}
