//! tokio's channels and locks. It has no channel of many consumers, and no condition variable.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{Mutex, RwLock, Semaphore, mpsc::channel};
use tokio::task::{JoinHandle, yield_now};
use tokio::time::timeout;

use super::{
    CAPACITY, CONTENDERS, Done, LIMIT, PAIRS, PERMITS, PRODUCERS, Primitive, SELECT_CAPACITY, STAGES,
    WRITE_EACH, hash_for_message, lacks, ok,
};
use crate::error::{Error, Result};

async fn join<T>(handle: JoinHandle<T>) -> Result<T> {
    ok(handle.await)
}

fn closed() -> Error {
    Error::new("the channel is closed")
}

/// A channel of capacity 1: there is none that hands over.
async fn chan_pingpong(rounds: u64) -> Result<Done> {
    let (ping, mut pinged) = channel::<u64>(1);
    let (pong, mut ponged) = channel::<u64>(1);
    let echo = tokio::spawn(async move {
        for _ in 0..rounds {
            ok(pong.send(pinged.recv().await.ok_or_else(closed)? + 1).await)?;
        }
        Ok::<(), Error>(())
    });
    let start = Instant::now();
    let mut count = 0;
    for _ in 0..rounds {
        ok(ping.send(count).await)?;
        count = ponged.recv().await.ok_or_else(closed)?;
    }
    let time = start.elapsed();
    join(echo).await??;
    Ok(Done { time, count })
}

async fn pingpong_timeout(rounds: u64) -> Result<Done> {
    let (ping, mut pinged) = channel::<u64>(1);
    let (pong, mut ponged) = channel::<u64>(1);
    let echo = tokio::spawn(async move {
        for _ in 0..rounds {
            ok(pong.send(ok(timeout(LIMIT, pinged.recv()).await)?.ok_or_else(closed)? + 1).await)?;
        }
        Ok::<(), Error>(())
    });
    let start = Instant::now();
    let mut count = 0;
    for _ in 0..rounds {
        ok(ping.send(count).await)?;
        count = ok(timeout(LIMIT, ponged.recv()).await)?.ok_or_else(closed)?;
    }
    let time = start.elapsed();
    join(echo).await??;
    Ok(Done { time, count })
}

async fn pipeline(messages: u64) -> Result<Done> {
    let start = Instant::now();
    let (sender, mut receiver) = channel::<u64>(SELECT_CAPACITY);
    let produce = async move {
        for _ in 0..messages {
            ok(sender.send(0).await)?;
        }
        Ok::<(), Error>(())
    };
    let mut stages = vec![tokio::spawn(produce)];
    for _ in 0..STAGES {
        let (sender, next) = channel::<u64>(SELECT_CAPACITY);
        let mut before = std::mem::replace(&mut receiver, next);
        stages.push(tokio::spawn(async move {
            while let Some(message) = before.recv().await {
                ok(sender.send(message + 1).await)?;
            }
            Ok(())
        }));
    }
    let mut count = 0;
    while let Some(message) = receiver.recv().await {
        count += message / STAGES;
    }
    let time = start.elapsed();
    for stage in stages {
        join(stage).await??;
    }
    Ok(Done { time, count })
}

async fn pairs(messages: u64) -> Result<Done> {
    let start = Instant::now();
    let (producers, consumers): (Vec<_>, Vec<_>) = (0..PAIRS)
        .map(|_| {
            let (sender, mut receiver) = channel::<u64>(SELECT_CAPACITY);
            let produce = async move {
                for _ in 0..messages / PAIRS {
                    ok(sender.send(hash_for_message()).await)?;
                }
                Ok::<(), Error>(())
            };
            let consume = async move {
                let mut sum = 0;
                while let Some(one) = receiver.recv().await {
                    sum += one * hash_for_message();
                }
                sum
            };
            (tokio::spawn(produce), tokio::spawn(consume))
        })
        .unzip();
    for producer in producers {
        join(producer).await??;
    }
    let mut count = 0;
    for consumer in consumers {
        count += join(consumer).await?;
    }
    Ok(Done { time: start.elapsed(), count })
}

async fn chan_mpsc(messages: u64) -> Result<Done> {
    let (sender, mut receiver) = channel::<u64>(CAPACITY);
    let start = Instant::now();
    let producers: Vec<_> = (0..PRODUCERS)
        .map(|_| {
            let sender = sender.clone();
            tokio::spawn(async move {
                for _ in 0..messages / PRODUCERS {
                    ok(sender.send(1).await)?;
                }
                Ok::<(), Error>(())
            })
        })
        .collect();
    drop(sender);
    let mut count = 0;
    while let Some(message) = receiver.recv().await {
        count += message;
    }
    let time = start.elapsed();
    for producer in producers {
        join(producer).await??;
    }
    Ok(Done { time, count })
}

async fn select_fan_in(messages: u64) -> Result<Done> {
    let start = Instant::now();
    let (senders, receivers): (Vec<_>, Vec<_>) =
        (0..PRODUCERS).map(|_| channel::<u64>(SELECT_CAPACITY)).unzip();
    // Each channel stays open beyond its last message.
    let producers = senders.iter().cloned().map(|sender| {
        tokio::spawn(async move {
            for _ in 0..messages / PRODUCERS {
                ok(sender.send(1).await)?;
            }
            Ok::<(), Error>(())
        })
    });
    let producers: Vec<_> = producers.collect();
    let [mut a, mut b, mut c, mut d] =
        <[_; PRODUCERS as usize]>::try_from(receivers).map_err(|_| Error::new("there are four"))?;
    let mut count = 0;
    while count < messages {
        count += tokio::select! {
            Some(message) = a.recv() => message,
            Some(message) = b.recv() => message,
            Some(message) = c.recv() => message,
            Some(message) = d.recv() => message,
            else => return Err(closed()),
        };
    }
    let time = start.elapsed();
    for producer in producers {
        join(producer).await??;
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

async fn mutex_contended(count: u64) -> Result<Done> {
    let number = Arc::new(Mutex::new(0));
    let start = Instant::now();
    let contenders: Vec<_> = (0..CONTENDERS)
        .map(|_| {
            let number = Arc::clone(&number);
            tokio::spawn(async move {
                for _ in 0..count / CONTENDERS {
                    *number.lock().await += 1;
                }
            })
        })
        .collect();
    for contender in contenders {
        join(contender).await?;
    }
    let time = start.elapsed();
    let count = *number.lock().await;
    Ok(Done { time, count })
}

async fn rwlock_read_mostly(count: u64) -> Result<Done> {
    let number = Arc::new(RwLock::new(0));
    let start = Instant::now();
    let contenders: Vec<_> = (0..CONTENDERS)
        .map(|_| {
            let number = Arc::clone(&number);
            tokio::spawn(async move {
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
        reads += join(contender).await?;
    }
    let time = start.elapsed();
    let writes = *number.read().await;
    Ok(Done { time, count: reads + writes })
}

async fn semaphore(count: u64) -> Result<Done> {
    let permits = Arc::new(Semaphore::new(PERMITS));
    let start = Instant::now();
    let contenders: Vec<_> = (0..CONTENDERS)
        .map(|_| {
            let permits = Arc::clone(&permits);
            tokio::spawn(async move {
                let mut done = 0;
                for _ in 0..count / CONTENDERS {
                    let _permit = ok(permits.acquire().await)?;
                    yield_now().await;
                    done += 1;
                }
                Ok::<u64, Error>(done)
            })
        })
        .collect();
    let mut count = 0;
    for contender in contenders {
        count += join(contender).await??;
    }
    Ok(Done { time: start.elapsed(), count })
}

pub(in crate::subject) async fn run(primitive: Primitive, count: u64) -> Result<Done> {
    match primitive {
        Primitive::ChanPingpong => chan_pingpong(count).await,
        Primitive::PingpongTimeout => pingpong_timeout(count).await,
        Primitive::Pipeline => pipeline(count).await,
        Primitive::Pairs => pairs(count).await,
        Primitive::ChanMpsc => chan_mpsc(count).await,
        Primitive::SelectFanIn => select_fan_in(count).await,
        Primitive::MutexUncontended => mutex_uncontended(count).await,
        Primitive::MutexContended => mutex_contended(count).await,
        Primitive::RwLockReadMostly => rwlock_read_mostly(count).await,
        Primitive::Semaphore => semaphore(count).await,
        Primitive::ChanMpmc | Primitive::CondvarHandoff => lacks(primitive),
    }
}
