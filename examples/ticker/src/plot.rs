//! A plot made of characters.

/// From nothing to a whole character, in eighths.
const BARS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Draws amounts of cents as columns, in so many rows of text, with the highest and the lowest beside them.
pub(crate) fn plot(cents: &[usize], rows: usize) -> String {
    let high = cents.iter().max().copied().unwrap_or_default();
    let low = cents.iter().min().copied().unwrap_or_default();
    // The lowest is to be seen, too.
    let eighths = |cents: &usize| 1 + (cents - low) * (8 * rows - 1) / (high - low).max(1);
    let row = |row: usize| {
        let columns = cents
            .iter()
            .map(|cents| BARS[eighths(cents).saturating_sub(8 * row).min(8)]);
        let label = match row {
            _ if row + 1 == rows => dollars(high),
            0 => dollars(low),
            _ => String::new(),
        };
        format!("{label:>8} ┤{}\n", columns.collect::<String>().trim_end())
    };
    (0..rows).rev().map(row).collect()
}

fn dollars(cents: usize) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_is_an_eighth_and_the_highest_is_all() {
        assert_eq!(plot(&[100, 115, 107], 2), "    1.15 ┤ █\n    1.00 ┤▁██\n");
    }

    #[test]
    fn what_does_not_move_is_a_line() {
        assert_eq!(plot(&[5, 5], 2), "    0.05 ┤\n    0.05 ┤▁▁\n");
        assert_eq!(plot(&[], 2), "    0.00 ┤\n    0.00 ┤\n");
    }
}
