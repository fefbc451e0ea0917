//! What is said of StackStorm's files that are not run: what they would be here.

use std::path::Path;

use crate::model::problem::{Place, Problem};
use crate::model::trigger::Trigger;
use crate::packs::disk::File;
use crate::packs::yaml::{Node, Tree};

/// The warning about a rule in YAML, with the same rule in Rhai begun.
pub(crate) fn rule(file: &File) -> Problem {
    let node = file.yaml(&mut Vec::new());
    let at = |path: &[&str]| {
        let found = path.iter().try_fold(node.as_ref()?, |node, key| node.get(key))?;
        if let Tree::Text(text) = &found.tree { Some(text.clone()) } else { None }
    };
    let name = at(&["name"]).unwrap_or_else(|| file.stem().to_owned());
    let trigger = at(&["trigger", "type"]).unwrap_or_else(|| "pack.trigger".to_owned());
    let action = at(&["action", "ref"]).unwrap_or_else(|| "pack.action".to_owned());
    let shown = file.place.file.display();
    let message = format!("`{shown}` is a rule of StackStorm's, and those are not run");
    let help = format!(
        "write it into `{}`: {}",
        file.place.file.with_file_name("NAME.rhai").display().to_string().replace("NAME", &name),
        example(&name, &trigger, &action)
    );
    Problem::warning("yaml_rule", file.place.clone(), message).help(help)
}

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
