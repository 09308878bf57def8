//! A picture that the program draws itself.

use std::fmt::Write;

const SEEDS: u32 = 300;
/// The angle between two seeds of a sunflower, in radians.
const GOLDEN_ANGLE: f64 = 2.399_963;

/// The head of a sunflower, as SVG.
pub(crate) fn sunflower() -> String {
    let mut svg = String::from(r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="-100 -100 200 200">"#);
    for seed in 0..SEEDS {
        let (number, hue) = (f64::from(seed), 20 + seed * 40 / SEEDS);
        let (angle, distance) = (number * GOLDEN_ANGLE, 5.4 * number.sqrt());
        let (x, y) = (distance * angle.cos(), distance * angle.sin());
        // Writing to a string does not fail.
        let _ = write!(
            svg,
            r#"<circle cx="{x:.1}" cy="{y:.1}" r="3" fill="hsl({hue} 90% 50%)"/>"#
        );
    }
    svg + "</svg>"
}
