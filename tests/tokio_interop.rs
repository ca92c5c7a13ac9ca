//! Green threads and tasks of tokio wait for each other, with both runtimes alive; and green threads poll what is tokio's.

use std::{future::pending, sync::mpsc, time::Duration};

use sward::{
    cancel::Cancelled,
    future::block_on,
    runtime::{Builder, Runtime},
    thread,
};

/// Both modes, with one, two and eight workers.
fn each_runtime(test: impl Fn(&Runtime)) {
    for workers in [1, 2, 8] {
        let anchored = Builder::new().workers(workers);
        // SAFETY: the tests keep nothing thread-local across a suspension.
        let roaming = unsafe { Builder::new().workers(workers).roaming() };
        [anchored, roaming].into_iter().for_each(|builder| test(&builder.build().expect("a runtime")));
    }
}

fn tokio() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).enable_all().build().expect("a runtime of tokio")
}

#[test]
fn a_task_awaits_green_threads() {
    let tokio = tokio();
    each_runtime(|runtime| {
        let handle = runtime.handle();
        let sum = tokio.block_on(async {
            let threads: Vec<_> = (0..100_u64)
                .map(|number| {
                    handle.spawn(move || {
                        thread::yield_now();
                        number
                    })
                })
                .collect();
            let mut sum = 0;
            for thread in threads {
                sum += thread.await.expect("no panic");
            }
            sum
        });
        assert_eq!(sum, 4950);
    });
}

#[test]
fn a_green_thread_waits_for_tasks() {
    let tokio = tokio();
    each_runtime(|runtime| {
        let handle = tokio.handle().clone();
        let waiting = runtime.handle().spawn(move || {
            let tasks: Vec<_> = (0..100_u64)
                .map(|number| {
                    handle.spawn(async move {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                        number
                    })
                })
                .collect();
            tasks.into_iter().map(|task| block_on(task).expect("no panic")).sum::<u64>()
        });
        assert_eq!(waiting.join().expect("no panic"), 4950);
    });
}

#[test]
fn each_way_many_times_at_once() {
    let tokio = tokio();
    each_runtime(|runtime| {
        let threads: Vec<_> = (0..50_u64)
            .map(|number| {
                let tasks = tokio.handle().clone();
                runtime.handle().spawn(move || {
                    let task = tasks.spawn(async move {
                        // From within a task, on an OS thread of tokio's.
                        thread::spawn(move || 2 * number).await.expect("no panic") + 1
                    });
                    block_on(task).expect("no panic")
                })
            })
            .collect();
        for (number, thread) in (0..).zip(threads) {
            assert_eq!(thread.join().expect("no panic"), 2 * number + 1);
        }
    });
}

#[test]
fn panics_and_ends_are_told() {
    let tokio = tokio();
    each_runtime(|runtime| {
        let tasks = tokio.handle().clone();
        let failed = runtime.handle().spawn(move || {
            let task = tasks.spawn(async {
                pending::<()>().await;
            });
            task.abort();
            block_on(task).expect_err("aborted").is_cancelled()
        });
        assert!(failed.join().expect("no panic"));
    });

    let runtime = Builder::new().workers(1).build().expect("a runtime");
    let (sender, started) = mpsc::channel();
    let parked = runtime.handle().spawn(move || {
        sender.send(()).expect("it is waited for");
        thread::park();
    });
    started.recv().expect("it starts");
    drop(runtime);
    let error = tokio.block_on(parked).expect_err("the runtime has ended");
    assert!(error.is::<Cancelled>());
}

/// Futures that are polled inside of a runtime of tokio, by green threads.
#[cfg(feature = "tokio")]
mod inside {
    use std::{
        io,
        panic::AssertUnwindSafe,
        sync::atomic::{AtomicUsize, Ordering::SeqCst},
    };

    use ::tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
        runtime::Handle,
        time::{Instant, sleep, timeout},
    };
    use sward::future::in_tokio;

    use super::*;

    const SHORT: Duration = Duration::from_millis(2);

    /// Sends back what it is sent, to each client in a task of its own.
    async fn echo(listener: TcpListener) -> io::Result<()> {
        loop {
            let (mut stream, _) = listener.accept().await?;
            ::tokio::spawn(async move {
                let (mut reader, mut writer) = stream.split();
                ::tokio::io::copy(&mut reader, &mut writer).await
            });
        }
    }

    #[test]
    fn green_threads_wait_for_sockets_and_timers_of_tokio() {
        let tokio = tokio();
        let listener = tokio.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
        let server = listener.local_addr().expect("an address");
        tokio.spawn(echo(listener));
        each_runtime(|runtime| {
            let clients: Vec<_> = (0..50_u64)
                .map(|number| {
                    let handle = tokio.handle().clone();
                    runtime.handle().spawn(move || {
                        block_on(in_tokio(&handle, async {
                            let start = Instant::now();
                            sleep(SHORT).await;
                            assert!(start.elapsed() >= SHORT);
                            let mut stream = TcpStream::connect(server).await?;
                            stream.write_u64(number).await?;
                            // A green thread and a task, which it may wait for too.
                            let one = thread::spawn(|| 1).await.expect("no panic");
                            let two = ::tokio::spawn(async { 2 }).await.expect("no panic");
                            let echoed = timeout(Duration::from_secs(30), stream.read_u64()).await??;
                            assert!(timeout(SHORT, stream.read_u64()).await.is_err());
                            io::Result::Ok(echoed + one + two)
                        }))
                    })
                })
                .collect();
            for (number, client) in (0..).zip(clients) {
                assert_eq!(client.join().expect("no panic").expect("an echo"), number + 3);
            }
        });
    }

    #[test]
    fn a_runtime_is_entered_while_its_future_is_polled_and_no_longer() {
        let both = [tokio(), tokio()];
        each_runtime(|runtime| {
            let turns = 20;
            let threads: Vec<_> = (0..30)
                .map(|number| {
                    let handle = both[number % 2].handle().clone();
                    runtime.handle().spawn(move || {
                        if number % 3 == 0 {
                            // One that is in none, among the others.
                            for _ in 0..turns {
                                assert!(Handle::try_current().is_err());
                                thread::yield_now();
                            }
                            return;
                        }
                        block_on(in_tokio(&handle, async {
                            for _ in 0..turns {
                                assert_eq!(Handle::current().id(), handle.id());
                                sleep(Duration::from_micros(100)).await;
                            }
                        }));
                        assert!(Handle::try_current().is_err());
                    })
                })
                .collect();
            threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
        });
    }

    #[test]
    fn a_poll_that_would_park_panics_and_leaves_the_runtime() {
        let tokio = tokio();
        let runtime = Builder::new().workers(1).build().expect("a runtime");
        let polls = AtomicUsize::new(0);
        runtime.run(|| {
            let park = || {
                block_on(in_tokio(tokio.handle(), async {
                    sleep(SHORT).await;
                    polls.fetch_add(1, SeqCst);
                    thread::sleep(SHORT);
                    polls.fetch_add(1, SeqCst);
                }));
            };
            let panic = std::panic::catch_unwind(AssertUnwindSafe(park)).expect_err("it would suspend");
            let text = panic.downcast_ref::<&str>().copied().expect("a text");
            assert!(text.contains("no_suspend"), "{text}");
            assert_eq!(polls.load(SeqCst), 1);
            assert!(Handle::try_current().is_err());
            // Nothing is left of it.
            thread::sleep(SHORT);
            block_on(in_tokio(tokio.handle(), async { sleep(SHORT).await }));
        });
    }

    /// Says when it is dropped whether that is inside of a runtime.
    struct Left(mpsc::Sender<bool>);

    impl Drop for Left {
        fn drop(&mut self) {
            let _ = self.0.send(Handle::try_current().is_ok());
        }
    }

    #[test]
    fn a_future_that_is_given_up_is_dropped_inside() {
        let tokio = tokio();
        each_runtime(|runtime| {
            let handle = tokio.handle().clone();
            let (sender, said) = mpsc::channel();
            let waiting = runtime.handle().spawn(move || {
                block_on(in_tokio(&handle, async move {
                    let _left = Left(sender.clone());
                    let listener = TcpListener::bind("127.0.0.1:0").await?;
                    sender.send(Handle::try_current().is_ok()).expect("it is waited for");
                    sleep(Duration::from_secs(3600)).await;
                    listener.local_addr()
                }))
            });
            assert_eq!(said.recv(), Ok(true));
            waiting.cancel();
            assert!(waiting.join().expect_err("cancelled").is::<Cancelled>());
            assert_eq!(said.recv(), Ok(true));
        });
    }
}
