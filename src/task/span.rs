//! Spans of `tracing` for closures that are spawned.

use tracing::Span;

/// Has `f` run in the span that the caller is in, wherever it is called: so a green thread inherits it on request.
///
/// With the feature `tracing`, a green thread that is in spans leaves them when it waits, and is in them again when it goes on, on whatever
/// worker; the others on its worker are not in them meanwhile. So guards as that of [`Span::enter`] may be kept across any wait, also in
/// roaming mode. What is spawned is in no span, unless it enters one or is spawned with this.
///
/// This needs a subscriber that knows the current span, as all do that are built on the registry of `tracing-subscriber`, and concerns the
/// default subscriber of the thread that waits. Each wait inside of spans tells it that they are left and entered, as the waits of
/// an instrumented future do. It must not wait then: what it panics with, as a wait does there, is dropped.
///
/// # Examples
///
/// ```
/// use sward::{task, thread};
/// use tracing::{Span, info_span};
///
/// tracing::subscriber::set_global_default(tracing_subscriber::registry())?;
///
/// let span = info_span!("request", number = 7);
/// let _in_it = span.enter();
/// thread::yield_now(); // others run, and are not in it
/// assert_eq!(Span::current(), span);
/// let (inherits, plain) = (thread::spawn(task::in_current_span(Span::current)), thread::spawn(Span::current));
/// assert_eq!(inherits.join().unwrap(), span);
/// assert!(plain.join().unwrap().is_none());
/// # Ok::<(), tracing::subscriber::SetGlobalDefaultError>(())
/// ```
pub fn in_current_span<F, R>(f: F) -> impl FnOnce() -> R
where
    F: FnOnce() -> R,
{
    let span = Span::current();
    move || span.in_scope(f)
}
