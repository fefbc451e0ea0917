//! Complaints of our engine in the words of Jinja2: reports of StackStorm's carry them.

/// Tags that open a block, and what may stand in it.
const BLOCKS: &[(&str, &[&str])] = &[
    ("for", &["endfor", "else"]),
    ("if", &["elif", "else", "endif"]),
    ("block", &["endblock"]),
    ("macro", &["endmacro"]),
    ("call", &["endcall"]),
    ("filter", &["endfilter"]),
    ("with", &["endwith"]),
    ("autoescape", &["endautoescape"]),
];

/// What Jinja2 would say of `text`, where our engine says `said`.
pub(super) fn of(said: &str, text: &str) -> String {
    let quoted = |from: &str| from.split('`').nth(1).unwrap_or_default().to_owned();
    if let Some(tag) = said.strip_prefix("unknown statement ") {
        return unknown_tag(tag, text);
    }
    if said == "unexpected input after expression" {
        return "chunk after expression".to_owned();
    }
    let Some(rest) = said.strip_prefix("unexpected ") else { return said.to_owned() };
    let (found, expected) = rest.split_once(", expected ").unwrap_or((rest, ""));
    match (found.starts_with("end of "), expected) {
        (true, "" | "expression") => "unexpected 'end of template'".to_owned(),
        (true, expected) if expected.contains('`') => {
            format!("unexpected end of template, expected '{}'.", quoted(expected))
        }
        (true, expected) => format!("unexpected end of template, expected {expected}."),
        (false, "") if found.contains('`') => format!("unexpected '{}'", quoted(found)),
        (false, expected) if found.contains('`') && expected.contains('`') => {
            format!("expected token '{}', got '{}'", quoted(expected), quoted(found))
        }
        _ => said.to_owned(),
    }
}

fn unknown_tag(tag: &str, text: &str) -> String {
    let mut message = format!("Encountered unknown tag '{tag}'.");
    let before = text.find(&format!("% {tag}")).map_or(text, |at| &text[..at]);
    let mut open: Vec<&str> = Vec::new();
    for piece in before.split("{%").skip(1) {
        let words = piece.trim_start_matches(['-', '+']).split_whitespace();
        let word = words.map(|word| word.trim_end_matches("%}")).next().unwrap_or_default();
        if BLOCKS.iter().any(|(name, _)| *name == word) {
            open.push(word);
        } else if word.starts_with("end") {
            open.pop();
        }
    }
    let block = open.last().and_then(|open| BLOCKS.iter().find(|(name, _)| name == open));
    if let Some((name, inner)) = block {
        let tags: Vec<String> = inner.iter().map(|tag| format!("'{tag}'")).collect();
        message.extend([format!(
            " Jinja was looking for the following tags: {}. The innermost block that needs to be \
             closed is '{name}'.",
            tags.join(" or ")
        )]);
    }
    message
}
