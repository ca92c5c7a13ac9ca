//! Tokens: one cancellation for any number of threads.
//!
//! # Roles
//!
//! The *canceller* cancels, once. Others *register* what is to happen then: a call to make, a slot in which a wait may stand (`bound.rs`), or
//! a child.
//!
//! # Invariants
//!
//! - **T1** Under the token's lock either the canceller finds a registration, or whoever registers finds the token cancelled. So each is
//!   carried out once, unless it is withdrawn before.
//! - **T2** Nothing foreign runs, and nothing foreign is dropped, under the lock.
//! - **T3** A child keeps its parent alive, not the other way round, and its registration there goes away with it.
//!
//! # Orderings
//!
//! `cancelled` is written under the lock and read by [`Token::is_cancelled`] without it (Release, Acquire): what the canceller wrote before is
//! visible.
//!
//! # Checked by
//!
//! `loom-tests/tests/cancel.rs`, `tests/token.rs`, `tests/cancel.rs`.
//!
//! # Sources
//!
//! The names are those of .NET's `CancellationToken` and `tokio_util`'s; that a callback is withdrawn by a guard is from C++'s `stop_callback`.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt, iter, mem,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{Arc, Weak},
};

use super::{
    Cancelled,
    bound::{self, Limit, Slot},
    unwind,
};
use crate::{
    park::{Outcome, WaitReason, Waiter},
    prim::{
        Mutex,
        atomic::{
            AtomicBool,
            Ordering::{Acquire, Release},
        },
    },
};

/// What is cancelled once, for all who hold a clone of it.
///
/// A token bounds the waits of the calls that it [`run`](Self::run)s, of any number of threads, green or not; it can be waited for, asked, and
/// given callbacks. Its [children](Self::child) are cancelled with it, but not the reverse.
///
/// # Examples
///
/// ```
/// use sward_runtime::{cancel::Token, thread};
///
/// let token = Token::new();
/// let workers: Vec<_> = (0..3)
///     .map(|_| {
///         let token = token.clone();
///         thread::spawn(move || token.run(|| thread::park()))
///     })
///     .collect();
/// token.cancel();
/// for worker in workers {
///     assert!(worker.join().unwrap().is_err());
/// }
/// ```
#[derive(Clone)]
pub struct Token(Arc<Inner>);

struct Inner {
    cancelled: AtomicBool,
    state: Mutex<State>,
    /// Withdraws from the parent when dropped (T3).
    parent: Option<Registration>,
}

#[derive(Default)]
struct State {
    next: u64,
    /// Oldest first.
    registered: BTreeMap<u64, Duty>,
}

/// What is to be done when the token is cancelled.
enum Duty {
    Call(Box<dyn FnOnce() + Send>),
    End(Arc<Slot>),
    Cancel(Weak<Inner>),
}

impl Inner {
    fn new(parent: Option<Registration>) -> Self {
        Self { cancelled: AtomicBool::new(false), state: Mutex::default(), parent }
    }

    /// The key of the registration, or the duty back: to be carried out at once (T1).
    fn register(&self, duty: Duty) -> Result<u64, Duty> {
        let mut state = self.state.lock();
        if self.cancelled.load(Acquire) {
            return Err(duty);
        }
        let key = state.next;
        state.next += 1;
        state.registered.insert(key, duty);
        Ok(key)
    }

    fn withdraw(&self, key: u64) {
        let duty = self.state.lock().registered.remove(&key);
        // Outside the lock (T2).
        drop(duty);
    }

    /// Marks it as cancelled, ends the waits in its slots, and adds its children to `others`. `false`: it was cancelled already.
    fn close(&self, others: &mut Vec<Arc<Self>>) -> bool {
        let due: Vec<Duty> = {
            let mut state = self.state.lock();
            if self.cancelled.swap(true, Release) {
                return false;
            }
            // Calls stay, so that each can be withdrawn until it is made.
            let is_call = |duty: &Duty| matches!(duty, Duty::Call(_));
            let keys: Vec<u64> =
                state.registered.iter().filter(|(_, duty)| !is_call(duty)).map(|(key, _)| *key).collect();
            keys.iter().filter_map(|key| state.registered.remove(key)).collect()
        };
        for duty in due {
            match duty {
                Duty::End(slot) => slot.cancel(),
                Duty::Cancel(child) => others.extend(child.upgrade()),
                Duty::Call(_) => {}
            }
        }
        true
    }

    /// The next of the registered calls, oldest first.
    fn next_call(&self) -> Option<Box<dyn FnOnce() + Send>> {
        match self.state.lock().registered.pop_first()?.1 {
            Duty::Call(call) => Some(call),
            Duty::End(_) | Duty::Cancel(_) => {
                unreachable!("`close` has taken them, and nothing is registered any more")
            }
        }
    }
}

impl Drop for Inner {
    /// Link by link: a long chain of children would be a deep recursion.
    fn drop(&mut self) {
        let mut parent = self.parent.take();
        while let Some(registration) = parent {
            let token = Arc::clone(&registration.token);
            drop(registration);
            parent = Arc::into_inner(token).and_then(|mut inner| inner.parent.take());
        }
    }
}

impl Default for Token {
    fn default() -> Self {
        Self::new()
    }
}

impl Token {
    /// A token that is not cancelled.
    ///
    /// # Examples
    ///
    /// ```
    /// assert!(!sward_runtime::cancel::Token::new().is_cancelled());
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Inner::new(None)))
    }

    /// A token that is cancelled with this one, or by itself.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_runtime::cancel::Token;
    ///
    /// let parent = Token::new();
    /// let (one, other) = (parent.child(), parent.child());
    /// one.cancel();
    /// assert!(!parent.is_cancelled() && !other.is_cancelled());
    /// parent.cancel();
    /// assert!(other.is_cancelled());
    /// ```
    #[must_use]
    pub fn child(&self) -> Self {
        let child = Self(Arc::new_cyclic(|child| {
            let registered = self.register(Duty::Cancel(Weak::clone(child)));
            Inner::new(registered.ok())
        }));
        // A cancellation that came before the child was there has not found it. Under the lock: one that takes it later does.
        let is_late = {
            let _state = self.0.state.lock();
            self.is_cancelled()
        };
        if is_late {
            child.cancel();
        }
        child
    }

    /// Cancels it and its children: ends waits, and then makes the registered calls on the calling thread, those of each token in the order in
    /// which they were registered, its children's after its own.
    ///
    /// Once is enough: later calls have no effect.
    ///
    /// # Panics
    ///
    /// With the first panic of a registered call, after all have been made.
    pub fn cancel(&self) {
        // First all waits, in the whole tree: a call may want those that it concerns to have ended.
        let mut closed = Vec::new();
        let mut due = VecDeque::from([Arc::clone(&self.0)]);
        while let Some(token) = due.pop_front() {
            let mut children = Vec::new();
            if token.close(&mut children) {
                due.extend(children);
                closed.push(token);
            }
        }
        let mut panicked = None;
        for call in closed.iter().flat_map(|token| iter::from_fn(|| token.next_call())) {
            if let Err(payload) = catch_unwind(AssertUnwindSafe(call)) {
                match panicked {
                    None => panicked = Some(payload),
                    // Its destructor is foreign too, and might panic where nobody could bear it.
                    Some(_) => mem::forget(payload),
                }
            }
        }
        if let Some(payload) = panicked {
            resume_unwind(payload);
        }
    }

    /// Whether it is cancelled.
    ///
    /// What happened before the call of [`cancel`](Self::cancel) is visible if this returns `true`.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.cancelled.load(Acquire)
    }

    fn register(&self, duty: Duty) -> Result<Registration, Duty> {
        let key = self.0.register(duty)?;
        Ok(Registration { token: Arc::clone(&self.0), key: Some(key) })
    }

    /// Has `f` called when the token is cancelled, by the thread that cancels it; at once, if it is already.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::mpsc;
    /// use sward_runtime::cancel::Token;
    ///
    /// let token = Token::new();
    /// let (sender, called) = mpsc::channel();
    /// let registration = token.on_cancel(move || sender.send("called").unwrap());
    /// token.cancel();
    /// assert_eq!(called.recv(), Ok("called"));
    /// drop(registration); // withdraws what has not been called
    /// ```
    pub fn on_cancel(&self, f: impl FnOnce() + Send + 'static) -> Registration {
        match self.register(Duty::Call(Box::new(f))) {
            Ok(registration) => registration,
            Err(duty) => {
                if let Duty::Call(call) = duty {
                    call();
                }
                Registration { token: Arc::clone(&self.0), key: None }
            }
        }
    }

    /// Calls `f`, in which every wait ends by unwinding once the token is cancelled.
    ///
    /// The unwinding runs destructors and stops here. It repeats if it is caught on the way. An `f` that returns all the same has
    /// won. The calling thread goes on in any case; threads that `f` spawns are not bound. With `panic = "abort"` only I/O ends, with an error.
    ///
    /// # Cancellation
    ///
    /// Waits inside a [`shield`](super::shield) that `f` enters, and those of destructors while the thread unwinds, are not ended.
    ///
    /// # Errors
    ///
    /// [`Cancelled`], if `f` was unwound, or not even called, because the token was cancelled already.
    ///
    /// # Panics
    ///
    /// If `f` does.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_runtime::{cancel::Token, thread};
    ///
    /// let token = Token::new();
    /// assert_eq!(token.run(|| 42).unwrap(), 42);
    /// let theirs = token.clone();
    /// let canceller = thread::spawn(move || theirs.cancel());
    /// assert!(token.run(|| thread::park()).is_err());
    /// canceller.join().unwrap();
    /// ```
    pub fn run<R>(&self, f: impl FnOnce() -> R) -> Result<R, Cancelled> {
        let slot = Slot::new(Outcome::Cancelled);
        let _registration = self.register(Duty::End(Arc::clone(&slot))).map_err(|_| Cancelled::new())?;
        bound::within(Limit::Token(slot, self.clone()), f).map_err(|_| Cancelled::new())
    }

    /// Waits until the token is cancelled.
    ///
    /// # Suspension
    ///
    /// Parks the green thread; blocks an OS thread outside the runtime.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_runtime::{cancel::Token, thread};
    ///
    /// let token = Token::new();
    /// let theirs = token.clone();
    /// let waiting = thread::spawn(move || theirs.wait());
    /// token.cancel();
    /// waiting.join().unwrap();
    /// ```
    pub fn wait(&self) {
        let slot = Slot::new(Outcome::Woken);
        let Ok(_registration) = self.register(Duty::End(Arc::clone(&slot))) else {
            return crate::budget::spend();
        };
        // SAFETY: used up in this function, which begins no other wait.
        let mut waiter = unsafe { Waiter::new(WaitReason::Notify) };
        if !slot.enter(waiter.waker()) {
            return;
        }
        let outcome = waiter.wait(None);
        slot.leave();
        if outcome == Outcome::Cancelled {
            unwind();
        }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("is_cancelled", &self.is_cancelled()).finish_non_exhaustive()
    }
}

/// A call that is to be made when a [`Token`] is cancelled. Dropping it withdraws the call, unless it has begun.
#[must_use = "dropping it withdraws the call"]
pub struct Registration {
    token: Arc<Inner>,
    /// `None`: there is nothing to withdraw.
    key: Option<u64>,
}

impl Registration {
    /// Lets the call stand, without anything to withdraw it by.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_runtime::cancel::Token;
    ///
    /// let token = Token::new();
    /// token.on_cancel(|| println!("cancelled")).keep();
    /// token.cancel();
    /// ```
    pub fn keep(mut self) {
        self.key = None;
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.token.withdraw(key);
        }
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration").finish_non_exhaustive()
    }
}
