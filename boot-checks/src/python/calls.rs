//! Calls that stand alone on a line, and what each names.

use ruff_python_ast as ast;
use ruff_text_size::Ranged;

use super::expressions::{dotted, is_path};
use super::facts::{Call, CallTarget};
use super::place::Lines;
use super::scope::{Meaning, Scopes};

/// A call that stands alone on a line; `None`: what it names cannot be said.
pub(super) fn lone_call(
    call: &ast::ExprCall,
    scopes: &Scopes,
    lines: &Lines<'_>,
    text: &str,
) -> Option<Call> {
    let target = target(call, scopes)?;
    let range = call.func.range();
    let written = text.get(range.start().to_usize()..range.end().to_usize());
    Some(Call {
        place: lines.place(range.start().to_u32()),
        offset: call.range().start().to_u32(),
        text: written.unwrap_or_default().to_owned(),
        in_coroutine: scopes.is_coroutine(),
        target,
    })
}

fn target(call: &ast::ExprCall, scopes: &Scopes) -> Option<CallTarget> {
    if let Some(attribute) = call.func.as_attribute_expr()
        && let Some(inner) = attribute.value.as_call_expr()
    {
        let plain = is_path(&inner.func, &["super"]) && inner.arguments.args.is_empty();
        let class = scopes.class().filter(|_| plain)?;
        return Some(CallTarget::Super(class, attribute.attr.as_str().to_owned()));
    }
    let path = dotted(&call.func)?;
    let (first, rest) = path.split_first()?;
    match scopes.meaning(first) {
        Meaning::Module => Some(CallTarget::Global(path)),
        Meaning::Instance(class) if !rest.is_empty() => {
            Some(CallTarget::Instance(class, rest.to_vec()))
        }
        Meaning::Local(value) => Some(CallTarget::Local(value, rest.to_vec())),
        Meaning::Instance(_) | Meaning::Unknown => None,
    }
}
