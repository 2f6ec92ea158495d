//! Coroutines that are made and thrown away. A call counts by the definition it leads to, never by its name.

use super::report::{Problem, ProblemKind};
use super::resolver::{Entity, Resolver};
use super::verdicts::relative;
use super::world::{ModId, World};

/// Calls that stand alone on a line and make a coroutine.
pub(super) fn problems(world: &World, members: &[ModId]) -> Vec<Problem> {
    let resolver = Resolver::new(world);
    let mut found = Vec::new();
    for module in members {
        let Some(facts) = world.facts(*module) else {
            continue;
        };
        for call in &facts.calls {
            let Some(Entity::Function {
                defined,
                is_coroutine: true,
            }) = resolver.target(*module, &call.target)
            else {
                continue;
            };
            found.push(Problem {
                kind: ProblemKind::CoroutineNotAwaited {
                    call: call.text.clone(),
                    defined,
                    in_coroutine: call.in_coroutine,
                    offset: call.offset,
                },
                file: relative(world, *module),
                place: call.place,
                module: world.modules[*module].name.clone(),
                chain: Vec::new(),
                reached_by_entry_point: false,
                fails: Vec::new(),
                suggestion: Some(if call.in_coroutine {
                    format!("write `await {}(…)`", call.text)
                } else {
                    "schedule it with `asyncio.create_task`, or call it from a coroutine".to_owned()
                }),
            });
        }
    }
    found
}
