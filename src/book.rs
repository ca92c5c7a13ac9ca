//! The programs of the book, `docs/README.md` and `docs/book`, as doc tests. `docs/book/check.py` sees to it that none is missing.

macro_rules! chapters {
    ($($name:ident: $file:literal,)*) => {
        $(
            #[doc = include_str!(concat!("../docs/", $file, ".md"))]
            struct $name;
        )*
    };
}

chapters! {
    Introduction: "README",
    GettingStarted: "book/getting-started",
    Thread: "book/thread",
    Sync: "book/sync",
    Channel: "book/channel",
    Task: "book/task",
    Ending: "book/ending",
    Coroutine: "book/coroutine",
    Actor: "book/actor",
    Net: "book/net",
    System: "book/system",
    Async: "book/async",
    FromStd: "book/from-std",
    FromGo: "book/from-go",
    FromTokio: "book/from-tokio",
    FromAsyncio: "book/from-asyncio",
    FromMay: "book/from-may",
    Pictures: "book/pictures",
    Soundness: "book/soundness",
    Tuning: "book/tuning",
    Testing: "book/testing",
    Inside: "book/inside",
}
