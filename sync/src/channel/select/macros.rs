//! `select!` and `select_biased!`.
//!
//! What they expand to has no unsafe code, needs no other crate than this one, and borrows nothing while a body runs.

/// Selects one of several operations: waits until one can be done, does it, and runs its body.
///
/// | arm | selected when | the body sees |
/// |---|---|---|
/// | `recv(receiver) -> message => …` | there is a message, or no sender any more | what [`recv`](crate::channel::Receiver::recv) would have returned |
/// | `send(sender, message) -> result => …` | there is room for one, or no receiver any more | what [`send`](crate::channel::Sender::send) would have returned |
/// | `join(handle) -> result => …` | the green thread has ended | what [`join`](sward_runtime::thread::JoinHandle::join) returns |
/// | `notified(notify) => …` | a [`Notify`](crate::Notify) notifies | nothing more |
/// | `default => …` | none of the others can be done now | |
/// | `default(timeout) => …` | none of the others could be done until then | |
///
/// Arms are separated by commas, which may be left out after a block. The value of the whole is that of the body that runs. There may be one
/// `default`. For timers see [`after`](crate::channel::after), [`at`](crate::channel::at) and [`tick`](crate::channel::tick).
///
/// The expressions of all arms are evaluated in the order in which they stand, but for messages: the one that is sent is evaluated when its arm is
/// selected, the others not at all. If its evaluation returns, breaks or panics, nothing is sent, and the room or the receiver is
/// free again.
///
/// A receiver, a sender or a notify may be given by value or by reference; for the duration of the `select!` it is borrowed. The handle of
/// a `join` is given by the name of a variable or a field: it is moved out of there when that arm is selected, and only then.
///
/// # Suspension
///
/// Parks the green thread, once; blocks an OS thread outside the runtime. With `default` it may yield.
///
/// # Cancellation
///
/// Nothing was selected, so nothing is lost.
///
/// # Fairness
///
/// If several can be done, each has the same chance. [`select_biased!`](crate::select_biased) prefers those that come first.
///
/// # Panics
///
/// If a green thread joins itself.
///
/// # Examples
///
/// ```
/// use sward_runtime::thread;
/// use sward_sync::channel::{select, unbounded};
///
/// let (jobs, inbox) = unbounded();
/// let (stop, stopped) = unbounded::<()>();
/// let worker = thread::spawn(move || {
///     let mut done = 0;
///     loop {
///         select! {
///             recv(inbox) -> job => done += job.unwrap_or(0),
///             recv(stopped) -> _ => break done,
///         }
///     }
/// });
/// jobs.send(1).unwrap();
/// stop.send(()).unwrap();
/// assert!(worker.join().unwrap() <= 1);
/// ```
///
/// Not to wait, or not for long:
///
/// ```
/// use std::time::Duration;
/// use sward_sync::channel::{bounded, select};
///
/// let (sender, receiver) = bounded(1);
/// for i in 0.. {
///     select! {
///         send(sender, i) -> result => result.unwrap(),
///         default => break, // it is full
///     }
/// }
/// assert_eq!(receiver.recv(), Ok(0));
/// let late = select! {
///     recv(receiver) -> _ => false,
///     default(Duration::from_millis(1)) => true,
/// };
/// assert!(late);
/// ```
///
/// Whatever comes first of a message, a notification, the end of a green thread, and the end of patience:
///
/// ```
/// use std::time::Duration;
/// use sward_runtime::thread;
/// use sward_sync::{Notify, channel::{after, never, select}};
///
/// let reload = Notify::new();
/// let worker = thread::spawn(|| 7);
/// let commands = never::<()>();
/// let first = select! {
///     recv(commands) -> _ => 0,
///     notified(reload) => 0,
///     join(worker) -> result => result.unwrap(),
///     recv(after(Duration::from_secs(60))) -> _ => 0,
/// };
/// assert_eq!(first, 7);
/// ```
#[macro_export]
macro_rules! select {
    ($($arms:tt)*) => { $crate::__select! { false $($arms)* } };
}

/// As [`select!`](crate::select), but of several operations that can be done it is the first that is done.
///
/// # Fairness
///
/// None: arms further down may never be selected.
///
/// # Examples
///
/// ```
/// use sward_sync::channel::{select_biased, unbounded};
///
/// let (urgent, first) = unbounded();
/// let (usual, second) = unbounded();
/// for i in 0..10 {
///     usual.send(i).unwrap();
///     urgent.send(i).unwrap();
/// }
/// for i in 0..10 {
///     select_biased! {
///         recv(first) -> message => assert_eq!(message, Ok(i)),
///         recv(second) -> _ => unreachable!("there is something urgent"),
///     }
/// }
/// ```
#[macro_export]
macro_rules! select_biased {
    ($($arms:tt)*) => { $crate::__select! { true $($arms)* } };
}

/// In three stages: `@read` finds where the arms end, and makes `[kind (arguments) (pattern) body]` of each; `@short` does without a `select`
/// where it can; `@bind` looks at the arguments, and makes a case of each arm, and a branch for when it is selected. It takes
/// one step for each arm to read it and one to bind it, of the 128 that a crate allows. The `_arm` of each step is a variable
/// of its own, by hygiene.
#[doc(hidden)]
#[macro_export]
macro_rules! __select {
    // What usually is wrong, as far as it would be misread below.
    (@read $biased:tt $read:tt default -> $($rest:tt)*) => {
        ::core::compile_error!("expected `=>` after `default`, found `->`");
    };
    (@read $biased:tt $read:tt default $args:tt -> $($rest:tt)*) => {
        ::core::compile_error!("expected `=>` after `default(…)`, found `->`");
    };
    (@read $biased:tt $read:tt notified $args:tt -> $($rest:tt)*) => {
        ::core::compile_error!("expected `=>` after `notified(…)`, found `->`: a notification carries nothing");
    };
    (@read $biased:tt $read:tt recv $args:tt => $($rest:tt)*) => {
        ::core::compile_error!("expected `-> message` after `recv(…)`, found `=>`");
    };
    (@read $biased:tt $read:tt send $args:tt => $($rest:tt)*) => {
        ::core::compile_error!("expected `-> result` after `send(…)`, found `=>`");
    };
    (@read $biased:tt $read:tt join $args:tt => $($rest:tt)*) => {
        ::core::compile_error!("expected `-> result` after `join(…)`, found `=>`");
    };
    (@read $biased:tt $read:tt $kind:ident $args:tt -> => $($rest:tt)*) => {
        ::core::compile_error!("expected a pattern after `->`, found `=>`");
    };
    (@read $biased:tt $read:tt $kind:ident $args:tt $(-> $result:pat)? => { $($body:tt)* }; $($rest:tt)*) => {
        ::core::compile_error!("expected a comma or the next arm after `}`, found `;`");
    };
    // An arm. A block needs no comma after it.
    (@read $biased:tt $read:tt default => $($rest:tt)*) => {
        $crate::__select! { @read $biased $read default() => $($rest)* }
    };
    (@read $biased:tt [$($read:tt)*]
        $kind:ident ($($args:tt)*) $(-> $result:pat)? => { $($body:tt)* }, $($rest:tt)*
    ) => {
        $crate::__select! { @read $biased [$($read)* [$kind ($($args)*) ($($result)?) { $($body)* }]] $($rest)* }
    };
    (@read $biased:tt [$($read:tt)*]
        $kind:ident ($($args:tt)*) $(-> $result:pat)? => $body:expr, $($rest:tt)*
    ) => {
        $crate::__select! { @read $biased [$($read)* [$kind ($($args)*) ($($result)?) { $body }]] $($rest)* }
    };
    (@read $biased:tt [$($read:tt)*]
        $kind:ident ($($args:tt)*) $(-> $result:pat)? => { $($body:tt)* } $($rest:tt)*
    ) => {
        $crate::__select! { @read $biased [$($read)* [$kind ($($args)*) ($($result)?) { $($body)* }]] $($rest)* }
    };
    (@read $biased:tt [$($read:tt)*]
        $kind:ident ($($args:tt)*) $(-> $result:pat)? => $body:expr
    ) => {
        $crate::__select! { @read $biased [$($read)* [$kind ($($args)*) ($($result)?) { $body }]] }
    };
    (@read $biased:tt [$($read:tt)*]) => {
        $crate::__select! { @short $biased $($read)* }
    };
    // None was found: says what is missing.
    (@read $biased:tt $read:tt $kind:ident ($($args:tt)*) $(-> $result:pat)? => $body:expr; $($rest:tt)*) => {
        ::core::compile_error!(::core::concat!(
            "expected a comma after `", ::core::stringify!($body), "`, found `;`",
        ));
    };
    (@read $biased:tt $read:tt $kind:ident ($($args:tt)*) $(-> $result:pat)? =>) => {
        ::core::compile_error!(::core::concat!("expected a body after the `=>` of `", ::core::stringify!($kind), "`"));
    };
    (@read $biased:tt $read:tt $kind:ident ($($args:tt)*) $(-> $result:pat)? => $($rest:tt)*) => {
        ::core::compile_error!(::core::concat!(
            "expected a body and a comma after the `=>` of `", ::core::stringify!($kind), "`, found `",
            ::core::stringify!($($rest)*), "`",
        ));
    };
    (@read $biased:tt $read:tt $kind:ident ($($args:tt)*) $($rest:tt)*) => {
        ::core::compile_error!(::core::concat!(
            "expected `=>` or `-> … =>` after `", ::core::stringify!($kind), "(…)`, found `",
            ::core::stringify!($($rest)*), "`",
        ));
    };
    (@read $biased:tt $read:tt $kind:ident $($rest:tt)*) => {
        ::core::compile_error!(::core::concat!(
            "expected arguments in parentheses after `", ::core::stringify!($kind), "`, found `",
            ::core::stringify!($($rest)*), "`",
        ));
    };
    (@read $biased:tt $read:tt $($rest:tt)*) => {
        ::core::compile_error!(::core::concat!(
            "expected `recv`, `send`, `join`, `notified` or `default`, found `", ::core::stringify!($($rest)*), "`",
        ));
    };

    // One to receive from needs no `select`.
    (@short $biased:tt [recv ($receiver:expr $(,)?) ($result:pat) $body:tt]) => {
        match $receiver {
            ref _receiver => {
                let _receiver: &$crate::channel::Receiver<_> = _receiver;
                match _receiver.recv() {
                    $result => $body,
                }
            }
        }
    };
    (@short $biased:tt
        [recv ($receiver:expr $(,)?) ($result:pat) $body:tt]
        [default ($($timeout:expr $(,)?)?) () $default:tt]
    ) => {
        match $receiver {
            ref _receiver => {
                let _receiver: &$crate::channel::Receiver<_> = _receiver;
                match $crate::channel::internal::recv(_receiver, $crate::__select!(@limit $($timeout)?)) {
                    ::core::option::Option::Some(_result) => match _result {
                        $result => $body,
                    },
                    ::core::option::Option::None => $default,
                }
            }
        }
    };
    (@short $biased:tt $($arms:tt)*) => {
        $crate::__select! { @bind $biased [] [0usize] [] [] $($arms)* }
    };
    (@limit) => { $crate::channel::internal::Limit::Now };
    (@limit $timeout:expr) => { $crate::channel::internal::Limit::after($timeout) };

    // A case for each arm, and a branch.
    (@bind $biased:tt $default:tt [$($index:tt)*] [$($cases:tt)*] [$($branches:tt)*]
        [recv ($receiver:expr $(,)?) $($branch:tt)*] $($rest:tt)*
    ) => {
        match $receiver {
            ref _arm => {
                let _arm: &$crate::channel::Receiver<_> = _arm;
                let _arm = $crate::channel::internal::RecvArm::new(_arm);
                $crate::__select! {
                    @bind $biased $default [$($index)* + 1]
                    [$($cases)* $crate::channel::internal::Case::recv(&_arm, $($index)*),]
                    [$($branches)* [($($index)*) recv (_arm) $($branch)*]]
                    $($rest)*
                }
            }
        }
    };
    (@bind $biased:tt $default:tt [$($index:tt)*] [$($cases:tt)*] [$($branches:tt)*]
        [send ($sender:expr, $message:expr $(,)?) $($branch:tt)*] $($rest:tt)*
    ) => {
        match $sender {
            ref _arm => {
                let _arm: &$crate::channel::Sender<_> = _arm;
                $crate::__select! {
                    @bind $biased $default [$($index)* + 1]
                    [$($cases)* $crate::channel::internal::Case::send(_arm, $($index)*),]
                    [$($branches)* [($($index)*) send (_arm, $message) $($branch)*]]
                    $($rest)*
                }
            }
        }
    };
    (@bind $biased:tt $default:tt [$($index:tt)*] [$($cases:tt)*] [$($branches:tt)*]
        [join ($handle:ident $(. $field:tt)* $(,)?) $($branch:tt)*] $($rest:tt)*
    ) => {
        match $handle $(. $field)* {
            ref _arm => {
                $crate::__select! {
                    @bind $biased $default [$($index)* + 1]
                    [$($cases)* $crate::channel::internal::Case::join(_arm, $($index)*),]
                    [$($branches)* [($($index)*) join ($handle $(. $field)*) $($branch)*]]
                    $($rest)*
                }
            }
        }
    };
    (@bind $biased:tt $default:tt [$($index:tt)*] [$($cases:tt)*] [$($branches:tt)*]
        [notified ($notify:expr $(,)?) () $body:tt] $($rest:tt)*
    ) => {
        match $notify {
            ref _arm => {
                let _arm: &$crate::Notify = _arm;
                $crate::__select! {
                    @bind $biased $default [$($index)* + 1]
                    [$($cases)* $crate::channel::internal::Case::notified(_arm, $($index)*),]
                    [$($branches)* [($($index)*) notified () (_) $body]]
                    $($rest)*
                }
            }
        }
    };
    (@bind $biased:tt [] $index:tt $cases:tt $branches:tt [default ($($timeout:expr $(,)?)?) () $body:tt] $($rest:tt)*) => {
        $crate::__select! { @bind $biased [($($timeout)?) $body] $index $cases $branches $($rest)* }
    };
    (@bind $biased:tt [$($default:tt)+] $index:tt $cases:tt $branches:tt [default $($tail:tt)*] $($rest:tt)*) => {
        ::core::compile_error!("there can be only one `default`");
    };
    (@bind $biased:tt $default:tt $index:tt $cases:tt $branches:tt [$kind:ident $args:tt $($tail:tt)*] $($rest:tt)*) => {
        $crate::__select! { @wrong $kind $args }
    };
    // The `select` itself.
    (@bind $biased:tt [] $index:tt [$($cases:tt)*] [$([$own:tt $($branch:tt)*])*]) => {{
        let _picked = $crate::channel::internal::select(&mut [$($cases)*], $biased);
        $(if _picked.index() == $own { $crate::__select! { @branch _picked $($branch)* } } else)* {
            ::core::unreachable!("one of the arms was selected")
        }
    }};
    (@bind $biased:tt [($($timeout:expr)?) $default:tt] $index:tt [$($cases:tt)*] [$([$own:tt $($branch:tt)*])*]) => {{
        let _picked =
            $crate::channel::internal::select_until(&mut [$($cases)*], $crate::__select!(@limit $($timeout)?), $biased);
        match _picked {
            ::core::option::Option::None => $default,
            ::core::option::Option::Some(_picked) => {
                $(if _picked.index() == $own { $crate::__select! { @branch _picked $($branch)* } } else)* {
                    ::core::unreachable!("one of the arms was selected")
                }
            }
        }
    }};
    (@branch $picked:ident recv ($arm:ident) ($result:pat) $body:tt) => {
        match $picked.recv($arm) {
            $result => $body,
        }
    };
    (@branch $picked:ident send ($arm:ident, $message:expr) ($result:pat) $body:tt) => {{
        let _result = $picked.send($arm).complete($message);
        match _result {
            $result => $body,
        }
    }};
    (@branch $picked:ident join ($($handle:tt)*) ($result:pat) $body:tt) => {
        match $($handle)*.join() {
            $result => $body,
        }
    };
    (@branch $picked:ident notified () ($result:pat) $body:tt) => {
        $body
    };

    (@wrong default $args:tt) => {
        ::core::compile_error!(::core::concat!(
            "`default` takes a timeout or nothing, found `default", ::core::stringify!($args), "`",
        ));
    };
    (@wrong recv $args:tt) => {
        ::core::compile_error!(::core::concat!(
            "`recv` takes a receiver, as in `recv(receiver) -> message => …`, found `recv", ::core::stringify!($args), "`",
        ));
    };
    (@wrong send $args:tt) => {
        ::core::compile_error!(::core::concat!(
            "`send` takes a sender and a message, as in `send(sender, message) -> result => …`, found `send",
            ::core::stringify!($args), "`",
        ));
    };
    (@wrong join $args:tt) => {
        ::core::compile_error!(::core::concat!(
            "`join` takes a variable or a field that holds a handle, as in `join(handle) -> result => …`, found `join",
            ::core::stringify!($args), "`",
        ));
    };
    (@wrong notified $args:tt) => {
        ::core::compile_error!(::core::concat!(
            "`notified` takes a `Notify`, as in `notified(notify) => …`, found `notified", ::core::stringify!($args), "`",
        ));
    };
    (@wrong $kind:ident $args:tt) => {
        ::core::compile_error!(::core::concat!(
            "expected `recv`, `send`, `join`, `notified` or `default`, found `", ::core::stringify!($kind), "`",
        ));
    };

    ($biased:tt) => {
        ::core::compile_error!("a `select!` without arms");
    };
    ($biased:tt $($arms:tt)+) => {
        $crate::__select! { @read $biased [] $($arms)* }
    };
}
