//! What the tests of files share: directories of every kind, files that are not in the cache, FIFOs.

use std::{
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
};

use rustix::fs::{Advice, CWD, FileType, Mode};
use tempfile::TempDir;

/// What the cache is made of.
pub(crate) const PAGE: usize = 4096;

/// Runs a test everywhere, each time in new directories: one on a disk, as a rule, and one in memory.
pub(crate) fn everywhere_in(test: impl Fn(&Path) -> io::Result<()> + Sync) {
    super::everywhere(|| {
        for place in places() {
            let dir = tempfile::tempdir_in(place)?;
            test(dir.path())?;
            dir.close()?;
        }
        Ok(())
    });
}

/// Where there are files of different kinds.
fn places() -> Vec<PathBuf> {
    let memory = PathBuf::from("/dev/shm");
    let disk = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    if tempfile::tempdir_in(&memory).is_ok() { vec![disk, memory] } else { vec![disk] }
}

/// A new directory, on a disk as a rule.
pub(crate) fn fresh_dir() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory")
}

/// Writes a file and takes every other stretch of it, of so many pages, out of the cache, where that is possible.
pub(crate) fn write_cold(path: &Path, contents: &[u8], pages: usize) -> io::Result<()> {
    let stretch = pages * PAGE;
    let mut file = File::create(path)?;
    // In pages: the cache keeps what was written together, and lets go of all of it or nothing.
    contents.chunks(PAGE).try_for_each(|page| file.write_all(page))?;
    file.sync_all()?;
    for start in (0..contents.len()).step_by(2 * stretch) {
        rustix::fs::fadvise(&file, start as u64, (stretch as u64).try_into().ok(), Advice::DontNeed)?;
    }
    Ok(())
}

/// Bytes of which each stretch is unlike the others.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % 251) as u8 ^ (at >> 12) as u8).collect()
}

/// Makes a FIFO.
pub(crate) fn fifo(path: &Path) -> io::Result<()> {
    Ok(rustix::fs::mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?)
}
