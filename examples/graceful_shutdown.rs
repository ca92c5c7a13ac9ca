//! The end of a runtime: whatever its green threads wait for, they unwind, and every destructor runs.
//!
//! No green thread here looks at a flag, and none is told to stop. A wait that is under way when the runtime is dropped unwinds, and
//! so does one that begins afterwards. What must not be interrupted is put in a shield.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{
    io::{self, Read},
    time::Duration,
};

use sward::{
    cancel::{self, Cancelled},
    net::{TcpListener, TcpStream},
    runtime::Builder,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
};

/// Stands for a file, a lock, a transaction: something with an end that must not be missed.
struct Resource {
    name: &'static str,
    open: Arc<AtomicUsize>,
}

impl Resource {
    fn open(name: &'static str, open: &Arc<AtomicUsize>) -> Self {
        open.fetch_add(1, Relaxed);
        Self { name, open: Arc::clone(open) }
    }
}

impl Drop for Resource {
    fn drop(&mut self) {
        println!("closed: {}", self.name);
        self.open.fetch_sub(1, Relaxed);
    }
}

fn main() -> io::Result<()> {
    let open = Arc::new(AtomicUsize::new(0));
    let written = Arc::new(AtomicUsize::new(0));
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let stream = TcpStream::connect(listener.local_addr()?)?;

    let runtime = Builder::new().build()?;
    let spawn = |name, wait: Box<dyn FnOnce() + Send>| {
        let resource = Resource::open(name, &open);
        runtime.handle().spawn(move || {
            let _resource = resource;
            wait();
        })
    };
    let counter = Arc::clone(&written);
    let threads = [
        spawn("who sleeps", Box::new(|| thread::sleep(Duration::from_secs(3600)))),
        spawn("who accepts", Box::new(move || drop(listener.incoming().collect::<Vec<_>>()))),
        spawn("who reads", Box::new(move || drop((&stream).read(&mut [0])))),
        spawn(
            "who writes",
            Box::new(move || {
                // Its waits end by what they wait for, also while the runtime ends.
                cancel::shield(|| {
                    thread::sleep(Duration::from_millis(100));
                    counter.fetch_add(1, Relaxed);
                });
                thread::park();
            }),
        ),
    ];

    std::thread::sleep(Duration::from_millis(50));
    println!("{} resources are open; the runtime ends", open.load(Relaxed));
    drop(runtime);
    println!("{} resources are open", open.load(Relaxed));
    assert_eq!(open.load(Relaxed), 0);
    assert_eq!(written.load(Relaxed), 1, "the shielded write was cut off");
    for thread in threads {
        let payload = thread.join().expect_err("it never returns by itself");
        assert!(payload.is::<Cancelled>());
    }
    Ok(())
}
