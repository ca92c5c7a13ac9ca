//! A dump as JSON, for tools.

use std::fmt::{self, Write};

use super::{Dump, Frame, ThreadDump};
use crate::{park::WaitReason, thread::State};

impl Dump {
    /// The dump as JSON, on one line.
    ///
    /// An object with `workers`, `busy`, `is_ending`, `live` and `threads`. Each of these has `id`, `parent`, `name`, `spawned_at`, `state` (`"waiting"`,
    /// `"runnable"`, `"running"`, `"finished"` or `"not started"`), `waits_for`, `lasting_ms`, `worker`, `os_thread`, `behind`, and `stack`: objects with `function`, `file`,
    /// `line` and `address`, innermost first. What is not known is `null`.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_runtime::runtime::Builder;
    ///
    /// let runtime = Builder::new().workers(1).build()?;
    /// assert!(runtime.handle().dump().to_json().starts_with(r#"{"workers":1,"#));
    /// # Ok::<(), sward_runtime::error::BuildError>(())
    /// ```
    #[must_use]
    pub fn to_json(&self) -> String {
        Object(|f: &mut fmt::Formatter<'_>| {
            write!(f, r#""workers":{},"busy":{},"is_ending":{},"#, self.workers, self.busy, self.is_ending)?;
            write!(f, r#""live":{},"threads":{}"#, self.live, List(&self.threads, thread))
        })
        .to_string()
    }
}

fn thread(f: &mut fmt::Formatter<'_>, thread: &ThreadDump) -> fmt::Result {
    let (state, reason) = match (thread.running, thread.state) {
        (Some(_), _) => ("running", None),
        (None, State::Waiting(WaitReason::NotStarted)) => ("not started", None),
        (None, State::Waiting(reason)) => ("waiting", Some(format!("{reason:?}"))),
        (None, State::Runnable) => ("runnable", None),
        (None, State::Finished) => ("finished", None),
    };
    write!(f, r#""id":{},"parent":{},"#, thread.id.number(), Or(thread.parent.map(|id| id.number())))?;
    write!(f, r#""name":{},"#, Or(thread.name.as_deref().map(Text)))?;
    write!(f, r#""spawned_at":{},"#, Text(&thread.spawned_at.to_string()))?;
    write!(f, r#""state":{},"waits_for":{},"#, Text(state), Or(reason.as_deref().map(Text)))?;
    write!(f, r#""lasting_ms":{},"#, thread.lasting.as_millis())?;
    write!(f, r#""worker":{},"#, Or(thread.running.map(|on| on.worker)))?;
    write!(f, r#""os_thread":{},"#, Or(thread.running.map(|on| on.os_thread)))?;
    write!(f, r#""behind":{},"#, Or(thread.running.map(|on| on.behind)))?;
    write!(f, r#""stack":{}"#, List(&thread.stack, frame))
}

fn frame(f: &mut fmt::Formatter<'_>, frame: &Frame) -> fmt::Result {
    let file = frame.file.as_ref().map(|file| file.to_string_lossy());
    write!(f, r#""function":{},"#, Or(frame.function.as_deref().map(Text)))?;
    write!(f, r#""file":{},"#, Or(file.as_deref().map(Text)))?;
    write!(f, r#""line":{},"address":{}"#, Or(frame.line), frame.address)
}

/// The members that a function writes, as an object.
struct Object<F>(F);

impl<F: Fn(&mut fmt::Formatter<'_>) -> fmt::Result> fmt::Display for Object<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('{')?;
        (self.0)(f)?;
        f.write_char('}')
    }
}

/// An array of objects, whose members a function writes.
struct List<'a, T, F>(&'a [T], F);

impl<T, F: Fn(&mut fmt::Formatter<'_>, &T) -> fmt::Result> fmt::Display for List<'_, T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('[')?;
        for (i, item) in self.0.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            write!(f, "{comma}{}", Object(|f: &mut fmt::Formatter<'_>| (self.1)(f, item)))?;
        }
        f.write_char(']')
    }
}

/// A value, or null.
struct Or<T>(Option<T>);

impl<T: fmt::Display> fmt::Display for Or<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(value) => value.fmt(f),
            None => f.write_str("null"),
        }
    }
}

/// A string.
struct Text<'a>(&'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for c in self.0.chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                c if c < ' ' => write!(f, "\\u{:04x}", u32::from(c))?,
                c => f.write_char(c)?,
            }
        }
        f.write_char('"')
    }
}
