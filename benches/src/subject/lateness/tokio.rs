//! Lateness of tokio. Its timers count whole milliseconds.

use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::task::yield_now;
use tokio::time::sleep;

use super::{Hogs, Late, Naps, TICK, TICK_LEN, Ticks, record_tick, send_ticks};
use crate::error::Result;
use crate::subject::primitives::ok;
use crate::sys::monotonic;

pub(in crate::subject) async fn sleep_all(naps: Naps, late: &'static Late) -> Result<()> {
    let sleeper = |at: usize| {
        tokio::spawn(async move {
            let nap = naps.of(at);
            let due = monotonic() + nap;
            sleep(nap).await;
            late.record(due);
        })
    };
    let sleepers: Vec<_> = (0..naps.count).map(sleeper).collect();
    for sleeper in sleepers {
        ok(sleeper.await)?;
    }
    Ok(())
}

pub(in crate::subject) async fn run(ticks: Ticks) -> Result<()> {
    let hog = || async move {
        while !ticks.timer.is_over() {
            ticks.hogs.burst();
            yield_now().await;
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let hogs: Vec<_> = (0..ticks.hogs.count()).map(|_| tokio::spawn(hog())).collect();
    let timer = tokio::spawn(tick_by_timer(ticks));
    if ticks.hogs != Hogs::None {
        send_ticks(listener.local_addr()?, ticks.count);
        ok(tokio::spawn(tick_by_tcp(ticks, listener)).await)??;
    }
    ok(timer.await)?;
    ticks.timer.end();
    for hog in hogs {
        ok(hog.await)?;
    }
    Ok(())
}

pub(super) async fn tick_by_timer(ticks: Ticks) {
    let start = monotonic();
    for tick in 1..=ticks.count as u32 {
        let due = start + TICK * tick;
        let rest = due.saturating_sub(monotonic());
        if !rest.is_zero() {
            sleep(rest).await;
        }
        ticks.timer.record(due);
    }
}

async fn tick_by_tcp(ticks: Ticks, listener: TcpListener) -> Result<()> {
    let (mut stream, _) = listener.accept().await?;
    let mut tick = [0; TICK_LEN];
    for _ in 0..ticks.count {
        stream.read_exact(&mut tick).await?;
        record_tick(ticks.tcp, tick);
    }
    Ok(())
}
