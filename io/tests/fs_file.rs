//! Files do what those of `std` do.

use std::{
    io::{ErrorKind, IoSlice, IoSliceMut, Read, Seek, SeekFrom, Write},
    os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt},
    time::{Duration, SystemTime},
};

use crate::common::fs::{everywhere_in, pattern, write_cold};
use sward_io::fs::{self, File, FileTimes, OpenOptions, Permissions};

#[test]
fn what_was_written_is_read() {
    everywhere_in(|dir| {
        let path = dir.join("file");
        {
            let mut file = File::create(&path)?;
            assert_eq!(file.write(b"it's alright. have a good time")?, 30);
            file.flush()?;
        }
        let mut buffer = [0; 1028];
        let read = File::open(&path)?.read(&mut buffer)?;
        assert_eq!(&buffer[..read], b"it's alright. have a good time");
        Ok(())
    });
}

#[test]
fn what_is_not_there_cannot_be_opened() {
    everywhere_in(|dir| {
        let error = File::open(dir.join("no file")).expect_err("there is none");
        assert_eq!(error.kind(), ErrorKind::NotFound);
        let error = File::open("nul\0").expect_err("no path");
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        Ok(())
    });
}

#[test]
fn each_read_goes_on_where_the_last_one_ended() {
    everywhere_in(|dir| {
        fs::write(dir.join("file"), "ten-four")?;
        let mut file = File::open(dir.join("file"))?;
        let mut buffer = [0; 8];
        assert_eq!(file.read(&mut buffer[..4])?, 4);
        assert_eq!(file.read(&mut buffer[4..])?, 4);
        assert_eq!(&buffer, b"ten-four");
        // The end, again and again.
        assert_eq!(file.read(&mut buffer)?, 0);
        assert_eq!(file.read(&mut buffer)?, 0);
        // Until there is more.
        OpenOptions::new().append(true).open(dir.join("file"))?.write_all(b"!")?;
        assert_eq!(file.read(&mut buffer)?, 1);
        Ok(())
    });
}

#[test]
fn seeking_moves_the_position() {
    everywhere_in(|dir| {
        fs::write(dir.join("file"), "qwer-asdf-zxcv")?;
        let mut file = OpenOptions::new().read(true).write(true).open(dir.join("file"))?;
        let mut buffer = [0; 4];
        for (to, position, expected) in [
            (SeekFrom::End(-4), 10, b"zxcv"),
            (SeekFrom::Current(-9), 5, b"asdf"),
            (SeekFrom::Start(0), 0, b"qwer"),
        ] {
            assert_eq!(file.seek(to)?, position);
            file.read_exact(&mut buffer)?;
            assert_eq!(&buffer, expected);
            assert_eq!(file.stream_position()?, position + 4);
        }
        for nowhere in [SeekFrom::Current(-5), SeekFrom::End(-15), SeekFrom::Start(u64::MAX)] {
            assert_eq!(file.seek(nowhere).expect_err("nowhere").kind(), ErrorKind::InvalidInput);
            assert_eq!(file.stream_position()?, 4);
        }
        file.rewind()?;
        file.write_all(b"tyui")?;
        // Past the end: zeros in between.
        assert_eq!(file.seek(SeekFrom::End(2))?, 16);
        file.write_all(b"!")?;
        assert_eq!(fs::read(dir.join("file"))?, b"tyui-asdf-zxcv\0\0!");
        Ok(())
    });
}

#[test]
fn transfers_at_offsets_leave_the_position() {
    everywhere_in(|dir| {
        let path = dir.join("file");
        let mut file = OpenOptions::new().create_new(true).write(true).read(true).clone().open(&path)?;
        let mut buffer = [0; 256];
        assert_eq!(file.write_at(b"asdf", 5)?, 4);
        assert_eq!(file.read_at(&mut buffer, 5)?, 4);
        assert_eq!(&buffer[..4], b"asdf");
        assert_eq!(file.read_at(&mut buffer[..5], 0)?, 5);
        assert_eq!(&buffer[..5], b"\0\0\0\0\0");
        assert_eq!(file.stream_position()?, 0);

        assert_eq!(file.write(b"qwer-")?, 5);
        assert_eq!(file.read(&mut buffer)?, 4);
        assert_eq!(file.write_at(b"-zxcv", 9)?, 5);
        assert_eq!(file.read_at(&mut buffer, 0)?, 14);
        assert_eq!(&buffer[..14], b"qwer-asdf-zxcv");
        assert_eq!(file.stream_position()?, 9);
        for past_the_end in [14, 15, 1 << 40] {
            assert_eq!(file.read_at(&mut buffer, past_the_end)?, 0);
        }

        file.write_all_at(b"ASDF", 5)?;
        file.read_exact_at(&mut buffer[..6], 4)?;
        assert_eq!(&buffer[..6], b"-ASDF-");
        let error = file.read_exact_at(&mut buffer[..5], 10).expect_err("there are four");
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
        // Also the number that means the position to the kernel.
        for no_offset in [u64::MAX, 1 << 63] {
            let read = file.read_at(&mut buffer, no_offset).expect_err("no offset");
            let written = file.write_at(b"?", no_offset).expect_err("no offset");
            assert_eq!([read.kind(), written.kind()], [ErrorKind::InvalidInput; 2]);
        }
        assert_eq!(file.stream_position()?, 9);
        Ok(())
    });
}

#[test]
fn vectored_transfers_fill_one_slice_after_the_other() {
    everywhere_in(|dir| {
        let mut file = File::create_new(dir.join("file"))?;
        let slices = [IoSlice::new(b""), IoSlice::new(b"foo"), IoSlice::new(b"barbaz")];
        assert_eq!(file.write_vectored(&slices)?, 9);
        file.rewind()?;
        let (mut first, mut second) = ([0; 4], [0; 32]);
        let read = file.read_vectored(&mut [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)])?;
        assert_eq!((read, &first, &second[..5]), (9, b"foob", &b"arbaz"[..]));

        // More slices than the system takes are cut off.
        let slices: Vec<_> = (0..3_000).map(|_| IoSlice::new(b"ab")).collect();
        let written = file.write_vectored(&slices)?;
        assert!(0 < written && written <= 6_000, "{written}");
        assert_eq!(fs::read(dir.join("file"))?.len(), 9 + written);
        Ok(())
    });
}

#[test]
fn empty_buffers_transfer_nothing() {
    everywhere_in(|dir| {
        let mut file = File::create_new(dir.join("file"))?;
        assert_eq!(file.write(&[])?, 0);
        assert_eq!(file.write_vectored(&[])?, 0);
        file.write_all(b"x")?;
        file.rewind()?;
        assert_eq!(file.read(&mut [])?, 0);
        assert_eq!(file.read_vectored(&mut [])?, 0);
        assert_eq!(file.read_at(&mut [], 0)?, 0);
        assert_eq!(file.read(&mut [0; 2])?, 1);
        Ok(())
    });
}

#[test]
fn reading_to_the_end_appends_all_that_is_left() {
    everywhere_in(|dir| {
        for len in [0, 1, 5_000, 100_000, 1 << 20] {
            let path = dir.join(len.to_string());
            let contents = pattern(len);
            fs::write(&path, &contents)?;
            let mut file = File::open(&path)?;
            let mut read = b"before".to_vec();
            let start = len / 3;
            file.seek(SeekFrom::Start(start as u64))?;
            assert_eq!(file.read_to_end(&mut read)?, len - start);
            assert!(read[..6] == *b"before" && read[6..] == contents[start..]);
            assert_eq!(file.read_to_end(&mut read)?, 0);
            assert_eq!(read.len(), 6 + len - start);
            assert!(fs::read(&path)? == contents);
        }
        Ok(())
    });
}

#[test]
fn reading_text_appends_it_or_leaves_the_string() {
    everywhere_in(|dir| {
        fs::write(dir.join("text"), "𐁁𐀓𐀠𐀴𐀍")?;
        let mut text = String::from("Linear B: ");
        assert_eq!(File::open(dir.join("text"))?.read_to_string(&mut text)?, 20);
        assert_eq!(text, "Linear B: 𐁁𐀓𐀠𐀴𐀍");
        assert_eq!(fs::read_to_string(dir.join("text"))?, "𐁁𐀓𐀠𐀴𐀍");

        fs::write(dir.join("no text"), [b'a', 0xff])?;
        let error = File::open(dir.join("no text"))?.read_to_string(&mut text).expect_err("no text");
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        assert!(error.to_string().contains("stream did not contain valid UTF-8"));
        assert_eq!(text, "Linear B: 𐁁𐀓𐀠𐀴𐀍");
        assert!(fs::read_to_string(dir.join("no text")).is_err());
        Ok(())
    });
}

#[test]
fn a_read_is_short_only_at_the_end_of_the_file() {
    everywhere_in(|dir| {
        let contents = pattern(4 << 20);
        let mut buffer = vec![0; contents.len() + 1];
        let path = dir.join("file");

        write_cold(&path, &contents, 64)?;
        assert_eq!(File::open(&path)?.read(&mut buffer)?, contents.len());
        assert!(buffer[..contents.len()] == contents);

        write_cold(&path, &contents, 64)?;
        buffer.fill(0);
        assert_eq!(File::open(&path)?.read_at(&mut buffer, 1)?, contents.len() - 1);
        assert!(buffer[..contents.len() - 1] == contents[1..]);

        // Nor is anything lost where it may be short.
        write_cold(&path, &contents, 64)?;
        let (mut file, mut read) = (File::open(&path)?, 0);
        let mut half = vec![0; 200_000];
        loop {
            let (one, other) = half.split_at_mut(70_000);
            let step = file.read_vectored(&mut [IoSliceMut::new(one), IoSliceMut::new(other)])?;
            assert!(half[..step] == contents[read..read + step]);
            read += step;
            if step == 0 {
                break;
            }
        }
        assert_eq!(read, contents.len());

        write_cold(&path, &contents, 64)?;
        let mut all = Vec::new();
        File::open(&path)?.read_to_end(&mut all)?;
        assert!(all == contents);
        Ok(())
    });
}

#[test]
fn options_say_how_a_file_is_opened() {
    everywhere_in(|dir| {
        let path = dir.join("file");
        let open = |set: fn(&mut OpenOptions) -> &mut OpenOptions| set(&mut OpenOptions::new()).open(&path);
        let kind = |set| open(set).expect_err("not to be opened").kind();

        assert_eq!(kind(|options| options.write(true)), ErrorKind::NotFound);
        assert_eq!(kind(|options| options), ErrorKind::InvalidInput);
        assert_eq!(kind(|options| options.read(true).create(true)), ErrorKind::InvalidInput);
        assert_eq!(kind(|options| options.read(true).create_new(true)), ErrorKind::InvalidInput);
        assert_eq!(kind(|options| options.read(true).truncate(true)), ErrorKind::InvalidInput);
        assert_eq!(kind(|options| options.append(true).truncate(true)), ErrorKind::InvalidInput);

        open(|options| options.write(true).create_new(true).mode(0o640))?.write_all(b"foobar")?;
        assert_eq!(fs::metadata(&path)?.permissions().mode() & 0o777, 0o640);
        assert_eq!(kind(|options| options.write(true).create_new(true)), ErrorKind::AlreadyExists);
        assert_eq!(File::create_new(&path).expect_err("it is there").kind(), ErrorKind::AlreadyExists);

        // Overwrites.
        open(|options| options.write(true).create(true))?.write_all(b"baz")?;
        assert_eq!(fs::read(&path)?, b"bazbar");
        // Empties.
        open(|options| options.read(true).write(true).truncate(true))?.write_all(b"foo")?;
        assert_eq!(fs::read(&path)?, b"foo");
        // Appends, wherever the position is.
        let mut log = open(|options| options.read(true).append(true))?;
        log.write_all(b"bar")?;
        log.rewind()?;
        log.write_all(b"baz")?;
        log.rewind()?;
        let mut contents = String::new();
        log.read_to_string(&mut contents)?;
        assert_eq!(contents, "foobarbaz");

        assert!(open(|options| options.write(true).custom_flags(libc::O_DIRECTORY)).is_err());
        assert!(format!("{:?}", OpenOptions::new()).starts_with("OpenOptions"));
        Ok(())
    });
}

#[test]
fn a_file_allows_only_what_it_was_opened_for() {
    everywhere_in(|dir| {
        let path = dir.join("file");
        let mut writer = File::create(&path)?;
        writer.write_all(b"foo")?;
        let mut reader = File::open(&path)?;
        let errors = [
            writer.read(&mut [0]).expect_err("write-only"),
            writer.read_at(&mut [0], 0).expect_err("write-only"),
            writer.read_to_end(&mut Vec::new()).expect_err("write-only"),
            reader.write(b"bar").expect_err("read-only"),
            reader.write_at(b"bar", 0).expect_err("read-only"),
        ];
        for error in errors {
            assert_eq!(error.raw_os_error(), Some(libc::EBADF), "{error}");
        }
        let mut directory = File::open(dir)?;
        assert!(directory.metadata()?.is_dir());
        directory.sync_all()?;
        assert_eq!(directory.read(&mut [0]).expect_err("a directory").kind(), ErrorKind::IsADirectory);
        assert_eq!(File::create(dir).expect_err("a directory").kind(), ErrorKind::IsADirectory);
        Ok(())
    });
}

#[test]
fn the_length_can_be_set() {
    everywhere_in(|dir| {
        let mut file = File::create(dir.join("file"))?;
        file.write_all(b"foo")?;
        file.set_len(10)?;
        assert_eq!(file.metadata()?.len(), 10);
        file.write_all(b"bar")?;
        file.sync_all()?;
        assert_eq!(fs::read(dir.join("file"))?, b"foobar\0\0\0\0");
        // The position stays, also when it is past the end.
        file.set_len(2)?;
        file.write_all(b"wut")?;
        file.sync_data()?;
        assert_eq!(fs::read(dir.join("file"))?, b"fo\0\0\0\0wut");
        assert_eq!(file.set_len(u64::MAX).expect_err("too long").kind(), ErrorKind::InvalidInput);
        Ok(())
    });
}

#[test]
fn what_is_known_of_a_file_can_be_asked_and_set() {
    everywhere_in(|dir| {
        let file = File::create(dir.join("file"))?;
        assert!(file.metadata()?.is_file());
        file.set_permissions(Permissions::from_mode(0o400))?;
        assert!(fs::metadata(dir.join("file"))?.permissions().readonly());
        assert_eq!(file.metadata()?.permissions().mode() & 0o777, 0o400);

        let then = |seconds| SystemTime::UNIX_EPOCH + Duration::new(seconds, 0);
        file.set_times(FileTimes::new().set_accessed(then(12_345)).set_modified(then(54_321)))?;
        let metadata = file.metadata()?;
        assert_eq!((metadata.accessed()?, metadata.modified()?), (then(12_345), then(54_321)));
        file.set_modified(then(99_999))?;
        let metadata = file.metadata()?;
        assert_eq!((metadata.accessed()?, metadata.modified()?), (then(12_345), then(99_999)));
        assert!(!file.is_terminal());
        Ok(())
    });
}

#[test]
fn clones_share_the_position() {
    everywhere_in(|dir| {
        let mut one = File::create_new(dir.join("file"))?;
        let mut other = one.try_clone()?;
        one.write_all(b"hello world")?;
        assert_eq!(other.stream_position()?, 11);
        one.seek(SeekFrom::Start(2))?;
        let mut rest = Vec::new();
        other.read_to_end(&mut rest)?;
        assert_eq!(rest, b"llo world");
        drop(other);
        one.write_all(b"!")?;
        assert_eq!(fs::read(dir.join("file"))?, b"hello world!");
        Ok(())
    });
}

#[test]
fn debug_output_names_the_file() {
    everywhere_in(|dir| {
        let output = format!("{:?}", File::create(dir.join("famous"))?);
        assert!(output.starts_with("File {") && output.contains("famous"), "{output}");
        Ok(())
    });
}

#[test]
fn files_may_be_sent_shared_and_used_across_a_caught_panic() {
    fn check<T: Send + Sync + Unpin + std::panic::UnwindSafe + std::panic::RefUnwindSafe>() {}
    check::<File>();
    check::<OpenOptions>();
}
