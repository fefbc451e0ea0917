//! What is said of StackStorm's files that are not run: what they would be here.

use std::path::Path;

use crate::model::problem::{Place, Problem};
use crate::model::trigger::Trigger;
use crate::packs::yaml::Node;

/// The warning about a sensor in Python, with a rule on `trigger`, the first that it describes.
pub(crate) fn sensor(node: &Node, place: &Place, trigger: Option<&Trigger>) -> Problem {
    let class = node.get("class_name").unwrap_or(node);
    let shown = place.file.display();
    let message = format!(
        "`{shown}` is a Python sensor of StackStorm's, and those are not run; the triggers it \
         describes are known"
    );
    let file = Path::new("sensors").join(place.file.file_name().unwrap_or_default());
    let answered = trigger.map_or_else(String::new, |trigger| {
        let reference = &trigger.reference;
        let rule = example(reference.name(), reference.as_str(), "pack.action");
        format!(" with `trigger: {reference}`; rules answer it so: {rule}")
    });
    let help = format!(
        "write a `{}` with one of Ifso's kinds, such as `kind: process` for a program that prints \
         JSON lines{answered}",
        file.display()
    );
    Problem::warning("python_sensor", class.place(place), message).help(help)
}

fn example(name: &str, trigger: &str, action: &str) -> String {
    format!("`rule(\"{name}\", #{{ on: \"{trigger}\", then: |e| run(\"{action}\", #{{ … }}) }});`")
}
