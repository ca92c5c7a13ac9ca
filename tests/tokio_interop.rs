//! Green threads and tasks of tokio wait for each other, with both runtimes alive.

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
