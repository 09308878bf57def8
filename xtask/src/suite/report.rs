//! The table at the end of a run.

use std::time::Duration;

use super::Taken;

/// Minutes per part beside their budget; with `steps`, the seconds of each command below it.
pub(super) fn table(taken: &[Taken], steps: bool) -> String {
    let mut table = row("part", "minutes", "budget");
    for part in taken {
        table += &row(part.name, &minutes(part.time), &part.budget.to_string());
        for (name, time) in part.steps.iter().filter(|_| steps) {
            table += &format!("    {:>6.1} s  {name}\n", time.as_secs_f64());
        }
    }
    let time = taken.iter().map(|part| part.time).sum();
    let budget: u64 = taken.iter().map(|part| part.budget).sum();
    table + &row("all", &minutes(time), &budget.to_string())
}

fn row(part: &str, minutes: &str, budget: &str) -> String {
    format!("{part:<36}{minutes:>8}{budget:>8}\n")
}

fn minutes(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() / 60.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_add_up() {
        let steps = vec![("make".to_owned(), Duration::from_secs(30))];
        let part = |name, budget, seconds| Taken {
            name,
            budget,
            time: Duration::from_secs(seconds),
            steps: steps.clone(),
        };
        let taken = [part("a", 3, 30), part("b", 4, 60)];
        let short = table(&taken, false);
        let cells: Vec<&str> = short.lines().flat_map(str::split_whitespace).collect();
        assert_eq!(
            cells,
            [
                "part", "minutes", "budget", "a", "0.5", "3", "b", "1.0", "4", "all", "1.5", "7"
            ]
        );
        assert!(table(&taken, true).contains("  30.0 s  make\n"));
    }
}
