//! Medians, percentiles and rows of the table.

/// The middle of some figures.
pub(crate) fn median(figures: &mut [f64]) -> f64 {
    percentile(figures, 50)
}

/// The figure below which `percent` of all lie.
pub(crate) fn percentile(figures: &mut [f64], percent: usize) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[(figures.len() * percent / 100).min(figures.len() - 1)]
}

/// A count as a figure.
pub(crate) fn count(things: usize) -> f64 {
    f64::from(u32::try_from(things).unwrap())
}

/// Prints one row.
pub(crate) fn row(what: &str, result: &str, own: &str) {
    println!("| {what} | {result} | {own} |");
}
