use super::*;

/// Steals what keeps the worker busy for so long, and tells how many rounds are left out then.
fn left_out_after(restraint: &Restraint, busy: Duration) -> u32 {
    let now = Instant::now();
    restraint.stole(now);
    restraint.judge(|| now + busy);
    left_out(restraint)
}

fn left_out(restraint: &Restraint) -> u32 {
    (0..).find(|_| !restraint.leaves_out_round()).expect("there is an end (V1)")
}

#[test]
fn each_theft_that_was_not_worth_it_adds_a_round_up_to_a_limit() {
    let restraint = Restraint::default();
    assert_eq!(left_out(&restraint), 0);
    for rounds in 1..=MOST {
        assert_eq!(left_out_after(&restraint, WORTH_IT - Duration::from_nanos(1)), rounds);
    }
    assert_eq!(left_out_after(&restraint, Duration::ZERO), MOST);
}

#[test]
fn a_theft_that_was_worth_it_ends_restraint() {
    let restraint = Restraint::default();
    assert_eq!(left_out_after(&restraint, Duration::ZERO), 1);
    assert_eq!(left_out_after(&restraint, WORTH_IT), 0);
    assert_eq!(left_out_after(&restraint, Duration::ZERO), 1);
}

#[test]
fn rounds_that_were_left_out_are_not_left_out_again_without_a_theft() {
    let restraint = Restraint::default();
    assert_eq!(left_out_after(&restraint, Duration::ZERO), 1);
    restraint.judge(|| unreachable!("nothing was stolen since"));
    assert_eq!(left_out(&restraint), 0);
}
