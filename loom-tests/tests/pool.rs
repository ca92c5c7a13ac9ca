//! The pool: those who use its objects, those who keep one or throw it away, and those who give up.
//!
//! The real `Pool`, `RawSemaphore` and lot. Stand-ins: an object is [`Plain`] memory, and so is the count of those that exist, which a pool of one
//! guards as well; a deadline has always passed. `semaphore.rs` checks what the slots do beyond that.
//!
//! # Fails when
//!
//! - the exchange in `RawSemaphore::try_acquire` or in `take_or_announce` is Relaxed, or the addition in `release` is: who makes an object
//!   does not see that the last one is gone;
//! - a guard gives its slot back before the object: the next one makes another, and there are two;
//! - a slot that was acquired is not given back, by who throws its object away: the next waits for ever.

use std::time::Instant;

use loom::{sync::Arc, thread};
use sward_loom_tests::{Plain, check_bounded};
use sward_sync::pool::{Pool, PoolGuard};

/// How many objects there are. Whoever makes or drops one has a slot.
type Count = Arc<Plain<u32>>;

/// Memory that only its user touches.
struct Object {
    uses: Plain<u32>,
    count: Count,
}

impl Drop for Object {
    fn drop(&mut self) {
        self.count.set(self.count.get() - 1);
    }
}

type Objects = Pool<Object, ()>;

/// A pool of one, and how many objects it has made.
fn pool_of_one() -> (Objects, Count) {
    let (count, made) = (Count::default(), Count::default());
    let theirs = Arc::clone(&made);
    let make = move || {
        count.set(count.get() + 1);
        assert_eq!(count.get(), 1, "there is another");
        theirs.set(theirs.get() + 1);
        Ok(Object { uses: Plain::new(0), count: Arc::clone(&count) })
    };
    (Pool::new(1, make), made)
}

fn uses(object: &Object) -> u32 {
    object.uses.set(object.uses.get() + 1);
    object.uses.get()
}

/// A thread of its own that does something with the pool.
fn spawn<R: 'static>(pool: &Objects, f: impl FnOnce(&Objects) -> R + 'static) -> thread::JoinHandle<R> {
    let pool = pool.clone();
    thread::spawn(move || f(&pool))
}

#[test]
fn of_two_one_has_the_object_and_the_other_uses_it_again() {
    check_bounded(3, || {
        let (pool, made) = pool_of_one();
        let other = spawn(&pool, |pool| uses(&pool.get().unwrap()));
        let mine = uses(&pool.get().unwrap());
        let theirs = other.join().unwrap();
        assert_eq!((mine.min(theirs), mine.max(theirs)), (1, 2));
        assert_eq!((made.get(), pool.in_use(), pool.idle()), (1, 0, 1));
    });
}

#[test]
fn of_three_one_has_the_object() {
    check_bounded(2, || {
        let (pool, made) = pool_of_one();
        let others = [(); 2].map(|()| spawn(&pool, |pool| uses(&pool.get().unwrap())));
        let mine = uses(&pool.get().unwrap());
        let theirs: u32 = others.map(|other| other.join().unwrap()).iter().sum();
        assert_eq!((mine + theirs, made.get()), (1 + 2 + 3, 1));
    });
}

#[test]
fn where_one_is_thrown_away_the_next_makes_another() {
    check_bounded(3, || {
        let (pool, made) = pool_of_one();
        let other = spawn(&pool, |pool| {
            PoolGuard::discard(pool.get().unwrap());
            PoolGuard::discard(pool.get().unwrap());
        });
        uses(&pool.get().unwrap());
        other.join().unwrap();
        assert!((2..=3).contains(&made.get()));
        assert_eq!(pool.in_use(), 0);
    });
}

#[test]
fn those_whose_time_is_up_or_who_only_try_leave_the_object_to_the_others() {
    check_bounded(3, || {
        let (pool, made) = pool_of_one();
        let impatient = spawn(&pool, |pool| pool.get_until(Instant::now()).map_or(0, |object| uses(&object)));
        let other = spawn(&pool, |pool| uses(&pool.get().unwrap()));
        let tried = pool.try_get().map_or(0, |object| uses(&object));
        let (impatient, other) = (impatient.join().unwrap(), other.join().unwrap());
        assert!(other > 0 && tried != other && impatient != other);
        assert_eq!(made.get(), 1);
        assert_eq!((pool.in_use(), pool.idle()), (0, 1));
    });
}

#[test]
fn of_two_objects_each_has_one_user() {
    check_bounded(2, || {
        let pool = Arc::new(Pool::new(2, || Ok::<_, ()>(Plain::new(0))));
        let user = |pool: &Pool<Plain<u32>, ()>| {
            let object = pool.get().unwrap();
            object.set(object.get() + 1);
        };
        let others = [(); 2].map(|()| {
            let pool = Arc::clone(&pool);
            thread::spawn(move || user(&pool))
        });
        user(&pool);
        for other in others {
            other.join().unwrap();
        }
        let all: Vec<_> =
            std::iter::from_fn(|| pool.try_get().ok().map(PoolGuard::take).map(|object| object.get()))
                .take_while(|uses| *uses > 0)
                .collect();
        assert!((1..=2).contains(&all.len()) && all.iter().sum::<u32>() == 3);
    });
}
