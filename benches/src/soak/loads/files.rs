//! Files, pipes and Unix sockets: what is written is read.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use sward::fs::{self, File};
use sward::io::pipe;
use sward::os::unix::net::UnixStream;

use super::Load;
use crate::soak::checkers::Pattern;
use crate::soak::context::{Ctx, join_all};
use crate::soak::random::Random;
use crate::soak::report::Kind;

#[derive(Debug, Default)]
pub(crate) struct Files {
    directory: OnceLock<PathBuf>,
}

impl Load for Files {
    fn run(&self, ctx: &Ctx) {
        let name = format!("sward-soak-{}-{}", std::process::id(), ctx.random(0).next());
        let directory = self.directory.get_or_init(|| std::env::temp_dir().join(name));
        if ctx.expect("create a directory", fs::create_dir(directory)).is_none() {
            return;
        }
        let lanes = (0..3).map(|n| {
            let (ctx, mut random) = (ctx.clone(), ctx.random(n));
            let path = directory.join(n.to_string());
            ctx.clone().spawn(move || {
                ctx.clone().repeat(&mut random, |random| {
                    let done = match random.within(0..=2) {
                        0 => file(&ctx, &path, random),
                        1 => through_pipe(&ctx, random),
                        _ => through_socket(&ctx, random),
                    };
                    ctx.expect("files", done);
                });
            })
        });
        join_all(lanes.collect::<Vec<_>>());
    }

    fn check(&self, ctx: &Ctx) {
        if let Some(directory) = self.directory.get() {
            // What was cut short on the pool may still write there.
            let removed = std::fs::remove_dir_all(directory).or_else(|_| std::fs::remove_dir_all(directory));
            if let Err(error) = removed.or_else(|error| if directory.exists() { Err(error) } else { Ok(()) })
            {
                ctx.violation(format_args!("remove the directory: {error}"));
            }
        }
    }
}

fn verify(ctx: &Ctx, what: &str, mut from: impl Read, key: u64, random: &mut Random) -> io::Result<u64> {
    let (mut expected, mut buffer, mut total) = (Pattern::new(key), vec![0; 16 << 10], 0);
    loop {
        let most = random.count(1..=buffer.len());
        let count = from.read(&mut buffer[..most])?;
        if count == 0 {
            return Ok(total);
        }
        ctx.check(what, expected.verify(&buffer[..count]));
        ctx.progress();
        total += count as u64;
    }
}

/// Writes the beginning of a pattern, piece by piece.
fn write(mut to: impl Write, length: u64, key: u64, random: &mut Random) -> io::Result<()> {
    let (mut pattern, mut left) = (Pattern::new(key), length as usize);
    while left > 0 {
        let piece = left.min(random.count(1..=20_000));
        to.write_all(&pattern.take(piece))?;
        left -= piece;
    }
    Ok(())
}

fn expect_length(ctx: &Ctx, what: &str, found: u64, length: u64) {
    if found != length {
        ctx.amiss(format_args!("{what}: {found} of {length} bytes came"));
    }
}

fn file(ctx: &Ctx, path: &Path, random: &mut Random) -> io::Result<()> {
    let (key, length) = (random.next(), random.within(1..=300_000));
    write(File::create(path)?, length, key, random)?;
    let moved = path.with_extension("moved");
    if random.one_in(2) {
        fs::rename(path, &moved)?;
    } else {
        fs::copy(path, &moved)?;
        fs::remove_file(path)?;
    }
    expect_length(ctx, "file", verify(ctx, "file", File::open(&moved)?, key, random)?, length);
    fs::remove_file(&moved)?;
    ctx.count(Kind::Files, 1);
    Ok(())
}

fn through_pipe(ctx: &Ctx, random: &mut Random) -> io::Result<()> {
    let (key, length) = (random.next(), random.within(1..=300_000));
    let (reader, writer) = pipe()?;
    let writing = {
        let mut random = random.fork();
        ctx.spawn(move || write(writer, length, key, &mut random))
    };
    let total = verify(ctx, "pipe", reader, key, random)?;
    writing.join().ok_or(io::ErrorKind::BrokenPipe)??;
    expect_length(ctx, "pipe", total, length);
    ctx.count(Kind::Pipes, 1);
    Ok(())
}

/// Both directions of a pair at once.
fn through_socket(ctx: &Ctx, random: &mut Random) -> io::Result<()> {
    let (key, length) = (random.next(), random.within(1..=300_000));
    let (near, far) = UnixStream::pair()?;
    let echo = ctx.spawn(move || -> io::Result<()> {
        let mut buffer = vec![0; 4096];
        loop {
            let count = (&far).read(&mut buffer)?;
            if count == 0 {
                return far.shutdown(Shutdown::Write);
            }
            (&far).write_all(&buffer[..count])?;
        }
    });
    let writing = {
        let (near, mut random) = (near.try_clone()?, random.fork());
        ctx.spawn(move || {
            write(&near, length, key, &mut random).and_then(|()| near.shutdown(Shutdown::Write))
        })
    };
    let total = verify(ctx, "Unix socket", &near, key, random)?;
    echo.join().ok_or(io::ErrorKind::BrokenPipe)??;
    writing.join().ok_or(io::ErrorKind::BrokenPipe)??;
    expect_length(ctx, "Unix socket", total, length);
    ctx.count(Kind::Pipes, 1);
    Ok(())
}
