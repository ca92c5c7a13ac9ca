//! Directories do what those of `std` do.

use std::{
    collections::HashSet,
    io::{self, ErrorKind},
    os::unix::fs::{DirBuilderExt, DirEntryExt, MetadataExt, PermissionsExt, symlink},
    panic::{RefUnwindSafe, UnwindSafe},
    path::Path,
    process::{Command, Stdio},
};

use crate::common::fs::{everywhere_in, fresh_dir};
use sward_io::fs::{self, DirBuilder, File};
use sward_runtime::thread;

fn kind<T>(result: io::Result<T>) -> ErrorKind {
    result.err().expect("to fail").kind()
}

#[test]
fn every_entry_is_read_once() {
    everywhere_in(|dir| {
        // As many as a batch, about as many, and several batches.
        for count in [0, 1, 127, 128, 129, 1_000] {
            let dir = dir.join(count.to_string());
            fs::create_dir(&dir)?;
            let names: HashSet<_> = (0..count).map(|n| n.to_string()).collect();
            for name in &names {
                File::create(dir.join(name))?;
            }
            let mut entries = fs::read_dir(&dir)?;
            let mut found = HashSet::new();
            for entry in &mut entries {
                let name = entry?.file_name().into_string().expect("digits");
                assert!(found.insert(name), "twice");
            }
            assert_eq!(found, names);
            assert!(entries.next().is_none() && entries.next().is_none());
        }
        Ok(())
    });
}

#[test]
fn entries_know_what_they_are() {
    everywhere_in(|dir| {
        fs::write(dir.join("file"), "foo")?;
        fs::create_dir(dir.join("dir"))?;
        symlink("dir", dir.join("link"))?;
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let metadata = fs::symlink_metadata(entry.path())?;
            assert_eq!(entry.path(), dir.join(entry.file_name()));
            assert_eq!(entry.file_type()?, metadata.file_type());
            assert_eq!(entry.metadata()?.len(), metadata.len());
            assert_eq!(entry.ino(), metadata.ino());
            let name = entry.file_name();
            assert!(format!("{entry:?}").contains(name.to_str().expect("ASCII")));
        }
        assert!(format!("{:?}", fs::read_dir(dir)?).starts_with("ReadDir("));
        Ok(())
    });
}

#[test]
fn entries_outlive_what_they_were_read_from() {
    everywhere_in(|dir| {
        fs::write(dir.join("file"), "foo")?;
        let entry = fs::read_dir(dir)?.next().expect("there is one")?;
        fs::rename(dir.join("file"), dir.join("other"))?;
        assert_eq!(entry.file_name(), "file");
        assert!(entry.file_type()?.is_file());
        assert_eq!(kind(entry.metadata()), ErrorKind::NotFound);
        Ok(())
    });
}

#[test]
fn what_is_no_directory_cannot_be_read() {
    everywhere_in(|dir| {
        fs::write(dir.join("file"), "")?;
        assert_eq!(kind(fs::read_dir(dir.join("file"))), ErrorKind::NotADirectory);
        assert_eq!(kind(fs::read_dir(dir.join("none"))), ErrorKind::NotFound);
        Ok(())
    });
}

#[test]
fn an_error_among_the_entries_comes_once() -> io::Result<()> {
    // What is left of a process that has ended: a directory that can be opened and not read.
    let mut child = Command::new("true").stdin(Stdio::null()).spawn()?;
    let path = format!("/proc/{}/net", child.id());
    while !std::fs::read_to_string(format!("/proc/{}/stat", child.id()))?.contains(") Z ") {
        std::thread::yield_now();
    }
    crate::common::everywhere(|| {
        let Ok(entries) = fs::read_dir(&path) else { return Ok(()) };
        assert!(entries.filter(Result::is_err).take(2).count() < 2);
        Ok(())
    });
    child.wait().map(drop)
}

#[test]
fn files_may_be_removed_while_their_directory_is_read() {
    everywhere_in(|dir| {
        for n in 0..500 {
            File::create(dir.join(n.to_string()))?;
        }
        for entry in fs::read_dir(dir)? {
            fs::remove_file(entry?.path())?;
        }
        assert_eq!(fs::read_dir(dir)?.count(), 0);
        Ok(())
    });
}

#[test]
fn directories_are_made_one_by_one_or_all_together() {
    everywhere_in(|dir| {
        fs::create_dir(dir.join("a"))?;
        assert_eq!(kind(fs::create_dir(dir.join("a"))), ErrorKind::AlreadyExists);
        assert_eq!(kind(fs::create_dir(dir.join("b/c"))), ErrorKind::NotFound);
        fs::create_dir_all(dir.join("b/c/d"))?;
        fs::create_dir_all(dir.join("b/c/d"))?;
        assert!(fs::metadata(dir.join("b/c/d"))?.is_dir());
        fs::write(dir.join("a/file"), "")?;
        assert!(fs::create_dir_all(dir.join("a/file")).is_err());
        assert!(fs::create_dir_all(dir.join("a/file/b")).is_err());
        for there in ["/", ".", ""] {
            fs::create_dir_all(Path::new(there))?;
        }
        Ok(())
    });
}

#[test]
fn the_builder_sets_permissions() {
    everywhere_in(|dir| {
        DirBuilder::new().recursive(true).mode(0o750).create(dir.join("a/b"))?;
        assert_eq!(fs::metadata(dir.join("a/b"))?.permissions().mode() & 0o777, 0o750);
        assert_eq!(kind(DirBuilder::new().create(dir.join("a"))), ErrorKind::AlreadyExists);
        Ok(())
    });
}

#[test]
fn many_make_the_same_directories() {
    everywhere_in(|dir| {
        let mut path = dir.to_owned();
        path.extend(["a"; 40]);
        let makers: Vec<_> = (0..8)
            .map(|_| {
                let path = path.clone();
                thread::spawn(move || fs::create_dir_all(path))
            })
            .collect();
        for maker in makers {
            maker.join().expect("no panic")?;
        }
        assert!(fs::metadata(path)?.is_dir());
        Ok(())
    });
}

#[test]
fn directories_are_removed_empty_or_with_all_that_is_in_them() {
    everywhere_in(|dir| {
        let (tree, other) = (dir.join("d1"), dir.join("d2"));
        let canary = other.join("do_not_delete");
        fs::create_dir_all(tree.join("t/t"))?;
        fs::create_dir_all(&other)?;
        fs::write(&canary, "foo")?;
        symlink(&other, tree.join("t/d2"))?;
        symlink(&canary, tree.join("canary"))?;

        assert_eq!(kind(fs::remove_dir(&tree)), ErrorKind::DirectoryNotEmpty);
        fs::remove_dir(tree.join("t/t"))?;
        fs::remove_dir_all(&tree)?;
        assert!(!fs::exists(&tree)? && fs::exists(&canary)?);
        assert_eq!(kind(fs::remove_dir_all(&tree)), ErrorKind::NotFound);

        // A link is removed, not what it leads to; a file is no directory.
        symlink(&other, dir.join("link"))?;
        fs::remove_dir_all(dir.join("link"))?;
        assert!(fs::exists(&canary)?);
        assert_eq!(kind(fs::remove_dir_all(&canary)), ErrorKind::NotADirectory);
        assert_eq!(kind(fs::remove_dir(&canary)), ErrorKind::NotADirectory);
        assert!(fs::exists(&canary)?);
        Ok(())
    });
}

#[test]
fn a_reader_of_a_directory_may_move_on_to_another_thread() {
    let dir = fresh_dir();
    for n in 0..300 {
        std::fs::write(dir.path().join(n.to_string()), "").expect("a file");
    }
    crate::common::everywhere(|| {
        let mut entries = fs::read_dir(dir.path())?;
        assert!(entries.next().is_some());
        let on_green = thread::spawn(move || (entries.by_ref().take(150).count(), entries));
        let (count, entries) = on_green.join().expect("no panic");
        let on_os = std::thread::spawn(move || entries.count());
        assert_eq!(1 + count + on_os.join().expect("no panic"), 300);
        Ok(())
    });
}

#[test]
fn a_directory_that_is_read_has_the_auto_traits_of_that_of_std() {
    fn check<T: Send + Sync + UnwindSafe + RefUnwindSafe + Unpin>() {}
    check::<std::fs::ReadDir>();
    check::<fs::ReadDir>();
}
