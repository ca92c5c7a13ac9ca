//! The attributes of [`sward`](https://docs.rs/sward): `#[sward::main]` and `#[sward::test]`.
//!
//! They put the function's body into a function of the same name inside it, and call that on a green thread. What they expand to is in
//! `sward`'s `src/attributes.rs`.
#![forbid(unsafe_code)]

mod arguments;

use proc_macro::TokenStream;
use proc_macro2::{Ident, TokenStream as Tokens};
use quote::{format_ident, quote, quote_spanned};
use syn::{Error, ItemFn, Result, parse_macro_input};

use arguments::{Arguments, Mode};

/// Runs a program's `main` on a green thread of a runtime, which ends with it.
///
/// | argument | meaning |
/// |---|---|
/// | `workers = N` | so many workers; one for each CPU if nothing is said |
/// | `mode = "anchored"` | started green threads stay with their worker; so they do if nothing is said |
/// | `unsafe(mode = "roaming")` | started green threads move too, as with the builder's `roaming` |
///
/// What `main` returns must be `Send`: an error is a `Box<dyn Error + Send + Sync>`.
///
/// # Safety
///
/// Who writes `unsafe(mode = "roaming")` promises for the whole program what the method `roaming` of `runtime::Builder` asks for. A crate
/// that forbids `unsafe_code` cannot.
///
/// # Examples
///
/// ```
/// use sward::thread;
///
/// #[sward::main(workers = 2)]
/// fn main() {
///     let sum: u32 = (0..10).map(|i| thread::spawn(move || i)).map(|t| t.join().unwrap()).sum();
///     assert_eq!(sum, 45);
/// }
/// ```
///
/// ```
/// #[sward::main(
///     // SAFETY: nothing in this program uses thread-locals.
///     unsafe(mode = "roaming")
/// )]
/// fn main() {
///     sward::thread::yield_now();
/// }
/// ```
///
/// ```compile_fail
/// #![forbid(unsafe_code)]
///
/// #[sward::main(unsafe(mode = "roaming"))]
/// fn main() {}
/// ```
#[proc_macro_attribute]
pub fn main(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let arguments = parse_macro_input!(arguments as Arguments);
    let item = parse_macro_input!(item as ItemFn);
    expand_main(&arguments, &item).unwrap_or_else(Error::into_compile_error).into()
}

/// Runs a test on a green thread of a runtime of its own.
///
/// | argument | meaning |
/// |---|---|
/// | `workers = N` | so many workers; 2 if nothing is said |
/// | `workers = [1, 2, 8]` | a test for each of these numbers, named `workers_1` and so on in a module of the function's name |
/// | `timeout = "500ms"` | fails if it takes longer, and says what each green thread waits for; `ms`, `s` and `m` are units; 60 seconds if nothing is said |
/// | `mode = "anchored"`, `unsafe(mode = "roaming")` | as with [`macro@main`] |
///
/// A test that is out of time is made to unwind at its next wait; if it has not ended 30 seconds later, the process is aborted.
/// `#[should_panic]`, `#[ignore]` and a `Result` work as with `#[test]`.
///
/// # Examples
///
/// ```
/// use sward::{channel, thread};
///
/// #[sward::test(workers = [1, 2, 8], timeout = "5s")]
/// fn a_message_arrives() {
///     let (sender, receiver) = channel::bounded(0);
///     thread::spawn(move || sender.send(1));
///     assert_eq!(receiver.recv(), Ok(1));
/// }
/// ```
#[proc_macro_attribute]
pub fn test(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let arguments = parse_macro_input!(arguments as Arguments);
    let item = parse_macro_input!(item as ItemFn);
    expand_test(&arguments, &item).unwrap_or_else(Error::into_compile_error).into()
}

/// The function may have no arguments, and be nothing but a plain function.
fn check(item: &ItemFn) -> Result<()> {
    let signature = &item.sig;
    if let Some(argument) = signature.inputs.first() {
        return Err(Error::new_spanned(argument, "the function cannot take arguments"));
    }
    if let Some(asyncness) = &signature.asyncness {
        return Err(Error::new_spanned(
            asyncness,
            "the function is no `async fn`: green threads run plain code",
        ));
    }
    if !signature.generics.params.is_empty() {
        return Err(Error::new_spanned(&signature.generics, "the function cannot be generic"));
    }
    Ok(())
}

/// A builder of the mode. The block is where the word is, for the lints of those who would rather not have any.
fn builder(arguments: &Arguments) -> Tokens {
    match arguments.mode {
        None | Some(Mode::Anchored) => quote!(::sward::runtime::Builder::new()),
        Some(Mode::Roaming(place)) => {
            quote_spanned!(place=> unsafe { ::sward::runtime::Builder::roaming(::sward::runtime::Builder::new()) })
        }
    }
}

fn expand_main(arguments: &Arguments, item: &ItemFn) -> Result<Tokens> {
    check(item)?;
    let builder = builder(arguments);
    let workers = match arguments.workers.as_slice() {
        [] => quote!(::core::option::Option::None),
        [workers] => quote!(::core::option::Option::Some(#workers)),
        [..] => return Err(Error::new(arguments.span, "a program runs with one number of workers")),
    };
    if arguments.timeout.is_some() {
        return Err(Error::new(arguments.span, "`timeout` is for tests"));
    }
    let ItemFn { attrs, vis, sig, block, .. } = item;
    let name = &sig.ident;
    Ok(quote! {
        #(#attrs)*
        #vis #sig {
            #sig #block
            ::sward::__private::main(#builder, #workers, #name)
        }
    })
}

/// The attributes that belong to a test and not to its body.
const OF_TEST: [&str; 3] = ["ignore", "should_panic", "doc"];

fn expand_test(arguments: &Arguments, item: &ItemFn) -> Result<Tokens> {
    check(item)?;
    let builder = builder(arguments);
    let milliseconds = arguments.timeout.unwrap_or(60_000);
    let ItemFn { attrs, vis, sig, block, .. } = item;
    let (name, output) = (&sig.ident, &sig.output);
    // What says how the test is run, and what its body is compiled with.
    let (of_test, of_body): (Vec<_>, Vec<_>) =
        attrs.iter().partition(|attr| OF_TEST.iter().any(|name| attr.path().is_ident(name)));
    let is_list = arguments.workers.len() > 1;
    let outer = if is_list { of_test } else { attrs.iter().collect() };
    let expand = |test: &Ident, workers: usize, block: Tokens| {
        quote! {
            #[::core::prelude::v1::test]
            #(#outer)*
            #vis fn #test() #output {
                #block
                ::sward::__private::test(#builder, #workers, #milliseconds, #name)
            }
        }
    };
    if !is_list {
        let workers = arguments.workers.first().copied().unwrap_or(2);
        return Ok(expand(name, workers, quote!(#sig #block)));
    }
    let tests = arguments
        .workers
        .iter()
        .map(|&workers| expand(&format_ident!("workers_{workers}"), workers, quote!()));
    let of_module = of_body.iter().filter(|attr| attr.path().is_ident("cfg"));
    Ok(quote! {
        #[cfg(test)]
        #(#of_body)*
        #sig #block

        #[cfg(test)]
        #(#of_module)*
        mod #name {
            // For the function, and the type that it returns.
            use super::*;
            #(#tests)*
        }
    })
}
