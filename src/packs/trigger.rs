//! `triggers/*.yaml`, and the trigger types inside StackStorm's sensor files.

use std::sync::Arc;

use serde_json::Value;

use crate::model::problem::{Place, Problem, Severity};
use crate::model::trigger::Trigger;
use crate::packs::action::named;
use crate::packs::fields::Fields;
use crate::packs::schema;
use crate::packs::yaml::Node;

/// Reads one trigger of `pack`.
pub(crate) fn read(
    node: &Node,
    pack: &str,
    place: &Place,
    problems: &mut Vec<Problem>,
) -> Option<Trigger> {
    let mut fields = Fields::new(node, place, "trigger", problems);
    let name = fields.required("name");
    let given = fields.text("pack");
    let description = fields.text("description").unwrap_or_default();
    let payload = fields.node("payload_schema");
    let parameters = fields.node("parameters_schema");
    let tags = fields.list("tags").iter().map(Node::to_json).collect();
    fields.finish(Severity::Error, &["metadata_file", "uid", "id", "ref"]);
    if let Some(given) = given.filter(|given| given != pack) {
        let message = format!("the trigger says it is in pack `{given}`");
        let problem = Problem::error("other_pack", node.find("pack", place), message)
            .help(format!("remove the line: the file is in pack `{pack}`"));
        problems.push(problem);
    }
    let mut checked = |node: Option<&Node>| {
        let schema = node.map_or(Value::Null, Node::to_json);
        if let (Some(node), Err(message)) = (node, schema::compile(&schema)) {
            problems.push(Problem::error("bad_schema", node.place(place), message));
        }
        Arc::new(schema::standard(&schema))
    };
    let (payload_schema, parameters_schema) = (checked(payload), checked(parameters));
    let reference = named(pack, &name, node, place, problems)?;
    Some(Trigger { reference, description, payload_schema, parameters_schema, tags })
}
