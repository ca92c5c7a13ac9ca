//! What may be shared, and used after a panic: no less than of the types of `std`.

use std::panic::{RefUnwindSafe, UnwindSafe};

use sward_runtime::thread;

#[test]
fn threads_and_scopes_have_the_auto_traits_of_those_of_std() {
    fn thread<T: Send + Sync + UnwindSafe + RefUnwindSafe + Unpin>() {}
    thread::<std::thread::Thread>();
    thread::<thread::Thread>();
    thread::<std::thread::Builder>();
    thread::<thread::Builder>();

    fn scope<T: Send + Sync + RefUnwindSafe + Unpin>() {}
    scope::<std::thread::Scope<'static, 'static>>();
    scope::<thread::Scope<'static, 'static>>();
}
