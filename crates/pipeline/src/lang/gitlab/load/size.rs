//! What a configuration would grow to.
//!
//! A few lines can mean a lot of work: what stands at the top counts for every job, a job counts for each member of
//! its matrix, and what is extended or referenced is shared while it is loaded but not afterwards. The estimate
//! refuses what would not fit before the memory is spent.

use super::{Config, SCHEMA};
use crate::Session;
use crate::diag::code;
use crate::yaml::{Node, Value};

/// Most members that are taken into account: more are refused where `parallel` is checked.
const MOST_MEMBERS: usize = 200;

/// Whether the jobs fit into the limits; reported where they do not.
pub(super) fn fits(session: &Session<'_>, config: &Config) -> bool {
    let limit = (session.input.context.limits.yaml.nodes as usize).saturating_mul(4);
    let inherited = [
        "default",
        "variables",
        "image",
        "services",
        "before_script",
        "after_script",
        "cache",
        "workflow",
    ];
    let shared: usize = inherited
        .iter()
        .filter_map(|key| config.get(key))
        .map(|node| node.weight() as usize)
        .sum();
    let mut total = 0_usize;
    for job in config.jobs() {
        let own = job.body.weight() as usize;
        total = total.saturating_add((own + shared).saturating_mul(members(job.body)));
        if total > limit {
            let message = format!(
                "the configuration is too big: up to here its jobs have more than {limit} values, counting what they \
                 inherit and each job that `parallel` makes"
            );
            session.error(&code::YAML_TOO_BIG, job.name.span, message);
            return false;
        }
    }
    true
}

/// How many jobs `parallel` makes of one.
fn members(body: &Node) -> usize {
    let Some(parallel) = body.get("parallel") else { return 1 };
    let count = match parallel.value(SCHEMA) {
        Value::Int(n) => usize::try_from(n).unwrap_or(1),
        Value::Map(map) => map
            .get("matrix")
            .and_then(Node::as_seq)
            .map_or(1, |rows| rows.iter().map(product).sum()),
        Value::Null
        | Value::Bool(_)
        | Value::Float(_)
        | Value::Text(_)
        | Value::Symbol(_)
        | Value::Date(_)
        | Value::Seq(_)
        | Value::Reference(_) => 1,
    };
    count.clamp(1, MOST_MEMBERS)
}

fn product(row: &Node) -> usize {
    let values = row.as_map().into_iter().flat_map(|map| map.iter());
    let lengths = values.map(|(_, value)| value.as_seq().map_or(1, |items| items.len()));
    lengths.fold(1, usize::saturating_mul)
}
