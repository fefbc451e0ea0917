//! A picture as SVG: one file without anything from outside, for light and dark pages, with titles for
//! those who hear it read.

use std::fmt::Write as _;

use crate::workflows::drawing::layout::{Layout, lay_out};
use crate::workflows::drawing::{CONDITION_CHARS, Edge, Node, Picture, cut, mark};

/// The height of a task.
const TALL: f64 = 46.0;
/// From the top of one layer to the top of the next.
const STEP: f64 = 104.0;
/// Around the whole.
const MARGIN: f64 = 24.0;
/// Above the first layer: the title.
const HEAD: f64 = 34.0;
/// How wide a letter of names is, about; and of the small ones.
const LETTER: f64 = 8.4;
const SMALL: f64 = 6.3;
/// Letters of a name or an action that are shown; the whole is the title.
const NAME_CHARS: usize = 30;
/// Between ways that lead back.
const LANE: f64 = 16.0;
/// How far a way back may have to go around: so many have lanes of their own, then they share.
const LANES: usize = 12;

/// Colours by class, light and dark. Every state has a mark and a word beside its colour.
const STYLE: &str = "
text{font:13px ui-sans-serif,system-ui,'DejaVu Sans',sans-serif;fill:#1f2430}
.head{font-size:14px;font-weight:600}
.name{font-weight:600}
.small{font-size:11px;fill:#5b6472}
.label{font-size:11px;fill:#3c4454;stroke:#fff;stroke-width:4px;stroke-linejoin:round;paint-order:stroke}
.page{fill:#fff}
.box{fill:#f4f5f7;stroke:#8a93a3;stroke-width:1.2}
.bar{fill:#8a93a3}
.way{fill:none;stroke:#8a93a3;stroke-width:1.3}
.tip{fill:#8a93a3}
.went .way{stroke:#1f2430;stroke-width:2.2}
.went .tip{fill:#1f2430}
.not .way{stroke-dasharray:3 4;opacity:.6}
.back .way{stroke-dasharray:7 4}
.well .box{fill:#e3f4e6;stroke:#2e7d3a}
.bad .box{fill:#fde6e6;stroke:#b3261e;stroke-width:2}
.runs .box{fill:#e2eefc;stroke:#1a62b8;stroke-width:2}
.holds .box{fill:#fff3d6;stroke:#9a6700;stroke-width:2}
.later .box{stroke-dasharray:4 3}
@media (prefers-color-scheme:dark){
text{fill:#e6e9ef}
.small{fill:#a3acbb}
.label{fill:#cfd6e2;stroke:#14171d}
.page{fill:#14171d}
.box{fill:#232833;stroke:#77818f}
.bar,.tip{fill:#77818f}
.way{stroke:#77818f}
.went .way{stroke:#e6e9ef}
.went .tip{fill:#e6e9ef}
.well .box{fill:#16341d;stroke:#58b368}
.bad .box{fill:#431a1a;stroke:#f2857e}
.runs .box{fill:#152d4a;stroke:#6cb0ff}
.holds .box{fill:#3d2f0c;stroke:#e0b040}
}";

/// The picture as SVG.
#[must_use]
pub fn draw(picture: &Picture) -> String {
    let wide: Vec<f64> = picture.nodes.iter().map(|node| wide(node, picture.lives)).collect();
    let layout = lay_out(picture, &wide);
    let sheet = Sheet { picture, layout: &layout, wide: &wide };
    let lanes = picture.edges.iter().zip(&layout.edges).filter(|(_, way)| way.is_empty()).count();
    let side = if lanes > 0 { float(lanes.min(LANES)) * LANE + 90.0 } else { 0.0 };
    let title_wide = float(picture.title.chars().count()) * 9.6;
    let width = (layout.width + side).max(title_wide) + 2.0 * MARGIN;
    let rows = float(layout.layers.max(1) - 1);
    let height = HEAD + rows * STEP + TALL + 2.0 * MARGIN;
    let title = escaped(&picture.title);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" \
         width=\"{width:.0}\" height=\"{height:.0}\" role=\"img\" aria-labelledby=\"title about\">\n\
         <title id=\"title\">{title}</title>\n<desc id=\"about\">{}</desc>\n<style>{STYLE}\n</style>\n\
         <rect class=\"page\" width=\"100%\" height=\"100%\"/>\n\
         <text class=\"head\" x=\"{MARGIN}\" y=\"{:.0}\">{title}</text>\n",
        escaped(&about(picture)),
        MARGIN + 8.0,
    );
    sheet.edges(&mut svg);
    for at in 0..picture.nodes.len() {
        sheet.node(at, &mut svg);
    }
    // Over everything: a label that a box or another way hides says nothing.
    sheet.labels(&mut svg);
    svg += "</svg>\n";
    svg
}

/// The picture in words.
fn about(picture: &Picture) -> String {
    let mut parts = vec![format!("{} tasks", picture.nodes.iter().filter(|n| !n.command).count())];
    for node in picture.nodes.iter().filter(|node| node.state.is_some()).take(50) {
        parts.push(format!("{} {}", node.name, node.state.unwrap_or_default()));
    }
    parts.join("; ")
}

struct Sheet<'a> {
    picture: &'a Picture,
    layout: &'a Layout,
    wide: &'a [f64],
}

impl Sheet<'_> {
    fn x(x: f64) -> f64 {
        MARGIN + x
    }

    /// The top of a layer.
    fn y(layer: usize) -> f64 {
        MARGIN + HEAD + float(layer) * STEP
    }

    fn node(&self, at: usize, svg: &mut String) {
        let node = &self.picture.nodes[at];
        let (middle, layer) = self.layout.nodes[at];
        let (wide, top) = (self.wide[at], Self::y(layer));
        let left = Self::x(middle) - wide / 2.0;
        let round = if node.command { TALL / 2.0 } else { 8.0 };
        let name = cut(&node.name, NAME_CHARS);
        let lead = lead(node, self.picture.lives);
        let below = cut(&below(node), 2 * NAME_CHARS);
        let title =
            [Some(node.name.to_string()), node.action.clone(), node.state.map(str::to_owned)];
        let title: Vec<String> = title.into_iter().flatten().chain(node.notes.clone()).collect();
        let baseline = if below.is_empty() { 28.0 } else { 20.0 };
        write!(
            svg,
            "<g class=\"{}\"><title>{}</title>\
             <rect class=\"box\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{wide:.1}\" height=\"{TALL}\" rx=\"{round}\"/>",
            class(node, self.picture.lives),
            escaped(&title.join(", ")),
        )
        .ok();
        if node.joins {
            let bar = top - 5.0;
            write!(
                svg,
                "<rect class=\"bar\" x=\"{left:.1}\" y=\"{bar:.1}\" width=\"{wide:.1}\" height=\"3\" rx=\"1\"/>"
            )
            .ok();
        }
        let x = Self::x(middle);
        write!(
            svg,
            "<text class=\"name\" text-anchor=\"middle\" x=\"{x:.1}\" y=\"{:.1}\">{lead}{}</text>",
            top + baseline,
            escaped(&name),
        )
        .ok();
        if !below.is_empty() {
            write!(
                svg,
                "<text class=\"small\" text-anchor=\"middle\" x=\"{x:.1}\" y=\"{:.1}\">{}</text>",
                top + 37.0,
                escaped(&below),
            )
            .ok();
        }
        *svg += "</g>\n";
    }

    fn edges(&self, svg: &mut String) {
        let mut lane = 0;
        for (number, edge) in self.picture.edges.iter().enumerate() {
            let way = &self.layout.edges[number];
            let (path, tip) = if way.is_empty() {
                lane += 1;
                self.back(edge, lane)
            } else {
                self.down(number)
            };
            let mut class = match edge.followed {
                Some(true) => "went".to_owned(),
                Some(false) => "not".to_owned(),
                None => String::new(),
            };
            if way.is_empty() {
                class += " back";
            }
            let names = [edge.from, edge.to].map(|at| self.picture.nodes[at].name.to_string());
            let when = if edge.conditions.is_empty() {
                String::new()
            } else {
                format!(" when {}", edge.conditions.join(" or "))
            };
            let title = format!("{} leads to {}{when}", names[0], names[1]);
            writeln!(
                svg,
                "<g class=\"{}\"><title>{}</title><path class=\"way\" d=\"{path}\"/><path class=\"tip\" d=\"{tip}\"/></g>",
                class.trim(),
                escaped(&title),
            )
            .ok();
        }
    }

    /// Where a way leaves its task: those of one task side by side, in the order of where they lead.
    fn port(&self, number: usize, leaves: bool) -> f64 {
        let edges = &self.picture.edges;
        let own = &edges[number];
        let at = if leaves { own.from } else { own.to };
        let beside = |number: usize| {
            let way = &self.layout.edges[number];
            if leaves { way.get(1) } else { way.iter().rev().nth(1) }.map_or(0.0, |(x, _)| *x)
        };
        let same = (0..edges.len()).filter(|other| {
            let edge = &edges[*other];
            !self.layout.edges[*other].is_empty()
                && (if leaves { edge.from } else { edge.to }) == at
        });
        let mut same: Vec<usize> = same.collect();
        same.sort_by(|a, b| beside(*a).total_cmp(&beside(*b)));
        let place = same.iter().position(|other| *other == number).unwrap_or(0);
        let room = (self.wide[at] - 30.0).min(float(same.len() - 1) * 26.0);
        let share = if same.len() > 1 { float(place) / float(same.len() - 1) - 0.5 } else { 0.0 };
        Self::x(self.layout.nodes[at].0) + room * share
    }

    /// A way down: a line that bends softly between the layers.
    fn down(&self, number: usize) -> (String, String) {
        let edge = &self.picture.edges[number];
        let way = &self.layout.edges[number];
        let joins = if self.picture.nodes[edge.to].joins { 5.0 } else { 0.0 };
        let last = way.len() - 1;
        let (mut x, mut y) = (self.port(number, true), Self::y(way[0].1) + TALL);
        let mut path = format!("M{x:.1} {y:.1}");
        for (at, (middle, layer)) in way.iter().enumerate().skip(1) {
            let (to, top) = if at == last {
                (self.port(number, false), Self::y(*layer) - joins - 7.0)
            } else {
                (Self::x(*middle), Self::y(*layer))
            };
            let half = f64::midpoint(y, top);
            write!(path, "C{x:.1} {half:.1} {to:.1} {half:.1} {to:.1} {top:.1}").ok();
            (x, y) = (to, top);
            if at != last {
                y = top + TALL;
                write!(path, "V{y:.1}").ok();
            }
        }
        let tip = format!("M{:.1} {y:.1}h9l-4.5 8z", x - 4.5);
        (path, tip)
    }

    /// A way back: around the right side of everything.
    fn back(&self, edge: &Edge, lane: usize) -> (String, String) {
        let [(from, low), (to, high)] = [edge.from, edge.to].map(|at| self.layout.nodes[at]);
        let right = Self::x(self.layout.width) + float((lane - 1) % LANES) * LANE + 14.0;
        let (x, y) = (Self::x(from) + self.wide[edge.from] / 2.0, Self::y(low) + TALL * 0.68);
        let (end, top) =
            (Self::x(to) + self.wide[edge.to] / 2.0 + 8.0, Self::y(high) + TALL * 0.32);
        if edge.from == edge.to {
            let (path, tip) = (
                format!("M{x:.1} {y:.1}h18q8 0 8 -8V{:.1}q0 -8 -8 -8H{end:.1}", top + 8.0),
                format!("M{end:.1} {:.1}v9l-8 -4.5z", top - 4.5),
            );
            return (path, tip);
        }
        // Where something stands beside it, it goes through the gap below, not through the box.
        let clear = |at: usize, x: f64, layer: usize| {
            let beside = |(other, (middle, own)): (usize, &(f64, usize))| {
                other != at && *own == layer && Self::x(*middle) > x
            };
            !self.layout.nodes.iter().enumerate().any(beside)
        };
        let out = if clear(edge.from, x, low) {
            format!("M{x:.1} {y:.1}H{:.1}", right - 8.0)
        } else {
            let gap = Self::y(low) + TALL + 12.0;
            format!(
                "M{:.1} {:.1}V{:.1}q0 6 6 6H{:.1}",
                x - 12.0,
                Self::y(low) + TALL,
                gap - 6.0,
                right - 8.0
            )
        };
        let begin = if clear(edge.from, x, low) { y } else { Self::y(low) + TALL + 12.0 };
        if clear(edge.to, end, high) {
            let path =
                format!("{out}q8 0 8 -8V{:.1}q0 -8 -8 -8H{end:.1}", (top + 8.0).min(begin - 8.0));
            return (path, format!("M{end:.1} {:.1}v9l-8 -4.5z", top - 4.5));
        }
        let gap = Self::y(high) - 22.0;
        let drop = Self::x(to) + self.wide[edge.to] / 2.0 - 14.0;
        let path = format!(
            "{out}q8 0 8 -8V{:.1}q0 -8 -8 -8H{:.1}q-6 0 -6 6V{:.1}",
            (gap + 8.0).min(begin - 8.0),
            drop + 6.0,
            Self::y(high) - 12.0,
        );
        (path, format!("M{:.1} {:.1}h9l-4.5 8z", drop - 4.5, Self::y(high) - 12.0))
    }

    fn labels(&self, svg: &mut String) {
        let mut lane = 0;
        let mut taken: Vec<(f64, f64, f64)> = Vec::new();
        for (number, edge) in self.picture.edges.iter().enumerate() {
            let way = &self.layout.edges[number];
            lane += usize::from(way.is_empty());
            let label = edge.label(CONDITION_CHARS);
            if label.is_empty() {
                continue;
            }
            let wide = float(label.chars().count()) * SMALL;
            let (x, y) = if way.is_empty() {
                self.beside(edge, lane, wide)
            } else {
                let free = |(x, y): &(f64, f64)| {
                    let over = |(x2, y2, wide2): &(f64, f64, f64)| {
                        (x - x2).abs() < f64::midpoint(wide, *wide2) + 6.0 && (y - y2).abs() < 14.0
                    };
                    !taken.iter().any(over)
                };
                let spots = [0.56, 0.22, 0.82, 0.4].map(|part| self.on(number, part));
                spots.iter().copied().find(free).unwrap_or(spots[0])
            };
            taken.push((x, y, wide));
            let title = edge.conditions.join(" or ");
            writeln!(
                svg,
                "<text class=\"label\" text-anchor=\"middle\" x=\"{x:.1}\" y=\"{:.1}\"><title>{}</title>{}</text>",
                y + 4.0,
                escaped(&title),
                escaped(&label),
            )
            .ok();
        }
    }

    /// The point of a way down that lies so far between its first two layers.
    fn on(&self, number: usize, part: f64) -> (f64, f64) {
        let way = &self.layout.edges[number];
        let begin = self.port(number, true);
        let end = if way.len() == 2 { self.port(number, false) } else { Self::x(way[1].0) };
        let (top, low) = (Self::y(way[0].1) + TALL, Self::y(way[1].1));
        let bend = part * part * (3.0 - 2.0 * part);
        let rest = 1.0 - part;
        let fall = 1.5 * part * rest + part.powi(3);
        (begin + (end - begin) * bend, top + (low - top) * fall)
    }

    /// Where the label of a way back stands.
    fn beside(&self, edge: &Edge, lane: usize, wide: f64) -> (f64, f64) {
        let [low, high] = [edge.from, edge.to].map(|at| Self::y(self.layout.nodes[at].1));
        if edge.from == edge.to {
            let right = Self::x(self.layout.nodes[edge.to].0) + self.wide[edge.to] / 2.0;
            return (right + 30.0 + wide / 2.0, low + TALL / 2.0);
        }
        let right = Self::x(self.layout.width) + float((lane - 1) % LANES) * LANE + 10.0;
        (right - wide / 2.0, f64::midpoint(low, high) + TALL / 2.0)
    }
}

/// The mark before a name.
fn lead(node: &Node, lives: bool) -> String {
    match node.state {
        Some(state) => format!("{} ", mark(state)),
        None if lives && !node.command => "○ ".to_owned(),
        None => String::new(),
    }
}

/// The small line: where it stands, its action, what is to be known.
fn below(node: &Node) -> String {
    let state = node.state.map(|state| {
        if node.runs > 1 { format!("{state} ×{}", node.runs) } else { state.to_owned() }
    });
    let action = node.action.as_deref().map(|action| cut(action, NAME_CHARS));
    let parts: Vec<String> = state.into_iter().chain(action).chain(node.notes.clone()).collect();
    parts.join(" · ")
}

fn wide(node: &Node, lives: bool) -> f64 {
    let name = cut(&node.name, NAME_CHARS).chars().count() + lead(node, lives).chars().count();
    let below = cut(&below(node), 2 * NAME_CHARS).chars().count();
    (float(name) * LETTER).max(float(below) * SMALL).max(56.0) + 24.0
}

fn class(node: &Node, lives: bool) -> &'static str {
    match node.state {
        None if !lives => "",
        Some("succeeded") => "well",
        Some("failed" | "timeout" | "abandoned") => "bad",
        Some("running" | "resuming" | "requested" | "scheduled") => "runs",
        Some(_) => "holds",
        None => "later",
    }
}

/// Text that is nothing but text in XML; what XML cannot hold is shown as such.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => safe += "&lt;",
            '>' => safe += "&gt;",
            '&' => safe += "&amp;",
            '"' => safe += "&quot;",
            '\'' => safe += "&#39;",
            '\n' | '\t' => safe.push(' '),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}

fn float(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_is_text_and_nothing_else() {
        let bad = "</text><script>alert(1)</script>\u{1}\"'&";
        let node = |name: &str| Node {
            name: name.into(),
            action: Some(bad.to_owned()),
            ..Node::default()
        };
        let edge = Edge { from: 0, to: 1, conditions: vec![bad.to_owned()], followed: None };
        let nodes = vec![node(bad), node("b")];
        let svg = draw(&Picture { title: bad.to_owned(), lives: false, nodes, edges: vec![edge] });
        assert!(!svg.contains("<script") && !svg.contains('\u{1}'), "{svg}");
        assert!(svg.contains("&lt;script&gt;"), "{svg}");
    }

    #[test]
    fn a_state_is_told_by_mark_and_word() {
        let node = Node { name: "build".into(), state: Some("failed"), runs: 3, ..Node::default() };
        let svg = draw(&Picture { lives: true, nodes: vec![node], ..Picture::default() });
        assert!(svg.contains(">✗ build</text>") && svg.contains(">failed ×3</text>"), "{svg}");
    }
}
