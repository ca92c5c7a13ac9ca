//! Unit tests of the readiness word. The races are in `loom-tests/tests/readiness.rs`.

use super::{Readiness, Snapshot, TICK, Wait, Wake};

#[test]
fn an_event_makes_ready() {
    let word = Readiness::new(false);
    assert!(!word.load().is_ready());
    assert_eq!(word.transition_to_ready(false), Wake::Nobody);
    assert!(word.load().is_ready());
}

#[test]
fn a_clear_takes_back_what_was_seen() {
    let word = Readiness::new(true);
    word.clear_after_short(word.load());
    assert!(!word.load().is_ready());

    assert_eq!(word.transition_to_ready(false), Wake::Nobody);
    word.clear_after_would_block(word.load());
    assert!(!word.load().is_ready());
}

#[test]
fn a_clear_keeps_an_event_that_came_after_the_snapshot() {
    let word = Readiness::new(true);
    let seen = word.load();
    assert_eq!(word.transition_to_ready(false), Wake::Nobody);
    word.clear_after_short(seen);
    assert!(word.load().is_ready());
    word.clear_after_would_block(seen);
    assert!(word.load().is_ready());
}

#[test]
fn held_readiness_survives_a_short_transfer_but_not_would_block() {
    let word = Readiness::new(false);
    assert_eq!(word.transition_to_ready(true), Wake::Nobody);
    word.clear_after_short(word.load());
    assert!(word.load().is_ready());
    word.clear_after_would_block(word.load());
    assert!(!word.load().is_ready());

    // What held it is over: the next event is an ordinary one.
    assert_eq!(word.transition_to_ready(false), Wake::Nobody);
    word.clear_after_short(word.load());
    assert!(!word.load().is_ready());
}

#[test]
fn nobody_waits_for_what_is_there() {
    let word = Readiness::new(true);
    assert_eq!(word.transition_to_waiting(), Wait::NotNow);
    assert!(!word.load().is_ready_and_waited_for());
}

#[test]
fn an_event_sees_the_waiters_until_they_are_gone() {
    let word = Readiness::new(false);
    assert_eq!(word.transition_to_waiting(), Wait::Announced);
    assert_eq!(word.transition_to_ready(false), Wake::Waiters);
    assert!(word.load().is_ready_and_waited_for());
    word.transition_to_unwatched();
    assert_eq!(word.transition_to_ready(false), Wake::Nobody);
}

#[test]
fn a_waiter_does_not_change_the_tick() {
    let word = Readiness::new(false);
    let seen = word.load();
    assert_eq!(word.transition_to_waiting(), Wait::Announced);
    assert!(super::same_tick(word.load().0, seen));
}

#[test]
fn the_end_is_for_good() {
    let word = Readiness::new(false);
    assert_eq!(word.transition_to_waiting(), Wait::Announced);
    assert_eq!(word.transition_to_shut(), Wake::Waiters);
    word.transition_to_unwatched();
    assert_eq!(word.transition_to_waiting(), Wait::NotNow);
    word.clear_after_would_block(word.load());
    assert!(word.load().is_shut());
}

#[test]
fn the_tick_wraps_without_touching_the_bits() {
    let word = Readiness::new(false);
    word.update(|word| Some(word | (usize::MAX / TICK * TICK)));
    let seen = word.load();
    assert_eq!(word.transition_to_ready(false), Wake::Nobody);
    assert!(!word.load().is_shut());
    assert!(!super::same_tick(word.load().0, seen));
    assert_eq!(Snapshot(word.load().0 % TICK), Snapshot::UNREGISTERED);
}
