use std::cell::Cell; std::thread_local! { pub(super) static NO_MEMORY: Cell<bool> = const { Cell::new(false) }; }
