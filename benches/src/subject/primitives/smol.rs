//! smol's channels and locks: the crates `async-channel` and `async-lock`. It has no `select` and no condition variable.

use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use smol::channel::{RecvError, bounded};
use smol::future::{or, yield_now};
use smol::lock::{Mutex, RwLock, Semaphore};
use smol::{Executor, Timer};

use super::{
    CAPACITY, CONSUMERS, CONTENDERS, Done, LIMIT, PAIRS, PERMITS, PRODUCERS, Primitive, SELECT_CAPACITY,
    STAGES, WRITE_EACH, hash_for_message, lacks, ok,
};
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

/// The value, unless it takes too long.
async fn limited<T>(value: impl Future<Output = std::result::Result<T, RecvError>>) -> Result<T> {
    let late = async {
        Timer::after(LIMIT).await;
        Err(RecvError)
    };
    ok(or(value, late).await)
}

async fn pingpong_timeout(executor: Spawner, rounds: u64) -> Result<Done> {
    let (ping, pinged) = bounded::<u64>(1);
    let (pong, ponged) = bounded::<u64>(1);
    let echo = executor.spawn(async move {
        for _ in 0..rounds {
            ok(pong.send(limited(pinged.recv()).await? + 1).await)?;
        }
        Ok::<(), Error>(())
    });
    let start = Instant::now();
    let mut count = 0;
    for _ in 0..rounds {
        ok(ping.send(count).await)?;
        count = limited(ponged.recv()).await?;
    }
    let time = start.elapsed();
    echo.await?;
    Ok(Done { time, count })
}

async fn pipeline(executor: Spawner, messages: u64) -> Result<Done> {
    let start = Instant::now();
    let (sender, mut receiver) = bounded::<u64>(SELECT_CAPACITY);
    let produce = async move {
        for _ in 0..messages {
            ok(sender.send(0).await)?;
        }
        Ok::<(), Error>(())
    };
    let mut stages = vec![executor.spawn(produce)];
    for _ in 0..STAGES {
        let (sender, next) = bounded::<u64>(SELECT_CAPACITY);
        let before = std::mem::replace(&mut receiver, next);
        stages.push(executor.spawn(async move {
            while let Ok(message) = before.recv().await {
                ok(sender.send(message + 1).await)?;
            }
            Ok(())
        }));
    }
    let mut count = 0;
    while let Ok(message) = receiver.recv().await {
        count += message / STAGES;
    }
    let time = start.elapsed();
    for stage in stages {
        stage.await?;
    }
    Ok(Done { time, count })
}

async fn pairs(executor: Spawner, messages: u64) -> Result<Done> {
    let start = Instant::now();
    let (producers, consumers): (Vec<_>, Vec<_>) = (0..PAIRS)
        .map(|_| {
            let (sender, receiver) = bounded::<u64>(SELECT_CAPACITY);
            let produce = async move {
                for _ in 0..messages / PAIRS {
                    ok(sender.send(hash_for_message()).await)?;
                }
                Ok::<(), Error>(())
            };
            let consume = async move {
                let mut sum = 0;
                while let Ok(one) = receiver.recv().await {
                    sum += one * hash_for_message();
                }
                sum
            };
            (executor.spawn(produce), executor.spawn(consume))
        })
        .unzip();
    for producer in producers {
        producer.await?;
    }
    let mut count = 0;
    for consumer in consumers {
        count += consumer.await;
    }
    Ok(Done { time: start.elapsed(), count })
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
        Primitive::PingpongTimeout => pingpong_timeout(executor, count).await,
        Primitive::Pipeline => pipeline(executor, count).await,
        Primitive::Pairs => pairs(executor, count).await,
        Primitive::ChanMpsc => chan(executor, count, 1).await,
        Primitive::ChanMpmc => chan(executor, count, CONSUMERS).await,
        Primitive::MutexUncontended => mutex_uncontended(count).await,
        Primitive::MutexContended => mutex_contended(executor, count).await,
        Primitive::RwLockReadMostly => rwlock_read_mostly(executor, count).await,
        Primitive::Semaphore => semaphore(executor, count).await,
        Primitive::SelectFanIn | Primitive::CondvarHandoff => lacks(primitive),
    }
}
