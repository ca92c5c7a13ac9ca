//! Producers and consumers on one bounded channel, and a `select!` that watches over them.
//!
//! A producer that is too fast waits for room, a consumer that is too fast for work; nobody polls. Dropping the senders ends the
//! consumers, once the channel is empty: no message is lost.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Duration;

use sward::{
    channel::{after, bounded, select},
    sync::{Arc, Mutex},
    thread,
};

const PRODUCERS: u64 = 3;
const EACH: u64 = 100;

fn main() {
    let (work, todo) = bounded(8);
    let (report, finished) = bounded(1);
    let sum = Arc::new(Mutex::new(0));

    for producer in 0..PRODUCERS {
        let work = work.clone();
        thread::spawn(move || {
            for i in 0..EACH {
                work.send(producer * EACH + i).expect("there are consumers");
            }
        });
    }
    // Each producer has its own; with this one the channel would stay open.
    drop(work);

    for consumer in 0..2 {
        let (todo, report, sum) = (todo.clone(), report.clone(), Arc::clone(&sum));
        thread::spawn(move || {
            let mut count = 0;
            for item in todo {
                *sum.lock().expect("nobody panics while holding it") += item;
                count += 1;
            }
            report.send((consumer, count)).expect("the main thread listens");
        });
    }
    drop(report);

    let mut consumed = 0;
    loop {
        select! {
            recv(finished) -> message => match message {
                Ok((consumer, count)) => {
                    println!("consumer {consumer} is done after {count} items");
                    consumed += count;
                }
                Err(closed) => {
                    println!("all are done: {closed}");
                    break;
                }
            },
            recv(after(Duration::from_secs(10))) -> _ => panic!("nothing happened for ten seconds"),
        }
    }
    let items = PRODUCERS * EACH;
    assert_eq!(consumed, items);
    assert_eq!(*sum.lock().expect("nobody panicked"), items * (items - 1) / 2);
}
