//! Values that are bound for a call, and for the green threads that inherit them.
//!
//! # Invariants
//!
//! - **L1** A binding never changes. What a thread has is a list of them, innermost first, whose tail it shares with the threads that it
//!   inherited from and those that inherit from it: so whoever inherits takes one reference, however much is bound.
//! - **L2** The list is not borrowed while foreign code runs, destructors included.
//!
//! # Rejected
//!
//! - *Each spawn inherits.* Every green thread would pay for what few need, and hold values of calls that have long returned.
//! - *A list in the record of the green thread.* The same, and OS threads would have to have one too; a closure that brings its bindings along
//!   goes to any thread, by whatever way.
//! - *Values that are set, and not bound for a call.* Who has set a value, and until when it holds, would have to be found out in the
//!   whole program.
//!
//! # Sources
//!
//! Java's `ScopedValue`: bound for a call, shared, and inherited by the threads of a structured scope only.

use std::{any::Any, cell::RefCell, fmt, marker::PhantomData, ptr, sync::Arc};

use sward_runtime::thread_local;

/// One value, and what was bound around it.
struct Binding {
    /// The address of the [`Local`].
    key: usize,
    value: Arc<dyn Any + Send + Sync>,
    outer: Bindings,
}

impl Drop for Binding {
    /// Link by link: a long list would be a deep recursion.
    fn drop(&mut self) {
        let mut outer = self.outer.take();
        while let Some(binding) = outer {
            outer = Arc::into_inner(binding).and_then(|mut binding| binding.outer.take());
        }
    }
}

/// What a thread has bound.
type Bindings = Option<Arc<Binding>>;

thread_local! {
    static BINDINGS: RefCell<Bindings> = const { RefCell::new(None) };
}

/// What the calling thread has bound; nothing any more while its locals are destroyed.
fn current() -> Bindings {
    BINDINGS.try_with(|bindings| bindings.borrow().clone()).unwrap_or_default()
}

/// Calls `f` with these bindings in place of the thread's own.
fn within<R>(bindings: Bindings, f: impl FnOnce() -> R) -> R {
    struct Restore(Bindings);
    impl Drop for Restore {
        fn drop(&mut self) {
            // Outside the borrow (L2).
            let ended = BINDINGS.replace(self.0.take());
            drop(ended);
        }
    }
    let _restore = Restore(BINDINGS.replace(bindings));
    f()
}

/// Has `f` called with the bindings of the calling thread, by a thread that is to begin with it.
pub(super) fn carry<F, R>(f: F) -> impl FnOnce() -> R
where
    F: FnOnce() -> R,
{
    let bindings = current();
    move || if bindings.is_some() { within(bindings, f) } else { f() }
}

/// A value that a call is given beside its arguments, however deep it goes: who is asking, where to log.
///
/// It is bound for a call, by [`scope`](Self::scope), and not set: so it holds in what that call calls, and is unbound when the call returns
/// or unwinds. A green thread keeps its bindings wherever it resumes; two that run in turn on one worker never see each other's.
///
/// # What inherits
///
/// - The green threads of [`task::scope`](crate::task::scope()), and of all that is built on it ([`gather`](crate::task::gather),
///   [`join!`](crate::task::join!), [`race`](crate::task::race()), [`map_concurrent`](crate::task::map_concurrent)), have what is bound where
///   they are spawned. They have ended before that call returns, so they are a part of it.
/// - What may outlive the call inherits on request: [`Local::inherit`] gives a closure the value, [`task::inherit`](inherit()) all values. The
///   closure may then go wherever closures go: to [`thread::spawn`](crate::thread::spawn), a [`Group`](crate::task::Group), an OS
///   thread, [`unblock`](crate::unblock).
///
/// So a spawn costs nothing for what it does not use, and no thread holds values that nobody gave it. Values are shared, not copied: who wants
/// to change one has a lock in it.
///
/// On OS threads outside a runtime it is all the same. For a value that each green thread makes for itself there is
/// [`thread_local!`](crate::thread_local!).
///
/// A generator that yields in the middle of [`scope`](Self::scope) leaves the binding to the code that resumes it.
///
/// # Examples
///
/// ```
/// use sward::{task::{self, Local}, thread};
///
/// static USER: Local<String> = Local::new();
///
/// fn greeting() -> String {
///     USER.get().map_or("who are you?".into(), |user| format!("hello, {user}"))
/// }
///
/// USER.scope("Ada".into(), || {
///     assert_eq!(greeting(), "hello, Ada");
///     // A part of the call.
///     assert_eq!(task::gather([greeting]), ["hello, Ada"]);
///     // On request.
///     assert_eq!(thread::spawn(USER.inherit(greeting)).join().unwrap(), "hello, Ada");
///     assert_eq!(thread::spawn(greeting).join().unwrap(), "who are you?");
/// });
/// assert_eq!(greeting(), "who are you?");
/// ```
pub struct Local<T> {
    /// Statics without a size may share an address.
    _place: u8,
    values: PhantomData<fn() -> T>,
}

impl<T> Default for Local<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for Local<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Local").finish_non_exhaustive()
    }
}

impl<T> Local<T> {
    /// One that is bound nowhere yet, for a `static`.
    #[must_use]
    pub const fn new() -> Self {
        Self { _place: 0, values: PhantomData }
    }
}

impl<T: Send + Sync + 'static> Local<T> {
    /// Calls `f`, in which this is bound to `value`. An outer binding is hidden meanwhile.
    ///
    /// # Suspension
    ///
    /// `f` may suspend: the binding is the green thread's own.
    ///
    /// # Panics
    ///
    /// If `f` does. In a destructor of a thread-local, if the thread's bindings are destroyed already.
    ///
    /// # Examples
    ///
    /// ```
    /// static DEPTH: sward::task::Local<u32> = sward::task::Local::new();
    ///
    /// let seen = DEPTH.scope(1, || (DEPTH.scope(2, || *DEPTH.get().unwrap()), *DEPTH.get().unwrap()));
    /// assert_eq!(seen, (2, 1));
    /// ```
    pub fn scope<R>(&'static self, value: T, f: impl FnOnce() -> R) -> R {
        self.bind(Arc::new(value), f)
    }

    /// The value, if it is bound.
    ///
    /// # Examples
    ///
    /// ```
    /// static DEPTH: sward::task::Local<u32> = sward::task::Local::new();
    ///
    /// assert_eq!(DEPTH.get(), None);
    /// DEPTH.scope(1, || assert_eq!(DEPTH.get().as_deref(), Some(&1)));
    /// ```
    #[must_use]
    pub fn get(&'static self) -> Option<Arc<T>> {
        let key = self.key();
        let find = |bindings: &RefCell<Bindings>| {
            let bindings = bindings.borrow();
            let mut next = &*bindings;
            while let Some(binding) = next {
                if binding.key == key && (*binding.value).is::<T>() {
                    return Some(Arc::clone(&binding.value));
                }
                next = &binding.outer;
            }
            None
        };
        BINDINGS.try_with(find).ok()??.downcast().ok()
    }

    /// Gives `f` the value that is bound here, wherever it is called. If none is, `f` is left as it is.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward::task::{Group, Local};
    ///
    /// static REQUEST: Local<u64> = Local::new();
    ///
    /// let mut group = Group::new();
    /// for number in 0..10 {
    ///     REQUEST.scope(number, || group.spawn(REQUEST.inherit(|| *REQUEST.get().unwrap())));
    /// }
    /// assert_eq!(group.join_all(), Vec::from_iter(0..10));
    /// ```
    pub fn inherit<F, R>(&'static self, f: F) -> impl FnOnce() -> R
    where
        F: FnOnce() -> R,
    {
        let value = self.get();
        move || match value {
            Some(value) => self.bind(value, f),
            None => f(),
        }
    }

    fn bind<R>(&'static self, value: Arc<T>, f: impl FnOnce() -> R) -> R {
        let key = self.key();
        let mut outer = current();
        // Hidden by the new one, as it would be in each of a long line of threads that bind this and inherit it.
        while let Some(hidden) = outer.as_ref().filter(|binding| binding.key == key) {
            outer = hidden.outer.clone();
        }
        within(Some(Arc::new(Binding { key, value, outer })), f)
    }

    fn key(&'static self) -> usize {
        ptr::from_ref(self).addr()
    }
}

/// Gives `f` all values of [`Local`]s that are bound here, and no others, wherever it is called.
///
/// # Panics
///
/// The closure panics if `f` does.
///
/// # Examples
///
/// ```
/// use sward::{task::{self, Local}, thread};
///
/// static USER: Local<&str> = Local::new();
/// static LANGUAGE: Local<&str> = Local::new();
///
/// let spawned = USER.scope("Ada", || {
///     LANGUAGE.scope("en", || thread::spawn(task::inherit(|| (USER.get(), LANGUAGE.get()))))
/// });
/// assert_eq!(spawned.join().unwrap(), (Some("Ada".into()), Some("en".into())));
/// ```
pub fn inherit<F, R>(f: F) -> impl FnOnce() -> R
where
    F: FnOnce() -> R,
{
    let bindings = current();
    move || within(bindings, f)
}
