//! Many green threads and many files; many green threads and one file.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::fs::FileExt,
    sync::Arc,
};

use crate::common::{
    everywhere,
    fs::{PAGE, everywhere_in, fresh_dir, pattern, write_cold},
    runtimes, stress, watchdog,
};
use rustix::fs::Advice;
use sward_io::fs::{self, File, OpenOptions};
use sward_runtime::thread;

/// Joins all, and fails with the first that failed.
fn join_all(threads: Vec<thread::JoinHandle<io::Result<()>>>) -> io::Result<()> {
    threads.into_iter().try_for_each(|thread| thread.join().expect("no panic"))
}

#[test]
fn many_files_are_written_and_read_at_once() {
    everywhere_in(|dir| {
        let users = (0..stress(200)).map(|n| {
            let path = dir.join(n.to_string());
            thread::spawn(move || {
                let contents = pattern(n * 97 % 30_000);
                File::create(&path)?.write_all(&contents)?;
                let mut read = Vec::new();
                File::open(&path)?.read_to_end(&mut read)?;
                assert!(read == contents);
                assert!(fs::read(&path)? == contents);
                fs::remove_file(&path)
            })
        });
        join_all(users.collect())
    });
}

#[test]
fn one_position_is_shared_without_gaps_and_overlaps() {
    let _watchdog = watchdog();
    for runtime in runtimes() {
        let dir = fresh_dir();
        let path = dir.path().join("file");
        let pages = 4096;
        // Each page says which it is.
        let contents: Vec<u8> =
            (0..pages).flat_map(|page| [page; PAGE / 2]).flat_map(u16::to_le_bytes).collect();
        write_cold(&path, &contents, 1).expect("a file");
        runtime.run(|| {
            let file = Arc::new(File::open(&path).expect("it is there"));
            let clone = file.try_clone().expect("a clone");
            // Nothing comes into the cache but what is read.
            rustix::fs::fadvise(&*file, 0, None, Advice::Random).expect("to be advised");
            let readers: Vec<_> = (0..2)
                .map(|n| {
                    let (file, clone) = (Arc::clone(&file), clone.try_clone().expect("a clone"));
                    thread::spawn(move || {
                        let (mut file, mut clone) = (&*file, &clone);
                        let (mut piece, mut found) = (vec![0; 3 * PAGE], Vec::new());
                        loop {
                            let read =
                                if n % 2 == 0 { file.read(&mut piece) } else { clone.read(&mut piece) };
                            let read = read.expect("to be read");
                            if read == 0 {
                                return found;
                            }
                            // It may be short, but is of one piece.
                            let tags =
                                piece[..read].chunks(2).map(|tag| u16::from_le_bytes([tag[0], tag[1]]));
                            let pages: Vec<_> = tags.step_by(PAGE / 2).collect();
                            assert!(
                                read % PAGE == 0 && pages.windows(2).all(|pair| pair[0] + 1 == pair[1]),
                                "torn"
                            );
                            found.extend(pages);
                        }
                    })
                })
                .collect();
            let mut all: Vec<_> =
                readers.into_iter().flat_map(|reader| reader.join().expect("no panic")).collect();
            all.sort_unstable();
            assert!(all.into_iter().eq(0..pages));
        });
    }
}

#[test]
fn offsets_do_not_disturb_each_other() {
    everywhere_in(|dir| {
        let file = Arc::new(OpenOptions::new().read(true).write(true).create(true).open(dir.join("file"))?);
        let users = (0..32).map(|n: usize| {
            let file = Arc::clone(&file);
            thread::spawn(move || {
                for round in 0..10 {
                    let (contents, mut read) = ([(n ^ round) as u8; 1_000], [0; 1_000]);
                    file.write_all_at(&contents, n as u64 * 1_000)?;
                    file.read_exact_at(&mut read, n as u64 * 1_000)?;
                    assert_eq!(read, contents);
                }
                Ok(())
            })
        });
        join_all(users.collect())
    });
}

#[test]
fn what_many_append_is_not_torn() {
    everywhere_in(|dir| {
        let path = dir.join("log");
        let open = || OpenOptions::new().append(true).create(true).open(&path);
        let shared = Arc::new(open()?);
        let writers = (0..16).map(|n| {
            let (shared, own) = (Arc::clone(&shared), open());
            thread::spawn(move || {
                let own = own?;
                for round in 0..20 {
                    let line = format!("{n} {}\n", "x".repeat(n * 100 + round));
                    let mut log = if round % 2 == 0 { &*shared } else { &own };
                    assert_eq!(log.write(line.as_bytes())?, line.len());
                }
                Ok(())
            })
        });
        join_all(writers.collect())?;
        let mut lines = 0;
        for line in BufReader::new(File::open(&path)?).lines() {
            let line = line?;
            let (n, rest) = line.split_once(' ').expect("a line");
            let extra = rest.len() - n.parse::<usize>().expect("a number") * 100;
            assert!(extra < 20 && rest.bytes().all(|byte| byte == b'x'), "{line}");
            lines += 1;
        }
        assert_eq!(lines, 16 * 20);
        Ok(())
    });
}

#[test]
fn readers_see_what_writers_have_written() {
    // Nothing is read ahead: not even in the middle of a page.
    everywhere_in(|dir| {
        let path = dir.join("file");
        let (mut writer, mut reader) = (File::create(&path)?, File::open(&path)?);
        for n in 0..200_u8 {
            let (line, mut read) = ([n; 100], [0; 200]);
            writer.write_all(&line)?;
            assert_eq!(reader.read(&mut read)?, 100);
            assert_eq!(read[..100], line);
            // Also what is changed before it is read.
            writer.write_all(&line)?;
            writer.write_all_at(&[!n], (n as u64 * 2 + 1) * 100)?;
            assert_eq!(reader.read(&mut read)?, 100);
            assert_eq!(read[0], !n);
        }
        Ok(())
    });
}

#[test]
fn green_threads_and_os_threads_use_the_same_files() {
    let dir = fresh_dir();
    everywhere(|| {
        let path = dir.path().join("shared");
        let file = Arc::new(File::create(&path)?);
        let on_green = thread::spawn({
            let file = Arc::clone(&file);
            move || (0..50).try_for_each(|n| file.write_all_at(b"g", 2 * n))
        });
        let on_os = std::thread::spawn({
            let file = Arc::clone(&file);
            move || (0..50).try_for_each(|n| file.write_all_at(b"o", 2 * n + 1))
        });
        on_green.join().expect("no panic")?;
        on_os.join().expect("no panic")?;
        assert_eq!(fs::read(&path)?, b"go".repeat(50));
        Ok(())
    });
}
