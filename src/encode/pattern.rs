//! strptime patterns. jiff reads them, and takes more than a pattern says: 60 seconds for 59, years of one digit, a field that
//! is there twice. What it would take for something else is refused here.

use jiff::fmt::strtime::{self, BrokenDownTime};

/// A pattern that can be read, and whose values mean one thing only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    pieces: Vec<Piece>,
    /// Whether every value is looked at piece by piece.
    careful: bool,
}

/// A directive, or the literal text between two.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Piece {
    text: String,
    directive: Option<char>,
    /// Whether digits stand right before or behind it: then it must have all of its own.
    touches: bool,
}

/// Why a text is not of a pattern that took it.
pub(super) enum Misfit {
    /// A second that the clock does not have.
    LeapSecond,
    /// Fewer digits than make it clear.
    Digits,
    /// An offset beyond those that PostgreSQL has.
    Offset,
}

/// The directives that stand for several.
const COMPOSITE: [(char, &str); 4] = [('T', "%H:%M:%S"), ('F', "%Y-%m-%d"), ('D', "%m/%d/%y"), ('R', "%H:%M")];

/// What a directive gives, by one letter; two of the same would leave one of them unread.
fn field(directive: char) -> Option<char> {
    Some(match directive {
        'd' | 'e' => 'd',
        'm' | 'b' | 'B' | 'h' => 'm',
        'Y' | 'y' | 'G' | 'g' => 'Y',
        'H' | 'k' | 'I' | 'l' => 'H',
        'p' | 'P' => 'p',
        'f' | 'N' => 'f',
        'a' | 'A' | 'u' | 'w' => 'a',
        'j' | 'U' | 'V' | 'W' | 'M' | 'S' | 's' | 'z' => directive,
        _ => return None,
    })
}

/// How many digits a directive has at most; `None`: it is no number, or one of any length.
fn width(directive: char) -> Option<usize> {
    match directive {
        'Y' | 'G' => Some(4),
        'j' => Some(3),
        'd' | 'e' | 'm' | 'y' | 'g' | 'H' | 'k' | 'I' | 'l' | 'M' | 'S' | 'U' | 'V' | 'W' => Some(2),
        'u' | 'w' => Some(1),
        _ => None,
    }
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// In words for people: what jiff's strptime does not read, and what would leave a part of a value unread.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        sample(text).map_err(|error| error.to_string())?;
        let mut pieces = pieces(text);
        let directives: Vec<char> = pieces.iter().filter_map(|piece| piece.directive).collect();
        check(&directives)?;
        let digits: Vec<bool> = pieces.iter().map(Piece::is_number).collect();
        for (place, piece) in pieces.iter_mut().enumerate() {
            let beside = |place: Option<usize>| place.and_then(|place| digits.get(place)).is_some_and(|digits| *digits);
            piece.touches = piece.is_number() && (beside(place.checked_sub(1)) || beside(Some(place + 1)));
        }
        let careful = pieces.iter().any(|piece| piece.touches || matches!(piece.directive, Some('y' | 'g')));
        let open =
            |[one, next]: &[Piece; 2]| one.directive == Some('z') && (next.is_number() || next.begins_as_offset());
        if pieces.array_windows().any(open) {
            return Err("nothing tells where the offset (`%z`) ends".to_owned());
        }
        Ok(Self { text: text.to_owned(), pieces, careful })
    }

    /// Whether it has such a directive.
    pub(super) fn has(&self, directive: char) -> bool {
        self.pieces.iter().any(|piece| piece.directive == Some(directive))
    }

    /// What a moment looks like that was written and read back by it.
    pub(super) fn sample(&self) -> Option<BrokenDownTime> {
        sample(&self.text).ok()
    }

    /// The parts of a text; `None`: it is not of this pattern.
    pub(super) fn read(&self, text: &str) -> Option<Result<BrokenDownTime, Misfit>> {
        let parsed = strtime::parse(&self.text, text).ok()?;
        let year = parsed.year().or(parsed.iso_week_year());
        if (self.careful || year.is_some_and(|year| year < 1000) || parsed.second() == Some(59))
            && let Some(misfit) = self.misfit(text)
        {
            return Some(Err(misfit));
        }
        if parsed.offset().is_some_and(|offset| offset.seconds().abs() >= 16 * 3600) {
            return Some(Err(Misfit::Offset));
        }
        Some(Ok(parsed))
    }

    /// Looks at what each directive took of a text that is of this pattern.
    #[cold]
    fn misfit(&self, mut text: &str) -> Option<Misfit> {
        for piece in &self.pieces {
            let (_, end) = BrokenDownTime::parse_prefix(&piece.text, text).ok()?;
            let (taken, rest) = text.split_at_checked(end)?;
            let digits = taken.bytes().filter(u8::is_ascii_digit).count();
            let whole = piece.touches || matches!(piece.directive, Some('Y' | 'y' | 'G' | 'g'));
            match piece.directive {
                Some('S') if taken.trim_start() == "60" => return Some(Misfit::LeapSecond),
                Some(directive) if whole && width(directive).is_some_and(|width| digits < width) => {
                    return Some(Misfit::Digits);
                }
                _ => text = rest,
            }
        }
        None
    }
}

impl Piece {
    fn is_number(&self) -> bool {
        self.directive.is_some_and(|directive| width(directive).is_some() || matches!(directive, 'f' | 'N'))
            && !self.text.starts_with("%.")
    }

    /// Whether it is literal text that could be the rest of an offset.
    fn begins_as_offset(&self) -> bool {
        self.directive.is_none() && self.text.starts_with(|c: char| c.is_ascii_digit() || c == ':')
    }
}

/// Writes a moment by a pattern and reads it back, which tells whether the pattern can be read at all.
fn sample(pattern: &str) -> Result<BrokenDownTime, jiff::Error> {
    let moment = jiff::Timestamp::UNIX_EPOCH.to_zoned_datetime(jiff::tz::TimeZone::UTC);
    let written = strtime::format(pattern, &moment)?;
    strtime::parse(pattern, written)
}

/// Takes a well-formed pattern apart.
fn pieces(pattern: &str) -> Vec<Piece> {
    let mut found = Vec::new();
    let mut rest = pattern;
    while !rest.is_empty() {
        let Some(behind) = rest.strip_prefix('%') else {
            let (literal, tail) = rest.split_at(rest.find('%').unwrap_or(rest.len()));
            found.push(Piece { text: literal.to_owned(), directive: None, touches: false });
            rest = tail;
            continue;
        };
        let end = behind.find(|c: char| c.is_ascii_alphabetic() || c == '%').map_or(behind.len(), |end| end + 1);
        let directive = behind.get(..end).and_then(|text| text.chars().next_back());
        let (text, tail) = rest.split_at(end + 1);
        match COMPOSITE.iter().find(|(name, _)| Some(*name) == directive) {
            Some((_, parts)) => found.extend(pieces(parts)),
            None => found.push(Piece { text: text.to_owned(), directive, touches: false }),
        }
        rest = tail;
    }
    found
}

/// Refuses what would leave a part of a value unread.
fn check(directives: &[char]) -> Result<(), String> {
    let has = |wanted: &[char]| directives.iter().any(|directive| wanted.contains(directive));
    let mut fields: Vec<char> = directives.iter().filter_map(|directive| field(*directive)).collect();
    if has(&['Q']) {
        return Err("names of time zones are not read from values".to_owned());
    }
    if has(&['C']) {
        return Err("a century is not read by itself: write `%Y`".to_owned());
    }
    if has(&['s']) && fields.iter().any(|field| !matches!(field, 's' | 'z')) {
        return Err("nothing is read beside `%s`: for seconds with a fraction write `unix`".to_owned());
    }
    if has(&['I', 'l']) != has(&['p', 'P']) {
        return Err("hours to 12 (`%I`) go with `%p`, and hours to 24 (`%H`) without".to_owned());
    }
    let days: [&[char]; 5] = [&['m', 'b', 'B', 'h', 'd', 'e'], &['j'], &['U'], &['W'], &['V', 'G', 'g']];
    if days.into_iter().filter(|named| has(named)).count() > 1 {
        return Err("it names the day in two ways, of which one would not be read".to_owned());
    }
    fields.sort_unstable();
    match fields.array_windows().find(|[one, other]| one == other) {
        Some(_) => Err("it has a part of the date or time twice, of which one would not be read".to_owned()),
        None => Ok(()),
    }
}
