//! Sentences, each with who might have said it.

const FORTUNES: [(&str, &str); 8] = [
    (
        "Small debts, settled often, make long friendships.",
        "a bookkeeper",
    ),
    (
        "Whoever signs the last balance may forget the ones before.",
        "a notary",
    ),
    ("A locked drawer keeps two people honest.", "a locksmith"),
    (
        "The ferryman counts before the crossing and after it.",
        "a ferryman",
    ),
    (
        "Nothing is as dear as what is given away by mistake.",
        "a shopkeeper",
    ),
    ("Rain on the roof asks nobody for change.", "a plumber"),
    ("Keep the receipt; lose the argument.", "a cashier"),
    ("The patient challenge is half won.", "a judge"),
];

/// One of them.
pub(crate) fn any() -> (&'static str, &'static str) {
    FORTUNES[fastrand::usize(..FORTUNES.len())]
}
