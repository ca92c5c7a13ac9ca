//! Alignment, limits, and strings that are left half read.

use super::*;

#[test]
fn aligned_buffers_are_aligned_and_as_long_as_asked_for() {
    for len in [0, 1, 512, 4096, 100_000] {
        let mut zeroed = Buffer::zeroed(len, true);
        assert_eq!(zeroed.as_bytes().as_ptr().addr() % ALIGNMENT, 0);
        assert_eq!(zeroed.as_bytes_mut().len(), len);
        assert_eq!(Buffer::zeroed(len, false).as_bytes().len(), len);

        let source: Vec<u8> = (0..len).map(|at| at as u8).collect();
        let (one, other) = source.split_at(len / 3);
        let bufs = [IoSlice::new(one), IoSlice::new(&[]), IoSlice::new(other)];
        for is_aligned in [true, false] {
            let copy = Buffer::gathered(&bufs, usize::MAX, is_aligned).unwrap();
            assert_eq!(copy.as_bytes(), source);
            assert!(!is_aligned || copy.as_bytes().as_ptr().addr().is_multiple_of(ALIGNMENT));
        }
    }
}

#[test]
fn a_limit_cuts_the_copy_off() {
    let bufs = [IoSlice::new(b"abc"), IoSlice::new(b"def")];
    for (limit, expected) in [(0, ""), (2, "ab"), (3, "abc"), (5, "abcde"), (9, "abcdef")] {
        assert_eq!(Buffer::gathered(&bufs, limit, false).unwrap().as_bytes(), expected.as_bytes());
    }
}

#[test]
fn what_was_read_fills_one_slice_after_the_other() {
    let (mut one, mut other) = ([0; 2], [0; 3]);
    scatter(b"abc", &mut [IoSliceMut::new(&mut one), IoSliceMut::new(&mut []), IoSliceMut::new(&mut other)]);
    assert_eq!((&one, &other), (b"ab", b"c\0\0"));
}

#[test]
fn a_string_keeps_what_is_valid() {
    let mut string = String::from("so ");
    let mut text = Text::take_from(&mut string);
    text.bytes().extend_from_slice("weit".as_bytes());
    assert!(text.finish());
    assert_eq!(string, "so weit");

    let mut text = Text::take_from(&mut string);
    text.bytes().extend_from_slice(b"?\xff");
    assert!(!text.finish());
    assert_eq!(string, "so weit");

    // Left in the middle of a character, as by a cancellation.
    let mut text = Text::take_from(&mut string);
    text.bytes().extend_from_slice(&"? nö".as_bytes()[..4]);
    drop(text);
    assert_eq!(string, "so weit? n");
}
