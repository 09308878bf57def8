//! What the lists and the statistics can be asked for.

use microraiden_protocol::Address;
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// The most channels on one page, and as many as there are unless fewer are asked for.
pub const MAX_LIMIT: u16 = 1_000;

/// Which channels a list shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Status {
    /// `open`, or `opened`.
    #[default]
    Open,
    /// `closed`.
    Closed,
    /// `all`.
    All,
}

impl Status {
    /// As it stands in a query.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
            Self::All => "all",
        }
    }
}

/// How the statistics give the ABIs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AbiForm {
    /// As text, as the documentation has them.
    #[default]
    Text,
    /// As arrays: `?abi=json`.
    Json,
}

/// A place in a list: the channel that stands before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The channel's sender.
    pub sender: Address,
    /// The block that opened it.
    pub open_block: u32,
}

/// Why a query cannot be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MalformedQuery {
    /// No status that is known.
    #[error("filter channels by a status")]
    Status,
    /// No number in range.
    #[error("a number from 1 to {MAX_LIMIT}")]
    Limit,
    /// No place in a list.
    #[error("the cursor of a Link header")]
    After,
    /// Another form than is known.
    #[error("json, or nothing for text")]
    Abi,
}

impl MalformedQuery {
    /// The name of the value that is wrong.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Limit => "limit",
            Self::After => "after",
            Self::Abi => "abi",
        }
    }
}

/// What a list of channels is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListQuery {
    /// In which states.
    pub status: Status,
    /// At most so many.
    pub limit: u16,
    /// From which place on.
    pub after: Option<Place>,
}

impl ListQuery {
    /// Reads a query.
    ///
    /// # Errors
    /// With the first value that cannot be used, or is there more than once.
    pub fn read(query: &str) -> Result<Self, MalformedQuery> {
        let status = match one(query, MalformedQuery::Status)?.as_deref() {
            None | Some("open" | "opened") => Status::Open,
            Some("closed") => Status::Closed,
            Some("all") => Status::All,
            Some(_) => return Err(MalformedQuery::Status),
        };
        let limit = match one(query, MalformedQuery::Limit)? {
            None => MAX_LIMIT,
            Some(text) => digits(&text)
                .filter(|limit| (1..=MAX_LIMIT).contains(limit))
                .ok_or(MalformedQuery::Limit)?,
        };
        let after = one(query, MalformedQuery::After)?;
        let after = after.map(|text| text.parse::<Place>()).transpose()?;
        Ok(Self { status, limit, after })
    }

    /// The query of the page that begins at a place.
    pub fn next(self, place: Place) -> String {
        let (status, limit) = (self.status.name(), self.limit);
        format!("status={status}&limit={limit}&after={place}")
    }
}

impl AbiForm {
    /// Reads a query.
    ///
    /// # Errors
    /// When it asks for another form.
    pub fn read(query: &str) -> Result<Self, MalformedQuery> {
        match one(query, MalformedQuery::Abi)?.as_deref() {
            None => Ok(Self::Text),
            Some("json") => Ok(Self::Json),
            Some(_) => Err(MalformedQuery::Abi),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.sender, self.open_block)
    }
}

impl FromStr for Place {
    type Err = MalformedQuery;

    fn from_str(text: &str) -> Result<Self, MalformedQuery> {
        let (sender, open_block) = text.split_once('-').ok_or(MalformedQuery::After)?;
        Ok(Self {
            sender: address(sender).ok_or(MalformedQuery::After)?,
            open_block: digits(open_block).ok_or(MalformedQuery::After)?,
        })
    }
}

/// An address in a path or query: 0x and 40 hexadecimal digits in any case.
pub fn address(text: &str) -> Option<Address> {
    let digits = text.strip_prefix("0x")?;
    let is_address = digits.len() == 40 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    is_address.then(|| digits.parse().ok()).flatten()
}

/// A number in a path or query: digits only.
pub fn digits<T: FromStr>(text: &str) -> Option<T> {
    let is_number = text.bytes().all(|digit| digit.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

/// The value of a name that may be there once.
fn one(query: &str, malformed: MalformedQuery) -> Result<Option<Cow<'_, str>>, MalformedQuery> {
    let mut values = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == malformed.name());
    let value = values.next().map(|(_, value)| value);
    if values.next().is_some() {
        return Err(malformed);
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENDER: &str = "0x8Bf640A099fE945DA46F354d3B49c48a125F48B6";

    #[test]
    fn a_query_is_read_strictly() {
        let read = |query: &str| ListQuery::read(query);
        let all = ListQuery {
            status: Status::Open,
            limit: MAX_LIMIT,
            after: None,
        };
        for query in [
            "",
            "status=open",
            "status=opened",
            "limit=1000&x=y",
            "%73tatus=open",
        ] {
            assert_eq!(read(query), Ok(all), "{query}");
        }
        let second = read(&format!("status=all&limit=7&after={SENDER}-12")).unwrap();
        assert_eq!((second.status, second.limit), (Status::All, 7));
        let place = second.after.unwrap();
        assert_eq!(place.to_string(), format!("{SENDER}-12"));
        assert_eq!(read(&second.next(place)), Ok(second));
        for (query, wrong) in [
            ("status=", MalformedQuery::Status),
            ("status=Open", MalformedQuery::Status),
            ("status=open&status=open", MalformedQuery::Status),
            ("limit=0", MalformedQuery::Limit),
            ("limit=1001", MalformedQuery::Limit),
            ("limit=+5", MalformedQuery::Limit),
            ("limit=", MalformedQuery::Limit),
            ("after=", MalformedQuery::After),
            ("after=0x12-5", MalformedQuery::After),
            ("after=5", MalformedQuery::After),
        ] {
            assert_eq!(read(query), Err(wrong), "{query}");
        }
        for block in ["", "-1", "+1", "4294967296", "1x"] {
            let query = format!("after={SENDER}-{block}");
            assert_eq!(read(&query), Err(MalformedQuery::After), "{query}");
        }
        assert_eq!(AbiForm::read("abi=json"), Ok(AbiForm::Json));
        assert_eq!(AbiForm::read(""), Ok(AbiForm::Text));
        assert_eq!(AbiForm::read("abi=text"), Err(MalformedQuery::Abi));
    }

    #[test]
    fn addresses_are_read_in_any_case() {
        let expected = SENDER.parse().ok();
        let (upper, lower) = (SENDER[2..].to_uppercase(), SENDER.to_lowercase());
        assert_eq!(address(SENDER), expected);
        assert_eq!(address(&lower), expected);
        assert_eq!(address(&format!("0x{upper}")), expected);
        for bad in [
            "",
            "0x",
            &SENDER[2..],
            &format!("{SENDER}0"),
            &format!("0x{SENDER}"),
            "0X8B",
        ] {
            assert_eq!(address(bad), None, "{bad}");
        }
    }
}
