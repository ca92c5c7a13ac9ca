//! A pool: a bounded number of objects that are costly to make, such as connections, and are used again and again.
//!
//! | file | what is in it |
//! |---|---|
//! | `mod.rs` | the pool, its builder and its guard |
//! | `idle.rs` | the objects that nobody uses |
//! | `error.rs` | why there was no object |
//!
//! # Roles
//!
//! Whoever wants an object waits for a slot, of which there are as many as objects; then takes an idle one that is healthy, or makes a new one.
//! Its guard gives the object back, and then the slot.
//!
//! # Suspension
//!
//! No lock is held while the functions of the user run: they may suspend.
//!
//! # Checked by
//!
//! `loom-tests/tests/pool.rs`, `tests/pool.rs`; the slots also by the tests and models of the semaphore.

mod error;
mod idle;

use std::{
    fmt,
    ops::{Deref, DerefMut},
    sync::Arc,
    time::{Duration, Instant},
};

use sward_runtime::{budget, thread};

pub use self::error::{GetTimeoutError, TryGetError};
use self::idle::{Limits, Pooled, Shared, Slot};
use crate::Semaphore;

type Create<T, E> = dyn Fn() -> Result<T, E> + Send + Sync;
type Check<T> = dyn Fn(&mut T) -> bool + Send + Sync;

/// A bounded number of objects that are used again and again.
///
/// It makes them as they are needed, at most [`max`](Self::max). Cloning it gives another handle of the same pool.
///
/// An object is not used again if its user panicked or was cancelled while it had it (who knows what state it is in), if the user
/// [`discard`](PoolGuard::discard)ed it, if it fails the health check, or if it is too old.
///
/// # Fairness
///
/// Objects are given in the order in which they were asked for.
///
/// # Examples
///
/// ```
/// use std::io::{self, Cursor, Write};
/// use sward_runtime::thread;
/// use sward_sync::Pool;
///
/// // Stands for a connection.
/// let connect = || Ok::<_, io::Error>(Cursor::new(Vec::new()));
/// let pool = Pool::builder(4).check(|connection: &mut Cursor<Vec<u8>>| connection.position() < 1_000).build(connect);
///
/// let requests: Vec<_> = (0..20)
///     .map(|_| {
///         let pool = pool.clone();
///         thread::spawn(move || pool.get()?.write_all(b"hello"))
///     })
///     .collect();
/// for request in requests {
///     request.join().unwrap()?;
/// }
/// assert!(pool.idle() <= 4);
/// # Ok::<(), io::Error>(())
/// ```
pub struct Pool<T, E> {
    shared: Arc<Shared<T>>,
    functions: Arc<Functions<T, E>>,
}

struct Functions<T, E> {
    create: Box<Create<T, E>>,
    check: Option<Box<Check<T>>>,
}

/// Sets a [`Pool`] up.
///
/// # Examples
///
/// ```
/// use std::{convert::Infallible, time::Duration};
/// use sward_sync::Pool;
///
/// let pool = Pool::builder(10)
///     .max_idle(2)
///     .max_age(Duration::from_secs(3600))
///     .build(|| Ok::<_, Infallible>(vec![0_u8; 4096]));
/// assert_eq!(pool.max(), 10);
/// ```
#[must_use]
pub struct Builder<T> {
    limits: Limits,
    check: Option<Box<Check<T>>>,
}

impl<T> Builder<T> {
    /// Keeps so many objects at most while nobody uses them. All, if it is not said.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::convert::Infallible;
    /// use sward_sync::Pool;
    ///
    /// let pool = Pool::builder(2).max_idle(0).build(|| Ok::<_, Infallible>(1));
    /// drop(pool.get());
    /// assert_eq!(pool.idle(), 0);
    /// ```
    pub fn max_idle(mut self, max_idle: usize) -> Self {
        self.limits.max_idle = max_idle;
        self
    }

    /// Drops an object instead of using it if nobody has used it for so long.
    ///
    /// That is found out when the pool is used, not by a clock.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use sward_sync::Pool;
    ///
    /// let pool = Pool::builder(2).idle_timeout(Duration::from_secs(60)).build(|| "1".parse::<u32>());
    /// assert_eq!(pool.get().as_deref(), Ok(&1));
    /// ```
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.limits.idle_timeout = Some(timeout);
        self
    }

    /// Drops an object instead of using it again if it was made so long ago.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use sward_sync::Pool;
    ///
    /// let pool = Pool::builder(2).max_age(Duration::ZERO).build(|| "1".parse::<u32>());
    /// drop(pool.get());
    /// assert_eq!(pool.idle(), 0);
    /// ```
    pub fn max_age(mut self, age: Duration) -> Self {
        self.limits.max_age = Some(age);
        self
    }

    /// Asks `check` of each object that was used before whether it still is any good. If not, it is dropped, and the next one is looked at.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::Pool;
    ///
    /// let pool = Pool::builder(2).check(|n| *n < 5).build(|| "1".parse::<u32>());
    /// *pool.get()? += 10;
    /// assert_eq!(*pool.get()?, 1);
    /// # Ok::<(), std::num::ParseIntError>(())
    /// ```
    pub fn check(mut self, check: impl Fn(&mut T) -> bool + Send + Sync + 'static) -> Self {
        self.check = Some(Box::new(check));
        self
    }

    /// The pool, whose objects `create` makes.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::Pool;
    ///
    /// let pool = Pool::builder(2).build(|| "1".parse::<u32>());
    /// assert_eq!(*pool.get()?, 1);
    /// # Ok::<(), std::num::ParseIntError>(())
    /// ```
    pub fn build<E>(self, create: impl Fn() -> Result<T, E> + Send + Sync + 'static) -> Pool<T, E> {
        let functions = Functions { create: Box::new(create), check: self.check };
        Pool { shared: Arc::new(Shared::new(self.limits)), functions: Arc::new(functions) }
    }
}

impl<T, E> Pool<T, E> {
    /// A pool of at most `max` objects, which `create` makes.
    ///
    /// # Panics
    ///
    /// If `max` is zero, or more than [`Semaphore::MAX_PERMITS`].
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::Pool;
    ///
    /// let pool = Pool::new(2, || "1".parse::<u32>());
    /// assert_eq!(*pool.get()?, 1);
    /// # Ok::<(), std::num::ParseIntError>(())
    /// ```
    pub fn new(max: usize, create: impl Fn() -> Result<T, E> + Send + Sync + 'static) -> Self {
        Pool::builder(max).build(create)
    }

    /// An object: an idle one, or a new one, or one that somebody gives back, for which it waits as long as it takes.
    ///
    /// # Suspension
    ///
    /// Parks the green thread; blocks an OS thread outside the runtime. And whatever the functions do that the pool was built with.
    ///
    /// # Cancellation
    ///
    /// No object is lost.
    ///
    /// # Fairness
    ///
    /// First come, first served.
    ///
    /// # Panics
    ///
    /// If a function that the pool was built with does. The next in line then tries.
    ///
    /// # Errors
    ///
    /// If a new object was needed and could not be made. The next in line then tries.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::Pool;
    ///
    /// let pool = Pool::new(2, || "one".parse::<u32>());
    /// assert!(pool.get().is_err());
    /// ```
    pub fn get(&self) -> Result<PoolGuard<T>, E> {
        match self.get_to(None) {
            Ok(guard) => Ok(guard),
            Err(GetTimeoutError::Create(error)) => Err(error),
            Err(GetTimeoutError::Timeout) => {
                unreachable!("there is no deadline, and the slots are never closed")
            }
        }
    }

    /// As [`get`](Self::get), waiting at most so long. The time that `create` takes does not count.
    ///
    /// # Suspension
    ///
    /// As [`get`](Self::get).
    ///
    /// # Cancellation
    ///
    /// As [`get`](Self::get).
    ///
    /// # Errors
    ///
    /// If time is up, or as [`get`](Self::get).
    ///
    /// # Panics
    ///
    /// As [`get`](Self::get).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use sward_sync::Pool;
    ///
    /// let pool = Pool::new(1, || "1".parse::<u32>());
    /// let _guard = pool.get()?;
    /// assert!(pool.get_timeout(Duration::from_millis(1)).is_err());
    /// # Ok::<(), std::num::ParseIntError>(())
    /// ```
    pub fn get_timeout(&self, timeout: Duration) -> Result<PoolGuard<T>, GetTimeoutError<E>> {
        self.get_to(Instant::now().checked_add(timeout))
    }

    /// As [`get_timeout`](Self::get_timeout), until a point in time.
    ///
    /// # Errors
    ///
    /// As [`get_timeout`](Self::get_timeout).
    ///
    /// # Panics
    ///
    /// As [`get`](Self::get).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Instant;
    /// use sward_sync::Pool;
    ///
    /// let pool = Pool::new(1, || "1".parse::<u32>());
    /// assert!(pool.get_until(Instant::now()).is_ok());
    /// ```
    pub fn get_until(&self, deadline: Instant) -> Result<PoolGuard<T>, GetTimeoutError<E>> {
        self.get_to(Some(deadline))
    }

    /// `None`: for longer than the clock can say.
    fn get_to(&self, deadline: Option<Instant>) -> Result<PoolGuard<T>, GetTimeoutError<E>> {
        self.shared.slots.acquire(1, deadline).map_err(|_| GetTimeoutError::Timeout)?;
        self.fill(Slot::new(&self.shared)).map_err(GetTimeoutError::Create)
    }

    /// An object, if there is one that nobody uses and nobody waits for, or a new one may be made.
    ///
    /// # Suspension
    ///
    /// May let others run first; and whatever the functions do that the pool was built with.
    ///
    /// # Errors
    ///
    /// If all objects are in use, or as [`get`](Self::get).
    ///
    /// # Panics
    ///
    /// As [`get`](Self::get).
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::Pool;
    ///
    /// let pool = Pool::new(1, || "1".parse::<u32>());
    /// let guard = pool.try_get();
    /// assert!(guard.is_ok());
    /// assert!(pool.try_get().is_err());
    /// ```
    pub fn try_get(&self) -> Result<PoolGuard<T>, TryGetError<E>> {
        budget::spend();
        self.shared.slots.try_acquire(1).map_err(|_| TryGetError::InUse)?;
        self.fill(Slot::new(&self.shared)).map_err(TryGetError::Create)
    }

    /// An object for who has a slot. On an error, or a panic of the user's functions, the slot goes to the next.
    fn fill(&self, slot: Slot<T>) -> Result<PoolGuard<T>, E> {
        let Functions { create, check } = &*self.functions;
        while let Some(mut pooled) = slot.take_idle() {
            if check.as_ref().is_none_or(|check| check(&mut pooled.object)) {
                return Ok(PoolGuard { pooled: Some(pooled), slot });
            }
        }
        let object = create()?;
        Ok(PoolGuard { pooled: Some(Pooled { object, made: Instant::now() }), slot })
    }

    /// How many objects there can be.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::Pool;
    ///
    /// assert_eq!(Pool::new(3, || "1".parse::<u32>()).max(), 3);
    /// ```
    #[must_use]
    pub fn max(&self) -> usize {
        self.shared.limits.max
    }

    /// How many objects there are that nobody uses.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::Pool;
    ///
    /// let pool = Pool::new(3, || "1".parse::<u32>());
    /// drop(pool.get());
    /// assert_eq!(pool.idle(), 1);
    /// ```
    #[must_use]
    pub fn idle(&self) -> usize {
        self.shared.idle()
    }

    /// How many objects are in use or being made.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::Pool;
    ///
    /// let pool = Pool::new(3, || "1".parse::<u32>());
    /// let _guard = pool.get();
    /// assert_eq!(pool.in_use(), 1);
    /// ```
    #[must_use]
    pub fn in_use(&self) -> usize {
        self.shared.in_use()
    }

    /// Drops the objects that nobody uses. Those in use come back as usual.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::Pool;
    ///
    /// let pool = Pool::new(3, || "1".parse::<u32>());
    /// drop(pool.get());
    /// pool.clear();
    /// assert_eq!(pool.idle(), 0);
    /// ```
    pub fn clear(&self) {
        self.shared.clear();
    }
}

impl Pool<(), ()> {
    /// Begins to set up a pool of at most `max` objects.
    ///
    /// # Panics
    ///
    /// If `max` is zero, or more than [`Semaphore::MAX_PERMITS`].
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::Pool;
    ///
    /// let pool = Pool::builder(3).build(|| "1".parse::<u32>());
    /// assert_eq!(pool.max(), 3);
    /// ```
    pub fn builder<T>(max: usize) -> Builder<T> {
        assert!(max > 0, "a pool of no objects");
        assert!(max <= Semaphore::MAX_PERMITS, "a pool of more than MAX_PERMITS objects");
        Builder { limits: Limits { max, max_idle: max, idle_timeout: None, max_age: None }, check: None }
    }
}

/// An object of a [`Pool`], to be used. It goes back when this is dropped, unless that happens because the user panicked or was cancelled.
///
/// # Examples
///
/// ```
/// use sward_sync::Pool;
///
/// let pool = Pool::new(1, || "1".parse::<u32>());
/// *pool.get()? += 1;
/// assert_eq!(*pool.get()?, 2);
/// # Ok::<(), std::num::ParseIntError>(())
/// ```
#[must_use = "the object goes back at once if it is not kept"]
#[clippy::has_significant_drop]
pub struct PoolGuard<T> {
    /// `None` only while it is taken apart.
    pooled: Option<Pooled<T>>,
    // After the object: so that it is there, or gone, when the next in line looks.
    slot: Slot<T>,
}

impl<T> PoolGuard<T> {
    /// Takes the object out of the pool, which may make another one in its place.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::{Pool, pool::PoolGuard};
    ///
    /// let pool = Pool::new(1, || "1".parse::<u32>());
    /// let mine = PoolGuard::take(pool.get()?);
    /// assert_eq!((mine, pool.in_use(), pool.idle()), (1, 0, 0));
    /// # Ok::<(), std::num::ParseIntError>(())
    /// ```
    #[expect(clippy::missing_panics_doc, reason = "an invariant of this file")]
    #[must_use]
    pub fn take(mut guard: Self) -> T {
        guard.pooled.take().expect(THERE).object
    }

    /// Drops the object: it is not to be used again.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_sync::{Pool, pool::PoolGuard};
    ///
    /// let pool = Pool::new(1, || "1".parse::<u32>());
    /// PoolGuard::discard(pool.get()?);
    /// assert_eq!(pool.idle(), 0);
    /// # Ok::<(), std::num::ParseIntError>(())
    /// ```
    pub fn discard(mut guard: Self) {
        drop(guard.pooled.take());
    }
}

/// Why the object of a guard is there.
const THERE: &str = "it is there until the guard is used up";

impl<T> Deref for PoolGuard<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.pooled.as_ref().expect(THERE).object
    }
}

impl<T> DerefMut for PoolGuard<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.pooled.as_mut().expect(THERE).object
    }
}

impl<T> Drop for PoolGuard<T> {
    fn drop(&mut self) {
        if let Some(pooled) = self.pooled.take()
            && !(std::thread::panicking() && thread::panicking())
        {
            self.slot.keep(pooled);
        }
    }
}

impl<T, E> Clone for Pool<T, E> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), functions: Arc::clone(&self.functions) }
    }
}

impl<T, E> fmt::Debug for Pool<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("max", &self.max())
            .field("in_use", &self.in_use())
            .field("idle", &self.idle())
            .finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Builder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl<T: fmt::Debug> fmt::Debug for PoolGuard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}
