//! From jq's text to a filter: which filters there are, and what is wrong with a text.

use super::bounds::{self, Bounded, STEP};
use super::terms::{bound, bound_def, call};
use jaq_core::compile::Undefined;
use jaq_core::load::parse::{BinaryOp, Def, Term};
use jaq_core::load::{Arena, File, Lexer, Loader, Parser, span};
use jaq_core::native::Fun;
use jaq_core::{Compiler, Filter};

/// The name of the filter as a whole.
const MAIN: &str = "redis2pg_main";
/// jaq's own `range`, whose values no definition counts.
const RANGE: &str = "!range";

/// What a filter must not do: look at the environment, the clock or the time zone of this machine, write to its
/// terminal, or end the process.
const LEFT_OUT: [&str; 10] = [
    "env",
    "now",
    "localtime",
    "strflocaltime",
    "halt",
    "halt_error",
    "debug",
    "debug_empty",
    "stderr",
    "stderr_empty",
];

/// Compiles a filter.
///
/// # Errors
/// What is wrong with it, for people.
pub(super) fn compile(code: &str) -> Result<Filter<Bounded>, String> {
    let mut main = parse(code)?;
    bound(&mut main);
    let main = Def { name: MAIN, args: Vec::new(), body: main };
    let loader = Loader::new(prelude().chain([main]));
    let arena = Arena::default();
    // The definitions are parsed already, and the one name that is left is well-formed.
    let modules =
        loader.load(&arena, File { code: MAIN, path: () }).map_err(|_| "the filter cannot be loaded".to_owned())?;
    Compiler::default().with_funs(funs()).compile(modules).map_err(|errors| {
        let undefined = errors.into_iter().flat_map(|(_, undefined)| undefined);
        let named = undefined.map(|(name, kind)| missing(name, &kind));
        named.collect::<Vec<_>>().join("; ")
    })
}

fn missing(name: &str, kind: &Undefined) -> String {
    let why = if LEFT_OUT.contains(&name) || name == "$ENV" || name.starts_with("input") {
        ": a filter sees its value only, not the machine that it runs on"
    } else {
        ""
    };
    match kind {
        Undefined::Filter(arity) => format!("there is no filter `{name}/{arity}`{why}"),
        kind => format!("there is no {} `{name}`{why}", kind.as_str()),
    }
}

/// The definitions that filters can use.
fn prelude<'s>() -> impl Iterator<Item = Def<&'s str>> {
    let defs = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs());
    let defs = defs.filter(|def| !LEFT_OUT.contains(&def.name)).map(|mut def| {
        bound_def(&mut def);
        def
    });
    [range()].into_iter().chain(defs)
}

/// `range($from; $upto; $by)`, which counts each of its values.
fn range<'s>() -> Def<&'s str> {
    let args = vec!["$from", "$upto", "$by"];
    let values = call(RANGE, args.iter().map(|name| Term::Var(*name)).collect());
    let body = Term::BinOp(Box::new(values), BinaryOp::Pipe(None), Box::new(call(STEP, Vec::new())));
    Def { name: "range", args, body }
}

/// The filters that are written in Rust.
fn funs() -> impl Iterator<Item = Fun<Bounded>> {
    let funs = jaq_core::funs().chain(jaq_std::funs()).chain(jaq_json::funs());
    let funs = funs.filter(|(name, ..)| !LEFT_OUT.contains(name));
    let funs = funs.map(|(name, args, native)| (if name == "range" { RANGE } else { name }, args, native));
    funs.chain(bounds::funs())
}

/// Reads a filter: a term alone, without `import` and the like.
fn parse(code: &str) -> Result<Term<&str>, String> {
    let place =
        |at: &str| format!("at character {}", code.get(..span(code, at).start).map_or(0, |s| s.chars().count()) + 1);
    let tokens = Lexer::new(code).lex().map_err(|errors| {
        let words = errors.iter().map(|(expected, at)| format!("{} is expected {}", expected.as_str(), place(at)));
        words.collect::<Vec<_>>().join("; ")
    })?;
    Parser::new(&tokens).parse(|parser| parser.term()).map_err(|errors| {
        let words = errors.iter().map(|(expected, found)| {
            let place = found.map_or_else(|| "at the end".to_owned(), |token| place(token.0));
            format!("{} is expected {place}", expected.as_str())
        });
        words.collect::<Vec<_>>().join("; ")
    })
}
