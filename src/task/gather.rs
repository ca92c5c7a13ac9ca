//! Closures that run at once, and what comes of them together.

use std::{convert::Infallible, mem};

use parking_lot::Mutex;

use sward_runtime::is_green;

use super::scope::{Handle, scope};

/// Runs closures at once and returns their values, in order.
///
/// They may borrow, and all have ended when this returns. On one worker they start in order, and those that [yield](crate::thread::yield_now)
/// go on in order, unless there are so many that the scheduler's aging rule sets in (some 60 steps); with several, others may steal
/// the last of them meanwhile.
///
/// # Suspension
///
/// Parks the green thread; blocks an OS thread outside the runtime.
///
/// # Cancellation
///
/// All are cancelled, and waited for.
///
/// # Panics
///
/// If one does, with its payload; the others are cancelled then.
///
/// # Examples
///
/// ```
/// use sward::task;
///
/// let names = ["left", "right"];
/// assert_eq!(task::gather(names.map(|name| move || name.len())), [4, 5]);
/// ```
#[track_caller]
pub fn gather<'env, F, T>(fs: impl IntoIterator<Item = F>) -> Vec<T>
where
    F: FnOnce() -> T + Send + 'env,
    T: Send + 'env,
{
    never_fails(try_gather(fs.into_iter().map(|f| move || Ok(f()))))
}

/// Runs closures at once and returns their values, in order, unless one fails: the first error cancels the others.
///
/// They may borrow, and all have ended when this returns.
///
/// # Suspension
///
/// Parks the green thread; blocks an OS thread outside the runtime.
///
/// # Cancellation
///
/// All are cancelled, and waited for.
///
/// # Errors
///
/// The first error.
///
/// # Panics
///
/// If one does, with its payload; the others are cancelled then.
///
/// # Examples
///
/// ```
/// use sward::task;
///
/// let parse = |text: &'static str| move || text.parse::<u32>();
/// assert_eq!(task::try_gather([parse("1"), parse("2")]), Ok(vec![1, 2]));
/// assert!(task::try_gather([parse("1"), parse("two")]).is_err());
/// ```
#[track_caller]
pub fn try_gather<'env, F, T, E>(fs: impl IntoIterator<Item = F>) -> Result<Vec<T>, E>
where
    F: FnOnce() -> Result<T, E> + Send + 'env,
    T: Send + 'env,
    E: Send + 'env,
{
    let fs: Vec<F> = fs.into_iter().collect();
    scope(|s| {
        let mut handles = Vec::with_capacity(fs.len());
        if !is_green() {
            for f in fs {
                handles.push(s.spawn(f));
            }
            return Ok(handles.into_iter().map(Handle::join).collect());
        }
        // On a worker, what is spawned last starts first.
        for f in fs.into_iter().rev() {
            handles.push(s.spawn(f));
        }
        Ok(handles.into_iter().rev().map(Handle::join).collect())
    })
}

/// Runs closures at once and returns the value of the one that ends first; the others are cancelled. `None`: there were none.
///
/// They may borrow, and all have ended when this returns.
///
/// # Suspension
///
/// Parks the green thread; blocks an OS thread outside the runtime.
///
/// # Cancellation
///
/// All are cancelled, and waited for.
///
/// # Panics
///
/// If one does before another ends, with its payload.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use sward::{task, thread};
///
/// let sleeper = |seconds| move || {
///     thread::sleep(Duration::from_secs(seconds));
///     seconds
/// };
/// assert_eq!(task::race([sleeper(100), sleeper(0)]), Some(0));
/// ```
#[track_caller]
pub fn race<'env, F, T>(fs: impl IntoIterator<Item = F>) -> Option<T>
where
    F: FnOnce() -> T + Send + 'env,
    T: Send + 'env,
{
    // Who ends first ends the others, as a failure would.
    let ended = try_gather(fs.into_iter().map(|f| move || Err::<Infallible, T>(f())));
    ended.err()
}

/// Runs closures at once and returns the first value; the others are cancelled then.
///
/// They may borrow, and all have ended when this returns.
///
/// # Suspension
///
/// Parks the green thread; blocks an OS thread outside the runtime.
///
/// # Cancellation
///
/// All are cancelled, and waited for.
///
/// # Errors
///
/// All errors, in the order in which they came, if none had a value.
///
/// # Panics
///
/// If one does before another has a value, with its payload.
///
/// # Examples
///
/// ```
/// use sward::task;
///
/// let parse = |text: &'static str| move || text.parse::<u32>();
/// assert_eq!(task::race_ok([parse("one"), parse("2")]), Ok(2));
/// assert_eq!(task::race_ok([parse("one"), parse("two")]).unwrap_err().len(), 2);
/// ```
#[track_caller]
pub fn race_ok<'env, F, T, E>(fs: impl IntoIterator<Item = F>) -> Result<T, Vec<E>>
where
    F: FnOnce() -> Result<T, E> + Send + 'env,
    T: Send + 'env,
    E: Send + 'env,
{
    let errors = Mutex::new(Vec::new());
    let errors_of_all = &errors;
    let ended = scope(|s| {
        for f in fs {
            s.spawn(move || match f() {
                Ok(value) => Err(value),
                Err(error) => {
                    errors_of_all.lock().push(error);
                    Ok(())
                }
            });
        }
        Ok(())
    });
    ended.map_or_else(Ok, |()| Err(mem::take(&mut *errors.lock())))
}

/// Calls `f` with each item, at most `limit` at once, and returns the results in the order of the items.
///
/// It may borrow. Items are taken as there is room for them, and one ahead.
///
/// # Suspension
///
/// Parks the green thread; blocks an OS thread outside the runtime.
///
/// # Cancellation
///
/// All calls are cancelled, and waited for.
///
/// # Panics
///
/// If a call does, with its payload; the others are cancelled then. If `limit` is 0.
///
/// # Examples
///
/// ```
/// use sward::task;
///
/// let base = 10;
/// assert_eq!(task::map_concurrent(0..5, 2, |i| base + i), [10, 11, 12, 13, 14]);
/// ```
#[track_caller]
pub fn map_concurrent<I, T>(
    items: impl IntoIterator<Item = I>,
    limit: usize,
    f: impl Fn(I) -> T + Sync,
) -> Vec<T>
where
    I: Send,
    T: Send,
{
    never_fails(try_map_concurrent(items, limit, |item| Ok(f(item))))
}

/// As [`map_concurrent`], with calls that may fail: the first error cancels the others.
///
/// # Suspension
///
/// Parks the green thread; blocks an OS thread outside the runtime.
///
/// # Cancellation
///
/// All calls are cancelled, and waited for.
///
/// # Errors
///
/// The first error.
///
/// # Panics
///
/// If a call does, with its payload; the others are cancelled then. If `limit` is 0.
///
/// # Examples
///
/// ```
/// use sward::task;
///
/// assert_eq!(task::try_map_concurrent(["1", "2"], 8, str::parse::<u32>), Ok(vec![1, 2]));
/// assert!(task::try_map_concurrent(["1", "two"], 8, str::parse::<u32>).is_err());
/// ```
#[track_caller]
pub fn try_map_concurrent<I, T, E>(
    items: impl IntoIterator<Item = I>,
    limit: usize,
    f: impl Fn(I) -> Result<T, E> + Sync,
) -> Result<Vec<T>, E>
where
    I: Send,
    T: Send,
    E: Send,
{
    let f = &f;
    scope(|s| {
        s.limit(limit);
        let mut handles = Vec::new();
        for item in items {
            handles.push(s.spawn(move || f(item)));
        }
        Ok(handles.into_iter().map(Handle::join).collect())
    })
}

fn never_fails<T>(result: Result<T, Infallible>) -> T {
    let Ok(value) = result;
    value
}
