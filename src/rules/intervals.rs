//! Intervals of numbers, and those of them that a number lies in, found in time proportional to how
//! many they are.

/// Intervals, each with the number of whom it belongs to.
#[derive(Debug, Default)]
pub(crate) struct Intervals {
    /// In the order of their lower ends.
    items: Vec<Interval>,
    /// For each item the highest upper end of the half in whose middle it stands.
    highest: Vec<f64>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Interval {
    pub(crate) low: f64,
    pub(crate) high: f64,
    pub(crate) owner: u32,
}

impl Intervals {
    pub(crate) fn new(mut items: Vec<Interval>) -> Self {
        items.sort_by(|a, b| a.low.total_cmp(&b.low));
        items.shrink_to_fit();
        let mut highest = vec![f64::NEG_INFINITY; items.len()];
        fill(&items, &mut highest);
        Self { items, highest }
    }

    /// Adds the owners of all intervals that `number` lies in.
    pub(crate) fn find(&self, number: f64, owners: &mut Vec<u32>) {
        find(&self.items, &self.highest, number, owners);
    }
}

/// Half by half, as a binary search would halve; gives the highest upper end of all.
fn fill(items: &[Interval], highest: &mut [f64]) -> f64 {
    if items.is_empty() {
        return f64::NEG_INFINITY;
    }
    let middle = items.len() / 2;
    let left = fill(&items[..middle], &mut highest[..middle]);
    let right = fill(&items[middle + 1..], &mut highest[middle + 1..]);
    highest[middle] = items[middle].high.max(left).max(right);
    highest[middle]
}

fn find(items: &[Interval], highest: &[f64], number: f64, owners: &mut Vec<u32>) {
    if items.is_empty() {
        return;
    }
    let middle = items.len() / 2;
    if highest[middle] < number {
        return;
    }
    find(&items[..middle], &highest[..middle], number, owners);
    let item = &items[middle];
    if item.low > number {
        return;
    }
    if number <= item.high {
        owners.push(item.owner);
    }
    find(&items[middle + 1..], &highest[middle + 1..], number, owners);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_the_intervals_around_a_number_are_found() {
        let mut seed = 1u64;
        let mut draw = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            f64::from(u32::try_from(seed >> 54).unwrap())
        };
        for count in [0, 1, 2, 3, 10, 333] {
            let items: Vec<Interval> = (0..count)
                .map(|owner| {
                    let low = draw();
                    let high = if owner % 3 == 0 { f64::INFINITY } else { low + draw() / 10.0 };
                    Interval { low, high, owner }
                })
                .collect();
            let intervals = Intervals::new(items.clone());
            for _ in 0..100 {
                let number = draw();
                let mut found = Vec::new();
                intervals.find(number, &mut found);
                found.sort_unstable();
                let inside = items.iter().filter(|i| i.low <= number && number <= i.high);
                assert_eq!(found, inside.map(|i| i.owner).collect::<Vec<_>>(), "{number}");
            }
        }
    }
}
