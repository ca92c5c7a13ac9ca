//! Futures that need a runtime of tokio around them.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::{Context, Poll},
};

use ::tokio::runtime::Handle;

use crate::thread;

/// Has `future` polled inside of a runtime of tokio, whoever polls it: so a green thread waits for tokio's sockets and timers themselves.
///
/// The runtime is entered for each poll, and left before the green thread is parked, since it is the OS thread that is in it: the others of
/// its worker are not. The future stays with whoever polls it, so unlike a task it need not be `Send` or `'static`. The sockets and timers
/// are driven by the runtime, whose threads have to run: one for the current thread only, in somebody's `block_on`.
///
/// For what may wait in other ways than by being pending, spawn a task instead, on the [`Handle`], and wait for that.
///
/// # Cancellation
///
/// The future is dropped, inside of the runtime too: the destructors of some start a task there.
///
/// # Panics
///
/// If a poll, or the drop, does anything that would park or yield, as in [`no_suspend`](thread::no_suspend); with what the future panics with, as that of
/// a timer does if the runtime has none. On an OS thread outside of sward's runtimes what waits just blocks.
///
/// A future that keeps an [`EnterGuard`](::tokio::runtime::EnterGuard) while it is pending has its poll panic, and leaves the worker in the runtime.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use sward::{future, thread};
/// use tokio::{runtime::Runtime, time};
///
/// let tokio = Runtime::new()?;
/// let handle = tokio.handle().clone();
/// let waiting = thread::spawn(move || {
///     let name = String::from("borrowed");
///     future::block_on(future::in_tokio(&handle, async {
///         // Made in there too.
///         time::sleep(Duration::from_millis(1)).await;
///         name.len()
///     }))
/// });
/// assert_eq!(waiting.join().unwrap(), 8);
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn in_tokio<F: Future>(runtime: &Handle, future: F) -> impl Future<Output = F::Output> + use<F> {
    // On the heap: what calls leave in parts of it that are unused would else lie on the stack, where the scan of one that roams takes
    // addresses of thread-locals for references.
    let mut visitor = Visitor { runtime: runtime.clone(), future: Some(Box::pin(future)) };
    poll_fn(move |context| visitor.poll(context))
}

/// A future that is in a runtime of tokio whenever it runs, also to be dropped.
struct Visitor<F> {
    runtime: Handle,
    /// `None` once it is dropped.
    future: Option<Pin<Box<F>>>,
}

impl<F: Future> Visitor<F> {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<F::Output> {
        let future = self.future.as_mut().expect("only the drop takes it");
        inside(&self.runtime, || future.as_mut().poll(context))
    }
}

impl<F> Drop for Visitor<F> {
    fn drop(&mut self) {
        let future = self.future.take();
        inside(&self.runtime, || drop(future));
    }
}

/// Calls `f` inside of the runtime. Never inlined: who calls it suspends, and may be on another OS thread then, so no address of a thread-local may
/// be left in its frame.
#[inline(never)]
fn inside<R>(runtime: &Handle, f: impl FnOnce() -> R) -> R {
    thread::no_suspend(|| {
        // It is left in here: no other green thread runs on this worker meanwhile, and this one does not move.
        let _entered = runtime.enter();
        f()
    })
}
