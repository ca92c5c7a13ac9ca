//! Unit tests of the wait list and the baton.

use super::Direction;

/// A waiter that can be claimed, or one that somebody else has claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waiter {
    Free(u32),
    Taken,
}

fn claim(waiter: &Waiter) -> Option<u32> {
    match waiter {
        Waiter::Free(name) => Some(*name),
        Waiter::Taken => None,
    }
}

#[test]
fn waiters_are_woken_in_order_one_per_event() {
    let direction = Direction::new(false);
    for name in 0..3 {
        assert!(direction.enqueue(Waiter::Free(name)).is_some());
    }
    assert_eq!(direction.signal(false, claim), Some(0));
    assert_eq!(direction.signal(false, claim), Some(1));
    assert_eq!(direction.signal(false, claim), Some(2));
    assert_eq!(direction.signal(false, claim), None);
}

#[test]
fn what_is_left_behind_is_passed_on() {
    let direction = Direction::new(false);
    for name in 0..3 {
        assert!(direction.enqueue(Waiter::Free(name)).is_some());
    }
    assert_eq!(direction.signal(false, claim), Some(0));
    assert_eq!(direction.pass_on(claim), Some(1));
    direction.readiness().clear_after_short(direction.readiness().load());
    assert_eq!(direction.pass_on(claim), None);
    assert_eq!(direction.signal(false, claim), Some(2));
}

#[test]
fn nobody_enters_while_there_is_something() {
    let direction = Direction::new(true);
    assert_eq!(direction.enqueue(Waiter::Free(0)), None);
    direction.readiness().clear_after_would_block(direction.readiness().load());
    assert!(direction.enqueue(Waiter::Free(0)).is_some());
}

#[test]
fn a_waiter_claimed_elsewhere_does_not_swallow_the_event() {
    let direction = Direction::new(false);
    assert!(direction.enqueue(Waiter::Taken).is_some());
    assert!(direction.enqueue(Waiter::Free(7)).is_some());
    assert_eq!(direction.signal(false, claim), Some(7));
}

#[test]
fn removal_finds_first_middle_and_last() {
    let direction = Direction::new(false);
    let tickets: Vec<_> = (0..4).filter_map(|name| direction.enqueue(Waiter::Free(name))).collect();
    assert!(direction.remove(tickets[0]));
    assert!(direction.remove(tickets[2]));
    assert!(!direction.remove(tickets[2]));
    assert_eq!(direction.signal(false, claim), Some(1));
    assert!(!direction.remove(tickets[1]));
    assert!(direction.remove(tickets[3]));
    assert!(!direction.readiness().load().is_ready_and_waited_for());
}

#[test]
fn the_end_wakes_all_and_lets_nobody_in() {
    let direction = Direction::new(false);
    assert!(direction.enqueue(Waiter::Free(1)).is_some());
    assert!(direction.enqueue(Waiter::Taken).is_some());
    assert!(direction.enqueue(Waiter::Free(2)).is_some());
    let mut woken = Vec::new();
    direction.shut(claim, |name| woken.push(name));
    assert_eq!(woken, [1, 2]);
    assert_eq!(direction.enqueue(Waiter::Free(3)), None);
}
