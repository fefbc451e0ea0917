//! Pictures that the server draws: SVG whose colours come from the style sheet.

use std::fmt::Write;

use crate::web::render::escaped;

/// Units of a plot's picture.
const WIDTH: usize = 600;
const HEIGHT: usize = 72;

/// One bar: its value, where there is one, and its words.
pub(crate) struct Bar {
    pub(crate) value: Option<u64>,
    pub(crate) words: String,
}

/// A row of bars, oldest first.
#[expect(clippy::cast_precision_loss, reason = "a picture needs no more")]
pub(crate) fn bars(title: &str, bars: &[Bar]) -> String {
    let most = bars.iter().filter_map(|bar| bar.value).max().unwrap_or(0).max(1);
    let step = WIDTH as f64 / bars.len().max(1) as f64;
    let mut svg = format!(
        "<svg class=\"plot\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\" \
         aria-label=\"{}\">",
        escaped(title)
    );
    for (at, bar) in bars.iter().enumerate() {
        let (x, width) = (at as f64 * step, (step - 1.5).max(0.5));
        let words = escaped(&bar.words);
        let (class, height) = match bar.value {
            None => ("none", 1.0),
            Some(0) => ("zero", 1.0),
            Some(value) => ("bar", (value as f64 / most as f64 * (HEIGHT - 2) as f64).max(2.0)),
        };
        let y = HEIGHT as f64 - height;
        put(
            &mut svg,
            format_args!(
                "<g><title>{words}</title><rect class=\"hit\" x=\"{x:.1}\" y=\"0\" width=\"{step:.1}\" \
                 height=\"{HEIGHT}\"/><rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" \
                 width=\"{width:.1}\" height=\"{height:.1}\"/></g>"
            ),
        );
    }
    svg + "</svg>"
}

/// Writes to a text, which never fails.
pub(crate) fn put(text: &mut String, words: std::fmt::Arguments<'_>) {
    text.write_fmt(words).expect("a text takes every letter");
}
