//! What Unix has, under the names of [`std::os::unix`].

#[doc(no_inline)]
pub use std::os::unix::{ffi, io};

pub mod fs;
pub mod net;
pub mod process;

pub mod prelude {
    //! The traits of [`std::os::unix::prelude`], for the types of this crate.
    //!
    //! ```
    //! use sward_io::{fs::File, os::unix::prelude::*, process::Command};
    //!
    //! assert!(File::open("/dev/null")?.as_raw_fd() > 2);
    //! assert_eq!(Command::new("sh").arg0("bee").args(["-c", "echo $0"]).output()?.stdout, b"bee\n");
    //! # Ok::<(), std::io::Error>(())
    //! ```

    #[doc(no_inline)]
    pub use std::os::unix::prelude::*;

    // What is named here hides what has the same name there.
    pub use super::process::CommandExt;
}
