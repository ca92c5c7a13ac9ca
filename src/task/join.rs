//! `join!`: closures of several types at once.

use std::convert::Infallible;

use super::scope::scope;

/// Runs closures at once and evaluates to a tuple of their values.
///
/// As [`gather`](crate::task::gather), for up to eight closures of different types. They may borrow.
///
/// # Examples
///
/// ```
/// use sward::task;
///
/// let text = String::from("some words");
/// let (length, words) = task::join!(|| text.len(), || text.split(' ').count());
/// assert_eq!((length, words), (10, 2));
/// ```
#[doc(hidden)]
#[macro_export]
macro_rules! __join {
    ($($f:expr),+ $(,)?) => {
        $crate::task::Closures::join(($($f,)+))
    };
}

/// A tuple of closures.
#[doc(hidden)]
pub trait Closures {
    /// The tuple of their values.
    type Values;

    /// Runs them at once.
    #[track_caller]
    fn join(self) -> Self::Values;
}

macro_rules! closures {
    ($($f:ident -> $t:ident),+; $($reversed:ident)+) => {
        impl<$($f, $t),+> Closures for ($($f,)+)
        where
            $($f: FnOnce() -> $t + Send, $t: Send),+
        {
            type Values = ($($t,)+);

            fn join(self) -> Self::Values {
                #[expect(non_snake_case, reason = "named as their types")]
                let ($($f,)+) = self;
                // On a worker, what is spawned last starts first.
                #[expect(non_snake_case, reason = "named as their types")]
                let Ok(values) = scope(|s| {
                    $(let $reversed = s.spawn(move || Ok::<_, Infallible>($reversed()));)+
                    Ok(($($f.join(),)+))
                });
                values
            }
        }
    };
}

closures!(A -> T; A);
closures!(A -> T, B -> U; B A);
closures!(A -> T, B -> U, C -> V; C B A);
closures!(A -> T, B -> U, C -> V, D -> W; D C B A);
closures!(A -> T, B -> U, C -> V, D -> W, E -> X; E D C B A);
closures!(A -> T, B -> U, C -> V, D -> W, E -> X, F -> Y; F E D C B A);
closures!(A -> T, B -> U, C -> V, D -> W, E -> X, F -> Y, G -> Z; G F E D C B A);
closures!(A -> T, B -> U, C -> V, D -> W, E -> X, F -> Y, G -> Z, H -> S; H G F E D C B A);
