//! Problems as a good compiler tells them: the line, the column, what was expected, the next step.

use std::ops::Range;
use std::path::Path;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use crate::model::problem::{Place, Problem, Severity};

/// How a report looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Letters only.
    Plain,
    /// With the terminal's colours; strip them with `anstream` where there is no terminal.
    Coloured,
}

/// The problems, each with its line of the file, and at the end how many there are. `source` gives
/// the text of a file, named as seen from the home.
#[must_use]
pub fn report(
    problems: &[Problem],
    source: impl Fn(&Path) -> Option<String>,
    style: Style,
) -> String {
    let renderer = match style {
        Style::Plain => Renderer::plain(),
        Style::Coloured => Renderer::styled(),
    };
    let mut report = String::new();
    for problem in problems {
        let text = source(&problem.place.file);
        report += &renderer.render(&[group(problem, text.as_deref())]);
        report += "\n\n";
    }
    report + &summary(problems)
}

/// `2 errors, 1 warning`, or `no problems`.
#[must_use]
pub fn summary(problems: &[Problem]) -> String {
    let count = |severity| problems.iter().filter(|one| one.severity == severity).count();
    let said = |count: usize, noun: &str| match count {
        0 => None,
        1 => Some(format!("1 {noun}")),
        _ => Some(format!("{count} {noun}s")),
    };
    let parts = [said(count(Severity::Error), "error"), said(count(Severity::Warning), "warning")];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() { "no problems".to_owned() } else { parts.join(", ") }
}

fn group<'a>(problem: &'a Problem, text: Option<&'a str>) -> Group<'a> {
    let level = match problem.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(problem.message.as_str()).id(problem.code.as_str());
    let shown = problem.place.file.to_string_lossy().into_owned();
    let group = match text.and_then(|text| Some((text, span(text, &problem.place)?))) {
        Some((text, span)) => title.element(
            Snippet::source(text).path(shown).annotation(AnnotationKind::Primary.span(span)),
        ),
        None => title.element(annotate_snippets::Origin::path(shown)),
    };
    match &problem.help {
        Some(help) => group.element(Level::HELP.message(help.as_str())),
        None => group,
    }
}

/// The bytes of the word at `place`, or of one character where no word stands there.
fn span(text: &str, place: &Place) -> Option<Range<usize>> {
    let line = usize::try_from(place.line?).ok()?.checked_sub(1)?;
    let column = usize::try_from(place.column.unwrap_or(1)).ok()?.saturating_sub(1);
    let start: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    let rest = text.get(start..)?.split('\n').next()?;
    let at = rest.char_indices().nth(column).map_or(rest.len(), |(at, _)| at);
    let word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    let length = rest[at..].find(|c| !word(c)).unwrap_or(rest.len() - at);
    let one = rest[at..].chars().next().map_or(0, char::len_utf8);
    Some(start + at..start + at + length.max(one))
}
