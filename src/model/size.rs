//! Sizes as people write them: `512 B`, `20 MiB`, `1.5 TB`.

/// A text that is no size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a size; expected one such as `512 B`, `20 MiB`, `1.5 GiB` or `2 TB`")]
pub struct NotASize {
    text: String,
}

/// What stands behind the number: `KiB`, or `K`, and its kin count by 1024, `kB` and its kin by 1000.
const UNITS: &[(&str, u64)] = &[
    ("", 1),
    ("b", 1),
    ("k", 1 << 10),
    ("m", 1 << 20),
    ("g", 1 << 30),
    ("t", 1 << 40),
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("tib", 1 << 40),
    ("pib", 1 << 50),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("tb", 1_000_000_000_000),
    ("pb", 1_000_000_000_000_000),
];

/// Reads a size, in bytes; letters may be large or small.
///
/// # Errors
/// `NotASize` where it is none, is negative, has a unit that nobody knows, or is too large to count.
pub fn parse(text: &str) -> Result<u64, NotASize> {
    let wrong = || NotASize { text: text.to_owned() };
    let written = text.trim();
    let end = written.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(written.len());
    let (number, unit) = written.split_at(end);
    let unit = unit.trim_start().to_ascii_lowercase();
    let (_, bytes) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    // Whole numbers only: a float would not know the last bytes of an exbibyte.
    let digits = &part[..part.len().min(9)];
    let scale = 10_u128.pow(u32::try_from(digits.len()).map_err(|_| wrong())?);
    let part = if digits.is_empty() { 0 } else { digits.parse::<u64>().map_err(|_| wrong())? };
    let part = u64::try_from(u128::from(part) * u128::from(*bytes) / scale).map_err(|_| wrong())?;
    let whole = whole.parse::<u64>().ok().and_then(|whole| whole.checked_mul(*bytes));
    whole.and_then(|whole| whole.checked_add(part)).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_write_sizes_in_these_ways() {
        for (text, bytes) in [
            ("512", 512),
            ("0", 0),
            ("512 B", 512),
            ("20MiB", 20 << 20),
            ("20M", 20 << 20),
            ("1.5 GiB", 3 << 29),
            ("2 tb", 2_000_000_000_000),
            (" 0.25 kB ", 250),
            ("8191 PiB", 8191 << 50),
        ] {
            assert_eq!(parse(text).unwrap(), bytes, "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in ["", "B", "-5 B", "20 apples", "1.2.3 GB", "1,5 GiB", "big", "99999 PiB", "."] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
