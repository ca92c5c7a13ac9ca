//! Whatever may happen to the seats, at random; and who gets one.

use proptest::{collection::vec, prelude::*, sample::Index};

use super::{
    super::idle::{Asked, Ended, Idle},
    Standing,
};

const REGULAR: usize = 3;
const SPARES: usize = 3;

/// What may happen, to whom.
#[derive(Clone, Copy, Debug)]
enum Step {
    Sleep,
    CancelSleep,
    Notify,
    NotifyWorker,
    Oust,
    Pass,
    TrySeat,
    Ask,
    Dismiss,
    Start,
    Abandon,
}

const STEPS: [Step; 11] = [
    Step::Sleep,
    Step::CancelSleep,
    Step::Notify,
    Step::NotifyWorker,
    Step::Oust,
    Step::Pass,
    Step::TrySeat,
    Step::Ask,
    Step::Dismiss,
    Step::Start,
    Step::Abandon,
];

/// Those who are woken must be awake, and those who are told that they have a seat have one. The invariants are looked at within.
fn take(idle: &Idle, step: Step, worker: usize) {
    let standing = idle.standing(worker);
    let is_awake = matches!(standing, Standing::Seated | Standing::Unseated);
    let seated = |worker| assert_eq!(idle.standing(worker), Standing::Seated);
    match step {
        Step::Sleep if is_awake => {
            if let Some(heir) = idle.sleep(worker, false) {
                seated(heir);
                assert_ne!(heir, worker);
            }
            assert!(idle.standing(worker).is_asleep());
        }
        Step::CancelSleep => match idle.cancel_sleep(worker) {
            Ended::Searching => {
                seated(worker);
                let _ = idle.stop_searching();
            }
            Ended::Unseated => assert_eq!(idle.standing(worker), Standing::Unseated),
            Ended::Already => assert!(!standing.is_asleep()),
        },
        Step::Notify => {
            if let Some(woken) = idle.notify() {
                seated(woken);
                let _ = idle.stop_searching();
            }
        }
        Step::NotifyWorker => assert_eq!(idle.notify_worker(worker), standing.is_asleep()),
        Step::Oust => {
            let given = idle.oust(worker);
            assert_eq!(given.is_some(), standing == Standing::Seated);
            given.and_then(|given| given.wake).into_iter().for_each(seated);
        }
        Step::Pass if standing == Standing::Seated => {
            let waited_for = idle.is_waited_for();
            let heir = idle.pass(worker);
            assert_eq!(heir.is_some(), waited_for);
            heir.into_iter().for_each(seated);
        }
        Step::TrySeat if is_awake => {
            assert_eq!(idle.try_seat(worker), idle.standing(worker) == Standing::Seated)
        }
        Step::Ask if is_awake => {
            let expected = match idle.ask(worker) {
                Asked::Seated => Standing::Seated,
                Asked::Queued => Standing::Queued,
            };
            assert_eq!(idle.standing(worker), expected);
        }
        Step::Dismiss => assert_eq!(idle.dismiss(worker), standing == Standing::Queued),
        Step::Start if standing == Standing::Unstarted && idle.start(worker) => seated(worker),
        // At once, or never.
        Step::Abandon if standing == Standing::Unstarted && idle.start(worker) => {
            idle.abandon(worker).into_iter().for_each(seated);
            assert_eq!(idle.standing(worker), Standing::Unstarted);
        }
        _ => {}
    }
}

proptest! {
    #[test]
    fn whatever_happens_the_seats_stay_as_many_and_none_is_kept_from_who_waits(
        steps in vec((any::<Index>(), any::<Index>()), 0..200),
    ) {
        let idle = Idle::new(REGULAR, SPARES, 1);
        for (step, worker) in steps {
            take(&idle, *step.get(&STEPS), worker.index(REGULAR + SPARES));
            let count = |standing| (0..REGULAR + SPARES).filter(|&w| idle.standing(w) == standing).count();
            let awake = count(Standing::Seated) + count(Standing::Unseated) + count(Standing::Queued);
            assert_eq!((idle.sleeping(), idle.awake()), (count(Standing::Asleep), awake), "D1");
            assert_eq!(idle.is_waited_for(), count(Standing::Queued) > 0);
        }
    }
}

#[test]
fn a_seat_that_is_left_goes_to_who_has_waited_longest() {
    let idle = Idle::new(1, 3, 1);
    assert!(idle.oust(0).unwrap().short);
    assert!(idle.start(1));
    assert_eq!(idle.ask(0), Asked::Queued);
    assert!(!idle.oust(1).unwrap().short);
    assert_eq!(idle.ask(1), Asked::Queued);
    assert_eq!(idle.sleep(0, false), Some(1));
    assert_eq!((idle.standing(0), idle.standing(1)), (Standing::Retired, Standing::Seated));
}

#[test]
fn the_seat_of_a_sleeping_spare_is_taken_before_that_of_a_regular_worker() {
    let idle = Idle::new(2, 1, 1);
    assert!(idle.oust(0).unwrap().short);
    assert!(idle.start(2));
    assert_eq!((idle.sleep(1, false), idle.sleep(2, false)), (None, None));
    assert!(idle.try_seat(0));
    assert_eq!(idle.standing(2), Standing::Retired);
    assert_eq!(idle.standing(1), Standing::Asleep);
}
