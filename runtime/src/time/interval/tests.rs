use super::*;

const PERIOD: Duration = Duration::from_millis(10);

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// When ticks come that are due from 0 on, if `late` ms are spent after the first one.
fn ticks(missed: MissedTick, late: u64) -> Vec<(Duration, Duration)> {
    let start = Instant::now();
    let (mut due, mut now) = (start + PERIOD, start + ms(late));
    let mut ticks = vec![];
    for _ in 0..4 {
        now = now.max(due);
        ticks.push((now - start, due - start));
        due = missed.next(due, now, PERIOD).unwrap();
    }
    ticks
}

#[test]
fn missed_ticks_are_made_up_for_in_a_burst() {
    let expected = [(25, 10), (25, 20), (30, 30), (40, 40)].map(|(now, due)| (ms(now), ms(due)));
    assert_eq!(ticks(MissedTick::Burst, 25), expected);
}

#[test]
fn ticks_are_delayed_by_one_that_was_missed() {
    let expected = [(25, 10), (35, 35), (45, 45), (55, 55)].map(|(now, due)| (ms(now), ms(due)));
    assert_eq!(ticks(MissedTick::Delay, 25), expected);
}

#[test]
fn missed_ticks_are_skipped() {
    let expected = [(25, 10), (30, 30), (40, 40), (50, 50)].map(|(now, due)| (ms(now), ms(due)));
    assert_eq!(ticks(MissedTick::Skip, 25), expected);
}

#[test]
fn a_tick_that_is_hardly_late_was_not_missed() {
    let expected = [(14, 10), (20, 20), (30, 30), (40, 40)].map(|(now, due)| (ms(now), ms(due)));
    for missed in [MissedTick::Burst, MissedTick::Delay, MissedTick::Skip] {
        assert_eq!(ticks(missed, 14), expected, "{missed:?}");
    }
}

#[test]
fn what_comes_after_the_end_of_the_clock_never_comes() {
    let now = Instant::now();
    for missed in [MissedTick::Burst, MissedTick::Delay, MissedTick::Skip] {
        assert_eq!(missed.next(now, now + ms(100), Duration::MAX), None, "{missed:?}");
    }
}
