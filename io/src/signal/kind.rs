//! The signals by name, and which of them cannot be waited for.

use std::{error, fmt, io};

use libc::c_int;

/// Defines the signals: variant, constant of the system, documentation.
macro_rules! signals {
    ($($(#[$doc:meta])* $name:ident = $raw:ident,)*) => {
        /// A signal, as signal(7) has it.
        ///
        /// # Examples
        ///
        /// ```
        /// use sward_io::signal::Signal;
        ///
        /// assert_eq!(Signal::Interrupt.to_string(), "SIGINT");
        /// assert_eq!(Signal::from_raw(Signal::Terminate.as_raw()), Some(Signal::Terminate));
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Signal {
            $($(#[$doc])* $name,)*
            /// One of the signals without a meaning of their own (`SIGRTMIN` and up), which the kernel does not merge. The first is zero.
            #[cfg(target_os = "linux")]
            RealTime(u8),
        }

        impl Signal {
            /// Returns the number of the signal on this system.
            ///
            /// # Examples
            ///
            /// ```
            /// assert_eq!(sward_io::signal::Signal::Hangup.as_raw(), 1);
            /// ```
            #[must_use]
            pub fn as_raw(self) -> i32 {
                match self {
                    $(Self::$name => libc::$raw,)*
                    #[cfg(target_os = "linux")]
                    Self::RealTime(n) => libc::SIGRTMIN() + c_int::from(n),
                }
            }

            /// Returns the signal of a number, if it is one on this system.
            ///
            /// # Examples
            ///
            /// ```
            /// use sward_io::signal::Signal;
            ///
            /// assert_eq!(Signal::from_raw(1), Some(Signal::Hangup));
            /// assert_eq!(Signal::from_raw(0), None);
            /// ```
            #[must_use]
            pub fn from_raw(signal: i32) -> Option<Self> {
                match signal {
                    $(libc::$raw => Some(Self::$name),)*
                    #[cfg(target_os = "linux")]
                    _ if (libc::SIGRTMIN()..=libc::SIGRTMAX()).contains(&signal) => {
                        u8::try_from(signal - libc::SIGRTMIN()).ok().map(Self::RealTime)
                    }
                    _ => None,
                }
            }
        }

        /// The name that the system has for it.
        impl fmt::Display for Signal {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$name => f.write_str(stringify!($raw)),)*
                    #[cfg(target_os = "linux")]
                    Self::RealTime(n) => write!(f, "SIGRTMIN+{n}"),
                }
            }
        }
    };
}

signals! {
    /// The terminal is gone, or a daemon is to read its configuration again.
    Hangup = SIGHUP,
    /// Ctrl-C.
    Interrupt = SIGINT,
    /// Ctrl-\\.
    Quit = SIGQUIT,
    /// An instruction that there is not. Cannot be waited for.
    IllegalInstruction = SIGILL,
    /// A breakpoint.
    Trap = SIGTRAP,
    /// `abort`. Whoever waits for it hears of it, and the process ends all the same.
    Abort = SIGABRT,
    /// Memory that cannot be reached. Cannot be waited for.
    Bus = SIGBUS,
    /// Arithmetic without a result. Cannot be waited for.
    FloatingPoint = SIGFPE,
    /// The end, unheard. Cannot be waited for.
    Kill = SIGKILL,
    /// What the program takes it for.
    User1 = SIGUSR1,
    /// Memory that is not there. Cannot be waited for.
    SegmentationFault = SIGSEGV,
    /// What the program takes it for.
    User2 = SIGUSR2,
    /// A write to a pipe that nobody reads. Rust programs ignore it, and get an error from the write.
    Pipe = SIGPIPE,
    /// `alarm`.
    Alarm = SIGALRM,
    /// The request to end: what `kill` sends.
    Terminate = SIGTERM,
    /// A child process has ended or stopped.
    Child = SIGCHLD,
    /// The process goes on after a stop.
    Continue = SIGCONT,
    /// A stop. Cannot be waited for.
    Stop = SIGSTOP,
    /// Ctrl-Z.
    TerminalStop = SIGTSTP,
    /// A process in the background reads from the terminal.
    TerminalInput = SIGTTIN,
    /// A process in the background writes to the terminal.
    TerminalOutput = SIGTTOU,
    /// A socket has urgent data.
    Urgent = SIGURG,
    /// The limit of computing time is reached.
    CpuLimit = SIGXCPU,
    /// The limit of a file's size is reached.
    FileSizeLimit = SIGXFSZ,
    /// A timer that counts the process's own time.
    VirtualAlarm = SIGVTALRM,
    /// A timer that counts the process's time, the kernel's for it included.
    Profiling = SIGPROF,
    /// The terminal's window has another size.
    WindowChange = SIGWINCH,
    /// A descriptor is ready.
    Io = SIGIO,
    /// A system call that there is not.
    SystemCall = SIGSYS,
}

impl Signal {
    /// Whether it can be waited for. Two cannot be caught. The others tell of a fault of the thread itself, which repeats as soon
    /// as the handler returns.
    pub(super) fn check(self) -> Result<c_int, ForbiddenSignal> {
        use Signal::{Bus, FloatingPoint, IllegalInstruction, Kill, SegmentationFault, Stop};

        let is_forbidden =
            matches!(self, Kill | Stop | IllegalInstruction | FloatingPoint | SegmentationFault | Bus);
        if is_forbidden || Self::from_raw(self.as_raw()) != Some(self) {
            return Err(ForbiddenSignal(self));
        }
        Ok(self.as_raw())
    }
}

/// The error of waiting for a signal that cannot be waited for, or that this system does not have.
///
/// It is inside the [`io::Error`], of kind [`InvalidInput`](io::ErrorKind::InvalidInput), that
/// [`Signals::new`](super::Signals::new) returns.
///
/// # Examples
///
/// ```
/// use sward_io::signal::{ForbiddenSignal, Signal, Signals};
///
/// let error = Signals::new([Signal::Kill]).unwrap_err();
/// let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<ForbiddenSignal>());
/// assert_eq!(inner.map(ForbiddenSignal::signal), Some(Signal::Kill));
/// assert_eq!(error.to_string(), "SIGKILL cannot be waited for");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForbiddenSignal(Signal);

impl ForbiddenSignal {
    /// Returns the signal.
    ///
    /// # Examples
    ///
    /// ```
    /// use sward_io::signal::{ForbiddenSignal, Signal, Signals};
    ///
    /// let error = Signals::new([Signal::Stop]).unwrap_err();
    /// let forbidden = error.downcast::<ForbiddenSignal>()?;
    /// assert_eq!(forbidden.signal(), Signal::Stop);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn signal(&self) -> Signal {
        self.0
    }
}

impl fmt::Display for ForbiddenSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cannot be waited for", self.0)
    }
}

impl error::Error for ForbiddenSignal {}

impl From<ForbiddenSignal> for io::Error {
    fn from(error: ForbiddenSignal) -> Self {
        Self::new(io::ErrorKind::InvalidInput, error)
    }
}
