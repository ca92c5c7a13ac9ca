//! smol's channels and locks: the crates `async-channel` and `async-lock`. It has no `select` and no condition variable.

use std::sync::Arc;
use std::time::Instant;

use smol::Executor;
use smol::channel::bounded;
use smol::future::yield_now;
use smol::lock::{Mutex, RwLock, Semaphore};

use super::{CAPACITY, CONSUMERS, CONTENDERS, Done, PERMITS, PRODUCERS, Primitive, WRITE_EACH, lacks, ok};
use crate::error::{Error, Result};

type Spawner = &'static Executor<'static>;

/// Channels of capacity 1: there is none that hands over.
async fn chan_pingpong(executor: Spawner, rounds: u64) -> Result<Done> {
    let (ping, pinged) = bounded::<u64>(1);
    let (pong, ponged) = bounded::<u64>(1);
    let echo = executor.spawn(async move {
        for _ in 0..rounds {
            ok(pong.send(ok(pinged.recv().await)? + 1).await)?;
        }
        Ok::<(), Error>(())
    });
    let start = Instant::now();
    let mut count = 0;
    for _ in 0..rounds {
        ok(ping.send(count).await)?;
        count = ok(ponged.recv().await)?;
    }
    let time = start.elapsed();
    echo.await?;
    Ok(Done { time, count })
}

/// With any number of consumers.
async fn chan(executor: Spawner, messages: u64, consumers: u64) -> Result<Done> {
    let (sender, receiver) = bounded::<u64>(CAPACITY);
    let start = Instant::now();
    let producers: Vec<_> = (0..PRODUCERS)
        .map(|_| {
            let sender = sender.clone();
            executor.spawn(async move {
                for _ in 0..messages / PRODUCERS {
                    ok(sender.send(1).await)?;
                }
                Ok::<(), Error>(())
            })
        })
        .collect();
    drop(sender);
    let consumers: Vec<_> = (0..consumers)
        .map(|_| {
            let receiver = receiver.clone();
            executor.spawn(async move {
                let mut count = 0;
                while let Ok(message) = receiver.recv().await {
                    count += message;
                }
                count
            })
        })
        .collect();
    let mut count = 0;
    for consumer in consumers {
        count += consumer.await;
    }
    let time = start.elapsed();
    for producer in producers {
        producer.await?;
    }
    Ok(Done { time, count })
}

async fn mutex_uncontended(count: u64) -> Result<Done> {
    let number = Mutex::new(0);
    let start = Instant::now();
    for _ in 0..count {
        *number.lock().await += 1;
    }
    let time = start.elapsed();
    Ok(Done { time, count: number.into_inner() })
}

async fn mutex_contended(executor: Spawner, count: u64) -> Result<Done> {
    let number = Arc::new(Mutex::new(0));
    let start = Instant::now();
    let contenders: Vec<_> = (0..CONTENDERS)
        .map(|_| {
            let number = Arc::clone(&number);
            executor.spawn(async move {
                for _ in 0..count / CONTENDERS {
                    *number.lock().await += 1;
                }
            })
        })
        .collect();
    for contender in contenders {
        contender.await;
    }
    let time = start.elapsed();
    let count = *number.lock().await;
    Ok(Done { time, count })
}

async fn rwlock_read_mostly(executor: Spawner, count: u64) -> Result<Done> {
    let number = Arc::new(RwLock::new(0));
    let start = Instant::now();
    let contenders: Vec<_> = (0..CONTENDERS)
        .map(|_| {
            let number = Arc::clone(&number);
            executor.spawn(async move {
                let mut done = 0;
                for i in 0..count / CONTENDERS {
                    if i % WRITE_EACH == 0 {
                        *number.write().await += 1;
                    } else {
                        done += u64::from(*number.read().await <= count);
                    }
                }
                done
            })
        })
        .collect();
    let mut reads = 0;
    for contender in contenders {
        reads += contender.await;
    }
    let time = start.elapsed();
    let writes = *number.read().await;
    Ok(Done { time, count: reads + writes })
}

async fn semaphore(executor: Spawner, count: u64) -> Result<Done> {
    let permits = Arc::new(Semaphore::new(PERMITS));
    let start = Instant::now();
    let contenders: Vec<_> = (0..CONTENDERS)
        .map(|_| {
            let permits = Arc::clone(&permits);
            executor.spawn(async move {
                let mut done = 0;
                for _ in 0..count / CONTENDERS {
                    let _permit = permits.acquire().await;
                    yield_now().await;
                    done += 1;
                }
                done
            })
        })
        .collect();
    let mut count = 0;
    for contender in contenders {
        count += contender.await;
    }
    Ok(Done { time: start.elapsed(), count })
}

pub(in crate::subject) async fn run(executor: Spawner, primitive: Primitive, count: u64) -> Result<Done> {
    match primitive {
        Primitive::ChanPingpong => chan_pingpong(executor, count).await,
        Primitive::ChanMpsc => chan(executor, count, 1).await,
        Primitive::ChanMpmc => chan(executor, count, CONSUMERS).await,
        Primitive::MutexUncontended => mutex_uncontended(count).await,
        Primitive::MutexContended => mutex_contended(executor, count).await,
        Primitive::RwLockReadMostly => rwlock_read_mostly(executor, count).await,
        Primitive::Semaphore => semaphore(executor, count).await,
        Primitive::ChanSelect | Primitive::CondvarHandoff => lacks(primitive),
    }
}
