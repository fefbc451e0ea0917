//! Where the tasks of a picture stand: in layers, so that every way but those back runs downwards; in each
//! layer so that few ways cross. Sugiyama's method in its plainest form.

use crate::workflows::drawing::Picture;

/// Between two things in a layer.
const GAP: f64 = 28.0;
/// The room that a way takes which passes a layer.
const LANE: f64 = 14.0;
/// Sweeps over the layers that put things in order; more change little.
const SWEEPS: usize = 12;
/// Sweeps that move things towards what they are tied to.
const MOVES: usize = 24;

/// A laid out picture; lengths are in pixels.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Layout {
    /// For each node of the picture: the middle of it, from the left, and its layer, from 0.
    pub nodes: Vec<(f64, usize)>,
    /// For each edge of the picture: the middles of the layers it passes, first and last layer included.
    /// One that leads back, up or within a layer, has none.
    pub edges: Vec<Vec<(f64, usize)>>,
    /// How wide it is.
    pub width: f64,
    /// How many layers there are.
    pub layers: usize,
}

/// One thing in a layer: a node, or an edge that passes.
#[derive(Debug, Clone)]
struct Cell {
    wide: f64,
    layer: usize,
    x: f64,
    above: Vec<usize>,
    below: Vec<usize>,
}

/// Lays a picture out whose nodes are so wide.
#[must_use]
pub fn lay_out(picture: &Picture, wide: &[f64]) -> Layout {
    let count = picture.nodes.len();
    if count == 0 {
        return Layout::default();
    }
    let back = backward(picture);
    let forward = |edge: usize| !back[edge];
    let layers = layered(picture, &back);
    let mut cells: Vec<Cell> = (0..count)
        .map(|at| Cell { wide: wide[at], layer: layers[at], x: 0.0, above: vec![], below: vec![] })
        .collect();
    let mut chains: Vec<Vec<usize>> = Vec::new();
    for (number, edge) in picture.edges.iter().enumerate() {
        let mut chain = Vec::new();
        if forward(number) {
            chain.push(edge.from);
            for layer in layers[edge.from] + 1..layers[edge.to] {
                chain.push(cells.len());
                cells.push(Cell { wide: LANE, layer, x: 0.0, above: vec![], below: vec![] });
            }
            chain.push(edge.to);
            for pair in chain.windows(2) {
                cells[pair[0]].below.push(pair[1]);
                cells[pair[1]].above.push(pair[0]);
            }
        }
        chains.push(chain);
    }
    let depth = layers.iter().max().map_or(0, |last| last + 1);
    let mut rows: Vec<Vec<usize>> = vec![Vec::new(); depth];
    for (at, cell) in cells.iter().enumerate() {
        rows[cell.layer].push(at);
    }
    order(&mut rows, &cells);
    place(&rows, &mut cells);
    let width = cells.iter().map(|cell| cell.x + cell.wide / 2.0).fold(0.0, f64::max);
    let spot = |at: &usize| (cells[*at].x, cells[*at].layer);
    Layout {
        nodes: (0..count).map(|at| spot(&at)).collect(),
        edges: chains.iter().map(|chain| chain.iter().map(spot).collect()).collect(),
        width,
        layers: depth,
    }
}

/// Which edges lead back to where a walk from the beginning came from.
fn backward(picture: &Picture) -> Vec<bool> {
    let count = picture.nodes.len();
    let mut out: Vec<Vec<usize>> = vec![Vec::new(); count];
    let mut entered = vec![false; count];
    for (number, edge) in picture.edges.iter().enumerate() {
        out[edge.from].push(number);
        entered[edge.to] |= edge.from != edge.to;
    }
    let mut back = vec![false; picture.edges.len()];
    // 0: not met, 1: on the way, 2: left.
    let mut met = vec![0u8; count];
    let starts = (0..count).filter(|at| !entered[*at]).chain(0..count);
    for start in starts {
        let mut walk = if met[start] == 0 { vec![(start, 0)] } else { continue };
        met[start] = 1;
        while let Some((at, next)) = walk.pop() {
            let Some(number) = out[at].get(next).copied() else {
                met[at] = 2;
                continue;
            };
            walk.push((at, next + 1));
            let to = picture.edges[number].to;
            match met[to] {
                0 => {
                    met[to] = 1;
                    walk.push((to, 0));
                }
                1 => back[number] = true,
                _ => {}
            }
        }
    }
    back
}

/// The layer of each node: one below the lowest that leads to it.
fn layered(picture: &Picture, back: &[bool]) -> Vec<usize> {
    let count = picture.nodes.len();
    let forward =
        || picture.edges.iter().zip(back).filter(|(_, back)| !**back).map(|(edge, _)| edge);
    let mut missing = vec![0usize; count];
    for edge in forward() {
        missing[edge.to] += 1;
    }
    let mut layers = vec![0; count];
    let mut ready: Vec<usize> = (0..count).filter(|at| missing[*at] == 0).collect();
    while let Some(at) = ready.pop() {
        for edge in forward().filter(|edge| edge.from == at) {
            layers[edge.to] = layers[edge.to].max(layers[at] + 1);
            missing[edge.to] -= 1;
            if missing[edge.to] == 0 {
                ready.push(edge.to);
            }
        }
    }
    layers
}

/// Puts each layer in the order of the middles of what it is tied to, down and up in turn, and keeps the
/// order with the fewest crossings.
fn order(rows: &mut Vec<Vec<usize>>, cells: &[Cell]) {
    let mut best = (crossings(rows, cells), rows.clone());
    for sweep in 0..SWEEPS {
        let down = sweep % 2 == 0;
        let count = rows.len();
        let layers: Vec<usize> =
            if down { (1..count).collect() } else { (0..count - 1).rev().collect() };
        for layer in layers {
            let beside = &rows[if down { layer - 1 } else { layer + 1 }];
            let mut at = vec![0usize; cells.len()];
            for (place, cell) in beside.iter().enumerate() {
                at[*cell] = place;
            }
            let mut keyed: Vec<(f64, usize)> = rows[layer]
                .iter()
                .enumerate()
                .map(|(place, cell)| {
                    let ties = if down { &cells[*cell].above } else { &cells[*cell].below };
                    (middle(ties.iter().map(|tie| float(at[*tie]))).unwrap_or(float(place)), *cell)
                })
                .collect();
            keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
            rows[layer] = keyed.into_iter().map(|(_, cell)| cell).collect();
        }
        let now = crossings(rows, cells);
        if now < best.0 {
            best = (now, rows.clone());
        }
    }
    *rows = best.1;
}

fn crossings(rows: &[Vec<usize>], cells: &[Cell]) -> usize {
    let mut at = vec![0usize; cells.len()];
    for row in rows {
        for (place, cell) in row.iter().enumerate() {
            at[*cell] = place;
        }
    }
    let mut count = 0;
    for row in rows {
        let ties =
            row.iter().flat_map(|cell| cells[*cell].below.iter().map(|to| (at[*cell], at[*to])));
        let ties: Vec<(usize, usize)> = ties.collect();
        for (number, a) in ties.iter().enumerate() {
            count += ties[..number]
                .iter()
                .filter(|b| (a.0 < b.0 && a.1 > b.1) || (a.0 > b.0 && a.1 < b.1))
                .count();
        }
    }
    count
}

/// Gives each thing its place from the left: near the middle of what it is tied to, never over another.
fn place(rows: &[Vec<usize>], cells: &mut [Cell]) {
    for row in rows {
        let mut x = 0.0;
        for cell in row {
            cells[*cell].x = x + cells[*cell].wide / 2.0;
            x += cells[*cell].wide + GAP;
        }
    }
    for turn in 0..MOVES {
        let down = turn % 2 == 0;
        let layers: Vec<usize> =
            if down { (0..rows.len()).collect() } else { (0..rows.len()).rev().collect() };
        for layer in layers {
            let row = &rows[layer];
            let wanted: Vec<f64> = row
                .iter()
                .map(|cell| {
                    let own = &cells[*cell];
                    let ties = if down { &own.above } else { &own.below };
                    middle(ties.iter().map(|tie| cells[*tie].x)).unwrap_or(own.x)
                })
                .collect();
            settle(row, &wanted, cells);
        }
    }
    let left = cells.iter().map(|cell| cell.x - cell.wide / 2.0).fold(f64::MAX, f64::min);
    for cell in cells.iter_mut() {
        cell.x -= left;
    }
}

/// Moves a layer's things to where they are wanted as far as their order and widths allow: half of what
/// pushing to the right gives, half of pushing to the left.
fn settle(row: &[usize], wanted: &[f64], cells: &mut [Cell]) {
    let apart = |a: usize, b: usize| f64::midpoint(cells[a].wide, cells[b].wide) + GAP;
    let mut right = wanted.to_vec();
    for at in 1..row.len() {
        right[at] = right[at].max(right[at - 1] + apart(row[at - 1], row[at]));
    }
    let mut left = wanted.to_vec();
    for at in (0..row.len().saturating_sub(1)).rev() {
        left[at] = left[at].min(left[at + 1] - apart(row[at], row[at + 1]));
    }
    for (at, cell) in row.iter().enumerate() {
        cells[*cell].x = f64::midpoint(left[at], right[at]);
    }
}

fn middle(places: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = places.fold((0.0, 0.0), |(sum, count), place| (sum + place, count + 1.0));
    (count > 0.0).then(|| sum / count)
}

fn float(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workflows::drawing::{Edge, Node};

    fn picture(count: usize, edges: &[(usize, usize)]) -> Picture {
        let node = |at: usize| Node { name: format!("t{at}").into(), ..Node::default() };
        let edge = |(from, to): &(usize, usize)| Edge { from: *from, to: *to, ..Edge::default() };
        let (nodes, edges) = ((0..count).map(node).collect(), edges.iter().map(edge).collect());
        Picture { nodes, edges, ..Picture::default() }
    }

    fn laid(count: usize, edges: &[(usize, usize)]) -> Layout {
        lay_out(&picture(count, edges), &vec![100.0; count])
    }

    #[test]
    fn ways_run_downwards_but_those_back() {
        let layout = laid(4, &[(0, 1), (1, 2), (2, 1), (2, 3), (0, 3), (3, 3)]);
        let layers: Vec<usize> = layout.nodes.iter().map(|(_, layer)| *layer).collect();
        assert_eq!(layers, [0, 1, 2, 3]);
        let lengths: Vec<usize> = layout.edges.iter().map(Vec::len).collect();
        assert_eq!(lengths, [2, 2, 0, 2, 4, 0]);
    }

    #[test]
    fn nothing_stands_on_another() {
        let edges: Vec<(usize, usize)> =
            (1..40).map(|at| (at / 3, at)).chain([(5, 39), (7, 38)]).collect();
        let layout = laid(40, &edges);
        for (at, (x, layer)) in layout.nodes.iter().enumerate() {
            for (x2, layer2) in &layout.nodes[..at] {
                assert!(layer != layer2 || (x - x2).abs() >= 100.0 + GAP - 0.01, "{x} {x2}");
            }
            assert!(*x >= 50.0 - 0.01 && x + 50.0 <= layout.width + 0.01);
        }
    }

    #[test]
    fn what_need_not_cross_does_not() {
        let layout = laid(4, &[(0, 3), (1, 2)]);
        let x: Vec<f64> = layout.nodes.iter().map(|(x, _)| *x).collect();
        assert_eq!(x[0] < x[1], x[3] < x[2]);
    }

    #[test]
    fn a_circle_that_nothing_leads_into_is_drawn_too() {
        assert_eq!(laid(2, &[(0, 1), (1, 0)]).layers, 2);
    }
}
