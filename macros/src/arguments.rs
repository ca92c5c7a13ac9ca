//! What stands in the parentheses of an attribute.

use proc_macro2::Span;
use syn::{
    Error, Expr, ExprArray, ExprLit, Ident, Lit, Result, Token, parenthesized,
    parse::{Parse, ParseStream},
};

/// The arguments of an attribute.
#[derive(Debug)]
pub(crate) struct Arguments {
    /// None, one or several numbers.
    pub(crate) workers: Vec<usize>,
    /// In milliseconds.
    pub(crate) timeout: Option<u64>,
    /// `None`: nothing is said, as good as `Anchored`.
    pub(crate) mode: Option<Mode>,
    /// Where the last one stands.
    pub(crate) span: Span,
}

/// Whether started green threads move.
#[derive(Debug)]
pub(crate) enum Mode {
    Anchored,
    /// With the place of the word that vouches for it.
    Roaming(Span),
}

impl Parse for Arguments {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut arguments = Self { workers: Vec::new(), timeout: None, mode: None, span: Span::call_site() };
        while !input.is_empty() {
            let vouched: Option<Token![unsafe]> = input.parse()?;
            let (name, value) = if vouched.is_some() {
                let inside;
                parenthesized!(inside in input);
                let pair = pair(&inside)?;
                if !inside.is_empty() {
                    return Err(inside.error("`unsafe` is for `mode = \"roaming\"` alone"));
                }
                pair
            } else {
                pair(input)?
            };
            arguments.span = name.span();
            match name.to_string().as_str() {
                "mode" if arguments.mode.is_some() => return Err(twice(&name)),
                "mode" => arguments.mode = Some(mode(&value, vouched)?),
                _ if vouched.is_some() => {
                    return Err(Error::new_spanned(name, "`unsafe` is for `mode = \"roaming\"` alone"));
                }
                "workers" if !arguments.workers.is_empty() => return Err(twice(&name)),
                "timeout" if arguments.timeout.is_some() => return Err(twice(&name)),
                "workers" => arguments.workers = all_different(&value, numbers(&value)?)?,
                "timeout" => arguments.timeout = Some(milliseconds(&value)?),
                _ => {
                    return Err(Error::new_spanned(
                        name,
                        "the arguments are `workers`, `timeout` and `mode`",
                    ));
                }
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(arguments)
    }
}

/// `name = value`.
fn pair(input: ParseStream<'_>) -> Result<(Ident, Expr)> {
    let name = input.parse()?;
    input.parse::<Token![=]>()?;
    Ok((name, input.parse()?))
}

fn mode(value: &Expr, vouched: Option<Token![unsafe]>) -> Result<Mode> {
    let text = match value {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => text.value(),
        _ => String::new(),
    };
    match (text.as_str(), vouched) {
        ("anchored", None) => Ok(Mode::Anchored),
        ("roaming", Some(vouched)) => Ok(Mode::Roaming(vouched.span)),
        ("roaming", None) => Err(Error::new_spanned(
            value,
            "roaming mode has a contract, that of `Builder::roaming`: `unsafe(mode = \"roaming\")`",
        )),
        ("anchored", Some(_)) => Err(Error::new_spanned(value, "`unsafe` is for `mode = \"roaming\"` alone")),
        _ => Err(Error::new_spanned(value, "`mode` is \"anchored\", or `unsafe(mode = \"roaming\")`")),
    }
}

fn twice(name: &Ident) -> Error {
    Error::new_spanned(name, format_args!("`{name}` is given twice"))
}

fn numbers(value: &Expr) -> Result<Vec<usize>> {
    match value {
        Expr::Array(ExprArray { elems, .. }) if !elems.is_empty() => elems.iter().map(number).collect(),
        other => Ok(vec![number(other)?]),
    }
}

fn all_different(value: &Expr, numbers: Vec<usize>) -> Result<Vec<usize>> {
    let is_new = |(i, number): (usize, &usize)| !numbers[..i].contains(number);
    if numbers.iter().enumerate().all(is_new) {
        return Ok(numbers);
    }
    Err(Error::new_spanned(value, "a number of workers is given twice"))
}

fn number(value: &Expr) -> Result<usize> {
    if let Expr::Lit(ExprLit { lit: Lit::Int(int), .. }) = value
        && let Ok(number @ 1..) = int.base10_parse()
    {
        return Ok(number);
    }
    Err(Error::new_spanned(value, "`workers` is a number from 1, or a list of such: `[1, 2, 8]`"))
}

fn milliseconds(value: &Expr) -> Result<u64> {
    if let Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) = value
        && let Some(milliseconds) = duration(&text.value())
    {
        return Ok(milliseconds);
    }
    Err(Error::new_spanned(value, "`timeout` is a text as \"500ms\", \"5s\" or \"2m\""))
}

/// The milliseconds in a text as `500ms`.
fn duration(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let scale = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        _ => return None,
    };
    number.parse::<u64>().ok().filter(|&number| number > 0)?.checked_mul(scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Arguments> {
        syn::parse_str(text)
    }

    #[test]
    fn numbers_lists_and_times_are_read() {
        let arguments = parse("workers = [1, 2, 8], timeout = \"2m\",").unwrap();
        assert_eq!((arguments.workers, arguments.timeout), (vec![1, 2, 8], Some(120_000)));
        let arguments = parse("timeout = \"500ms\", workers = 3").unwrap();
        assert_eq!((arguments.workers, arguments.timeout), (vec![3], Some(500)));
        assert_eq!(parse("").unwrap().workers, []);
    }

    #[test]
    fn a_mode_is_read_and_roaming_has_to_be_vouched_for() {
        assert!(parse("").unwrap().mode.is_none());
        assert!(matches!(parse("mode = \"anchored\"").unwrap().mode, Some(Mode::Anchored)));
        let arguments = parse("unsafe(mode = \"roaming\"), workers = 2").unwrap();
        assert!(matches!(arguments.mode, Some(Mode::Roaming(_))) && arguments.workers == [2]);
        let error = parse("mode = \"roaming\"").unwrap_err().to_string();
        assert!(error.contains("`unsafe(mode = \"roaming\")`"), "{error}");
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for text in [
            "workers = 0",
            "workers = []",
            "workers = [1, 1]",
            "workers = \"2\"",
            "workers = 1, workers = 2",
            "timeout = 5",
            "timeout = \"5\"",
            "timeout = \"0s\"",
            "timeout = \"5h\"",
            "timeout = \"999999999999999999999ms\"",
            "threads = 1",
            "mode = \"walking\"",
            "mode = roaming",
            "unsafe(mode = \"anchored\")",
            "unsafe(mode = \"roaming\", workers = 1)",
            "unsafe(workers = 1)",
            "unsafe()",
            "unsafe mode = \"roaming\"",
            "mode = \"anchored\", unsafe(mode = \"roaming\")",
            "workers",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
