//! `join!`: closures of several types at once.

use super::scope::Handle;

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
        match $crate::task::scope(|s| {
            let handles = ($(s.spawn(|| Ok::<_, ::std::convert::Infallible>($f())),)+);
            Ok($crate::task::Handles::join_all(handles))
        }) {
            Ok(values) => values,
            Err(never) => match never {},
        }
    };
}

/// A tuple of handles.
#[doc(hidden)]
pub trait Handles {
    /// The tuple of their values.
    type Values;

    /// Joins each.
    fn join_all(self) -> Self::Values;
}

macro_rules! handles {
    ($($name:ident)+) => {
        impl<$($name),+> Handles for ($(Handle<'_, $name>,)+) {
            type Values = ($($name,)+);

            fn join_all(self) -> Self::Values {
                #[expect(non_snake_case, reason = "named as their types")]
                let ($($name,)+) = self;
                ($($name.join(),)+)
            }
        }
    };
}

handles!(A);
handles!(A B);
handles!(A B C);
handles!(A B C D);
handles!(A B C D E);
handles!(A B C D E F);
handles!(A B C D E F G);
handles!(A B C D E F G H);
