//! The inbox: threads that send, against the worker that takes, and one that takes in its place.
//!
//! The real `Inbox`. Stand-ins: a task is a node with a [`Plain`] payload, which belongs to whoever owns the node.
//!
//! # Fails when
//!
//! - the exchange in `send` is Relaxed, or the swap in `take` is Relaxed: the taker does not see the payload;
//! - `take` does not turn the chain round: the order is lost;
//! - `take` loads and stores in place of the swap: two get the same node, or one is lost.

use loom::{
    sync::{Arc, atomic::AtomicPtr},
    thread,
};
use sward_loom_tests::{Plain, check, check_bounded};
use sward_runtime::model::{Inbox, Linked};

struct Node {
    link: AtomicPtr<Self>,
    payload: Plain<u32>,
}

// SAFETY: always the same field.
unsafe impl Linked for Node {
    fn link(&self) -> &AtomicPtr<Self> {
        &self.link
    }
}

fn send(inbox: &Inbox<Node>, payload: u32) {
    let node = Box::new(Node { link: AtomicPtr::default(), payload: Plain::new(0) });
    node.payload.set(payload);
    // SAFETY: the node is ours, and lives until it is taken.
    unsafe { inbox.send(Box::into_raw(node)) };
}

fn take(inbox: &Inbox<Node>, payloads: &mut Vec<u32>) {
    inbox.take(|node| {
        // SAFETY: it came from `send`, and was taken once.
        let node = unsafe { Box::from_raw(node) };
        payloads.push(node.payload.replace(0));
    });
}

/// Payloads of the sender whose numbers start at `first`.
fn of_sender(payloads: &[u32], first: u32) -> Vec<u32> {
    payloads.iter().copied().filter(|payload| payload / 10 == first / 10).collect()
}

#[test]
fn what_two_send_is_taken_once_and_in_each_ones_order() {
    check(|| {
        let inbox = Arc::new(Inbox::default());
        let senders = [10, 20].map(|first| {
            let inbox = Arc::clone(&inbox);
            thread::spawn(move || {
                send(&inbox, first);
                if first == 10 {
                    send(&inbox, first + 1);
                }
            })
        });
        let mut payloads = Vec::new();
        take(&inbox, &mut payloads);
        for sender in senders {
            sender.join().unwrap();
        }
        take(&inbox, &mut payloads);
        assert!(inbox.is_empty());
        assert_eq!(of_sender(&payloads, 10), [10, 11]);
        assert_eq!(of_sender(&payloads, 20), [20]);
    });
}

#[test]
fn a_worker_that_looks_again_and_again_gets_everything() {
    check_bounded(3, || {
        let inbox = Arc::new(Inbox::default());
        let senders = [10, 20].map(|first| {
            let inbox = Arc::clone(&inbox);
            thread::spawn(move || send(&inbox, first))
        });
        let mut payloads = Vec::new();
        while payloads.len() < 2 {
            if inbox.is_empty() {
                thread::yield_now();
            } else {
                take(&inbox, &mut payloads);
            }
        }
        for sender in senders {
            sender.join().unwrap();
        }
        payloads.sort_unstable();
        assert_eq!(payloads, [10, 20]);
    });
}

/// A sender may look at a head that is taken and sent again before its exchange.
#[test]
fn a_node_may_come_back_while_another_is_sent() {
    check(|| {
        let inbox = Arc::new(Inbox::default());
        send(&inbox, 10);
        let sender = thread::spawn({
            let inbox = Arc::clone(&inbox);
            move || send(&inbox, 20)
        });
        let mut back = Vec::new();
        inbox.take(|node| back.push(node));
        let came_back = back.len();
        for node in back {
            // SAFETY: we took it, so it is ours.
            unsafe { inbox.send(node) };
        }
        sender.join().unwrap();
        let mut payloads = Vec::new();
        take(&inbox, &mut payloads);
        assert!((1..=2).contains(&came_back));
        payloads.sort_unstable();
        assert_eq!(payloads, [10, 20]);
    });
}

/// As `Shared::rescue`: what has started goes back.
#[test]
fn a_rescue_meets_the_worker_and_a_sender() {
    check_bounded(3, || {
        let inbox = Arc::new(Inbox::default());
        send(&inbox, 10);
        let theirs = Arc::clone(&inbox);
        let sender = thread::spawn(move || send(&theirs, 20));
        let theirs = Arc::clone(&inbox);
        let rescuer = thread::spawn(move || {
            let (mut taken, mut rescued) = (Vec::new(), Vec::new());
            take(&theirs, &mut taken);
            for payload in taken {
                if payload == 10 { send(&theirs, payload) } else { rescued.push(payload) }
            }
            rescued
        });
        let mut payloads = Vec::new();
        take(&inbox, &mut payloads);
        sender.join().unwrap();
        payloads.extend(rescuer.join().unwrap());
        take(&inbox, &mut payloads);
        payloads.sort_unstable();
        assert_eq!(payloads, [10, 20]);
    });
}
