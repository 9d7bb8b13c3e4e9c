//! Rewriting a filter's terms: what can loop or build counts its steps, and `*` is bounded.

use super::bounds::{STEP, TIMES};
use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Def, Pattern, Term};
use jaq_core::ops::Math;
use jaq_core::path::Part;

/// A variable that no filter can name.
const FACTOR: &str = "$!factor";

/// Makes a definition, and those in it, count a step for each call.
pub(super) fn bound_def<'s>(def: &mut Def<&'s str, Term<&'s str>>) {
    bound(&mut def.body);
    step_before(&mut def.body);
}

/// The step comes first, so that a call at the end of a body stays one: those do not fill the stack.
fn step_before(term: &mut Term<&str>) {
    let body = Box::new(std::mem::take(term));
    *term = Term::BinOp(Box::new(call(STEP, Vec::new())), BinaryOp::Pipe(None), body);
}

fn step_after(term: &mut Term<&str>) {
    let built = Box::new(std::mem::take(term));
    *term = Term::BinOp(built, BinaryOp::Pipe(None), Box::new(call(STEP, Vec::new())));
}

/// A call of a filter.
pub(super) fn call<'s>(name: &'s str, arguments: Vec<Term<&'s str>>) -> Term<&'s str> {
    Term::Call(name, arguments)
}

/// Bounds a term and all that is in it.
pub(super) fn bound(term: &mut Term<&str>) {
    bound_parts(term);
    bound_product(term);
    match term {
        Term::Arr(Some(_)) => step_after(term),
        Term::Obj(fields) if !fields.is_empty() => step_after(term),
        _ => {}
    }
}

fn bound_parts(term: &mut Term<&str>) {
    match term {
        Term::Id | Term::Recurse | Term::Num(_) | Term::Break(_) | Term::Var(_) => {}
        Term::Str(_, parts) => parts.iter_mut().for_each(bound_string),
        Term::Arr(term) => term.iter_mut().for_each(|term| bound(term)),
        Term::Neg(term) | Term::Label(_, term) => bound(term),
        Term::Obj(fields) => fields.iter_mut().for_each(|(key, value)| {
            bound(key);
            value.iter_mut().for_each(bound);
        }),
        Term::BinOp(left, op, right) => {
            bound(left);
            bound(right);
            if let BinaryOp::Pipe(Some(pattern)) = op {
                bound_pattern(pattern);
            }
        }
        Term::Fold(_, over, pattern, terms) => {
            bound(over);
            bound_pattern(pattern);
            terms.iter_mut().for_each(bound);
            // After the value to begin with, what is done in each round.
            terms.iter_mut().skip(1).take(1).for_each(step_before);
        }
        Term::TryCatch(term, catch) => {
            bound(term);
            catch.iter_mut().for_each(|catch| bound(catch));
        }
        Term::IfThenElse(branches, otherwise) => {
            branches.iter_mut().flat_map(|(condition, then)| [condition, then]).for_each(bound);
            otherwise.iter_mut().for_each(|otherwise| bound(otherwise));
        }
        Term::Def(defs, term) => {
            defs.iter_mut().for_each(bound_def);
            bound(term);
        }
        Term::Call(_, arguments) => arguments.iter_mut().for_each(bound),
        Term::Path(term, path) => {
            bound(term);
            path.0.iter_mut().for_each(|(part, _)| bound_part(part));
        }
    }
}

fn bound_string(part: &mut StrPart<&str, Term<&str>>) {
    if let StrPart::Term(term) = part {
        bound(term);
    }
}

fn bound_part(part: &mut Part<Term<&str>>) {
    match part {
        Part::Index(index) => bound(index),
        Part::Range(from, to) => from.iter_mut().chain(to).for_each(bound),
    }
}

fn bound_pattern(pattern: &mut Pattern<&str>) {
    match pattern {
        Pattern::Var(_) => {}
        Pattern::Arr(patterns) => patterns.iter_mut().for_each(bound_pattern),
        Pattern::Obj(fields) => fields.iter_mut().for_each(|(key, pattern)| {
            bound(key);
            bound_pattern(pattern);
        }),
    }
}

/// Puts the bounded product in the place of `l * r` and `l *= r`.
fn bound_product(term: &mut Term<&str>) {
    let Term::BinOp(left, op, right) = term else { return };
    let update = match op {
        BinaryOp::Math(Math::Mul) => false,
        BinaryOp::UpdateMath(Math::Mul) => true,
        _ => return,
    };
    let (left, right) = (std::mem::take(left), std::mem::take(right));
    *term = if update {
        // As jaq defines it: `r as $factor | l |= . * $factor`.
        let product = call(TIMES, vec![Term::Id, Term::Var(FACTOR)]);
        let updated = Term::BinOp(left, BinaryOp::Update, Box::new(product));
        Term::BinOp(right, BinaryOp::Pipe(Some(Pattern::Var(FACTOR))), Box::new(updated))
    } else {
        call(TIMES, vec![*left, *right])
    };
}
