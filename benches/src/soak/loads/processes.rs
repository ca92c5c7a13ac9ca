//! Child processes, a few: what goes through one comes back, and one that is given up is killed and reaped.

use std::io::{self, Read, Write};
use std::time::Duration;

use sward::process::{Command, Stdio};
use sward::time;

use super::Load;
use crate::soak::checkers::Pattern;
use crate::soak::context::Ctx;
use crate::soak::random::Random;
use crate::soak::report::Kind;

#[derive(Debug, Default)]
pub(crate) struct Processes;

impl Load for Processes {
    fn run(&self, ctx: &Ctx) {
        let mut random = ctx.random(0);
        while !ctx.is_over() {
            let done = if random.one_in(2) { filter(ctx, &mut random) } else { endless(ctx, &mut random) };
            ctx.expect("process", done);
            ctx.count(Kind::Processes, 1);
            ctx.rest(random.micros(50_000..=300_000));
        }
    }
}

fn filter(ctx: &Ctx, random: &mut Random) -> io::Result<()> {
    let (key, length) = (random.next(), random.count(1..=200_000));
    let mut child =
        Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
    let writing = child.stdin.take().map(|mut to| {
        // It ends the child's input by being dropped.
        ctx.spawn(move || to.write_all(&Pattern::new(key).take(length)))
    });
    let mut back = Vec::new();
    if let Some(mut from) = child.stdout.take() {
        from.read_to_end(&mut back)?;
    }
    writing.and_then(|task| task.join()).ok_or(io::ErrorKind::BrokenPipe)??;
    let status = child.wait()?;
    ctx.check("process", Pattern::new(key).verify(&back));
    if back.len() != length || !status.success() {
        ctx.amiss(format_args!("{} of {length} bytes came through a process: {status}", back.len()));
    }
    Ok(())
}

/// Ends only by being killed.
fn endless(ctx: &Ctx, random: &mut Random) -> io::Result<()> {
    let mut child = Command::new("sleep").arg("3600").kill_on_drop(true).spawn()?;
    if random.one_in(2) {
        let waited = time::timeout(random.micros(0..=20_000), || child.wait());
        if waited.is_ok() {
            ctx.violation("a process that sleeps for an hour has ended");
        }
        ctx.count(Kind::Timeouts, 1);
        return Ok(());
    }
    if child.wait_timeout(Duration::from_millis(1))?.is_some() {
        ctx.violation("a process that sleeps for an hour has ended");
    }
    child.kill()?;
    if child.wait()?.success() {
        ctx.violation("a process that was killed has succeeded");
    }
    Ok(())
}
