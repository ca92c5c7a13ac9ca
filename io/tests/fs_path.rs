//! Functions of paths do what those of `std` do.

use std::{
    io::{self, ErrorKind},
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::Path,
};

use crate::common::fs::{everywhere_in, pattern};
use sward_io::{
    fs::{self, File, Permissions},
    os::unix,
};

fn kind<T: std::fmt::Debug>(result: io::Result<T>) -> ErrorKind {
    result.expect_err("to fail").kind()
}

#[test]
fn what_was_written_is_read() {
    everywhere_in(|dir| {
        for len in [0, 1024, 3 << 20] {
            let contents = pattern(len);
            fs::write(dir.join("file"), &contents)?;
            assert!(fs::read(dir.join("file"))? == contents);
        }
        fs::write(dir.join("file"), "short")?;
        assert_eq!(fs::read_to_string(dir.join("file"))?, "short");
        assert_eq!(kind(fs::read(dir.join("none"))), ErrorKind::NotFound);
        assert_eq!(kind(fs::write(dir.join("none/file"), "")), ErrorKind::NotFound);
        assert_eq!(kind(fs::write(dir, "")), ErrorKind::IsADirectory);
        Ok(())
    });
}

#[test]
fn copies_have_the_contents_and_the_permissions() {
    everywhere_in(|dir| {
        let (from, to) = (dir.join("from"), dir.join("to"));
        let contents = pattern(300_000);
        fs::write(&from, &contents)?;
        fs::set_permissions(&from, Permissions::from_mode(0o440))?;
        assert_eq!(fs::copy(&from, &to)?, 300_000);
        assert!(fs::read(&to)? == contents);
        assert_eq!(fs::metadata(&to)?.permissions(), fs::metadata(&from)?.permissions());
        Ok(())
    });
}

#[test]
fn copies_replace_what_is_there_and_follow_links() {
    everywhere_in(|dir| {
        let (from, to, link) = (dir.join("from"), dir.join("to"), dir.join("link"));
        fs::write(&from, "foo")?;
        fs::write(&to, "something longer")?;
        symlink(&to, &link)?;
        fs::copy(&from, &link)?;
        assert!(fs::symlink_metadata(&link)?.is_symlink());
        assert_eq!(fs::read(&to)?, b"foo");

        assert_eq!(kind(fs::copy(dir.join("none"), &to)), ErrorKind::NotFound);
        assert_eq!(fs::read(&to)?, b"foo");
        assert_eq!(kind(fs::copy(dir, dir.join("new"))), ErrorKind::InvalidInput);
        assert!(!fs::exists(dir.join("new"))?);
        assert_eq!(kind(fs::copy(&from, dir)), ErrorKind::IsADirectory);
        Ok(())
    });
}

#[test]
fn renaming_replaces_what_is_there() {
    everywhere_in(|dir| {
        fs::write(dir.join("a"), "a")?;
        fs::write(dir.join("b"), "b")?;
        fs::rename(dir.join("a"), dir.join("b"))?;
        assert_eq!(fs::read(dir.join("b"))?, b"a");
        assert!(!fs::exists(dir.join("a"))?);
        assert_eq!(kind(fs::rename(dir.join("a"), dir.join("b"))), ErrorKind::NotFound);

        fs::create_dir_all(dir.join("foo/bar/baz"))?;
        fs::create_dir_all(dir.join("quux/blat"))?;
        fs::write(dir.join("foo/bar/baz/file"), "")?;
        fs::rename(dir.join("foo/bar/baz"), dir.join("quux/blat/new"))?;
        assert!(fs::metadata(dir.join("quux/blat/new/file"))?.is_file());
        Ok(())
    });
}

#[test]
fn removed_files_are_gone() {
    everywhere_in(|dir| {
        File::create(dir.join("file"))?;
        fs::remove_file(dir.join("file"))?;
        assert!(!fs::exists(dir.join("file"))?);
        assert_eq!(kind(fs::remove_file(dir.join("file"))), ErrorKind::NotFound);
        assert!(fs::remove_file(dir).is_err());
        Ok(())
    });
}

#[test]
fn hard_links_are_second_names() {
    everywhere_in(|dir| {
        let (one, other) = (dir.join("one"), dir.join("other"));
        fs::write(&one, "foobar")?;
        fs::hard_link(&one, &other)?;
        assert_eq!(fs::metadata(&one)?.ino(), fs::metadata(&other)?.ino());
        assert_eq!(fs::read(&other)?, b"foobar");
        assert_eq!(kind(fs::hard_link(&one, &one)), ErrorKind::AlreadyExists);
        assert_eq!(kind(fs::hard_link(dir.join("none"), dir.join("new"))), ErrorKind::NotFound);
        Ok(())
    });
}

#[test]
#[expect(deprecated, reason = "`std` has it")]
fn symbolic_links_are_followed_or_read() {
    everywhere_in(|dir| {
        let (file, link) = (dir.join("file"), dir.join("link"));
        fs::write(&file, "foobar")?;
        fs::soft_link(&file, &link)?;
        assert!(fs::symlink_metadata(&link)?.file_type().is_symlink());
        assert_eq!(fs::metadata(&link)?.len(), 6);
        assert_eq!(fs::read_link(&link)?, file);
        assert_eq!(fs::canonicalize(&link)?, fs::canonicalize(&file)?);
        assert_eq!(kind(fs::read_link(&file)), ErrorKind::InvalidInput);

        // To nowhere, and to itself.
        fs::soft_link("foo", dir.join("bar"))?;
        assert_eq!(fs::read_link(dir.join("bar"))?, Path::new("foo"));
        assert!(!fs::exists(dir.join("bar"))?);
        assert_eq!(kind(fs::canonicalize(dir.join("bar"))), ErrorKind::NotFound);
        fs::soft_link(dir.join("loop"), dir.join("loop"))?;
        assert!(fs::metadata(dir.join("loop")).is_err());
        assert!(fs::exists(dir.join("loop")).is_err());
        Ok(())
    });
}

#[test]
fn links_and_owners_are_those_of_unix() {
    everywhere_in(|dir| {
        let (file, link) = (dir.join("file"), dir.join("link"));
        let opened = File::create(&file)?;
        unix::fs::symlink(&file, &link)?;
        assert_eq!(kind(unix::fs::symlink(&file, &link)), ErrorKind::AlreadyExists);
        assert_eq!(fs::read_link(&link)?, file);
        let owner = (Some(fs::metadata(&file)?.uid()), Some(fs::metadata(&file)?.gid()));
        unix::fs::chown(&link, owner.0, None)?;
        unix::fs::lchown(&link, None, owner.1)?;
        unix::fs::fchown(&opened, owner.0, owner.1)?;
        assert_eq!(kind(unix::fs::chown(dir.join("none"), None, None)), ErrorKind::NotFound);
        assert!(unix::fs::chroot(&file).is_err());
        Ok(())
    });
}

#[test]
fn paths_are_made_canonical() {
    everywhere_in(|dir| {
        let dir = fs::canonicalize(dir)?;
        fs::create_dir_all(dir.join("a/b"))?;
        assert_eq!(fs::canonicalize(dir.join("a/./b/../b//"))?, dir.join("a/b"));
        Ok(())
    });
}

#[test]
fn permissions_can_be_set() {
    everywhere_in(|dir| {
        let file = dir.join("file");
        fs::write(&file, "")?;
        for mode in [0, 0o1777, 0o600] {
            fs::set_permissions(&file, Permissions::from_mode(mode))?;
            assert_eq!(fs::metadata(&file)?.permissions().mode() & 0o7777, mode);
        }
        let permissions = fs::metadata(&file)?.permissions();
        assert_eq!(kind(fs::set_permissions(dir.join("none"), permissions)), ErrorKind::NotFound);
        Ok(())
    });
}
