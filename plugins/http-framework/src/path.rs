//! The paths of routes, which have captures, of middleware, and of requests.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::error::Error;

/// One segment of a route's path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// Matches this segment. Both sides are compared percent-decoded.
    Exact(Vec<u8>),
    /// Matches any segment that is not empty.
    Capture,
    /// Matches the rest of the path, even if it is empty.
    Rest,
}

/// The parsed path of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PathPattern {
    pub(crate) parts: Vec<Part>,
    /// The names of its captures, in lower case, in order.
    pub(crate) names: Vec<String>,
}

impl PathPattern {
    pub(crate) fn parse(path: &str) -> Result<Self, Error> {
        let wrong = |what: &str| Error::Path { path: path.to_owned(), what: what.to_owned() };
        let mut pattern = Self { parts: Vec::new(), names: Vec::new() };
        let mut segments = checked(path)?.split('/').peekable();
        while let Some(segment) = segments.next() {
            let (part, name) = parse_segment(segment).map_err(|what| wrong(&what))?;
            if part == Part::Rest && segments.peek().is_some() {
                return Err(wrong("nothing can follow a capture of the rest"));
            }
            if let Some(name) = name {
                if pattern.names.contains(&name) {
                    return Err(wrong(&format!("it has two captures of the name {name}")));
                }
                pattern.names.push(name);
            }
            pattern.parts.push(part);
        }
        Ok(pattern)
    }
}

/// The maximum length of the path of a route or of middleware, in bytes.
const LONGEST: usize = 2_048;
/// The maximum number of its segments: the routing tree is that deep, and is walked recursively.
const DEEPEST: usize = 64;

/// Checks the path of a route or of middleware, and returns it without its leading slash.
fn checked(path: &str) -> Result<&str, Error> {
    if path.len() > LONGEST || path.matches('/').count() > DEEPEST {
        let path = path.chars().take(100).chain("...".chars()).collect();
        let what = format!("it has more than {LONGEST} bytes or more than {DEEPEST} segments");
        return Err(Error::Path { path, what });
    }
    let wrong = |what: &str| Error::Path { path: path.to_owned(), what: what.to_owned() };
    let rest = path.strip_prefix('/').ok_or_else(|| wrong("it has to start with a slash"))?;
    if rest.contains(['?', '#']) || rest.chars().any(char::is_control) {
        return Err(wrong("it can have no query, no fragment and no control characters"));
    }
    if !has_whole_escapes(rest) {
        return Err(wrong("a percent sign must be followed by two hexadecimal digits"));
    }
    if rest.split('/').any(|segment| has_dots(&decoded(segment))) {
        return Err(wrong("a segment is . or .., which requests cannot have"));
    }
    if rest.split('/').rev().skip(1).any(str::is_empty) {
        return Err(wrong("it has an empty segment before the last, which requests cannot have"));
    }
    Ok(rest)
}

fn parse_segment(segment: &str) -> Result<(Part, Option<String>), String> {
    let braced = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    let (part, name) = match (braced, segment.strip_prefix(':'), segment.strip_prefix('*')) {
        (Some(inner), ..) => match inner.strip_prefix('*') {
            Some(name) => (Part::Rest, name),
            None => (Part::Capture, inner),
        },
        (_, Some(name), _) => (Part::Capture, name),
        (_, _, Some(name)) => (Part::Rest, name),
        _ if segment.contains(['{', '}', '*']) => {
            return Err(format!("the segment {segment:?} is neither a capture nor free of braces and asterisks"));
        }
        _ => return Ok((Part::Exact(decoded(segment).into_owned()), None)),
    };
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if name.is_empty() || !name.bytes().all(fits) {
        return Err(format!("the capture {segment:?} needs a name of letters, digits, - and _"));
    }
    Ok((part, Some(name.to_ascii_lowercase())))
}

/// The path of a middleware: it covers itself and everything below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PathPrefix(Vec<Vec<u8>>);

impl PathPrefix {
    pub(crate) fn parse(path: &str) -> Result<Self, Error> {
        let rest = checked(path)?;
        if rest.contains(['{', '}', '*']) || rest.split('/').any(|segment| segment.starts_with(':')) {
            return Err(Error::Path {
                path: path.to_owned(),
                what: "the path of middleware can have no captures: it covers everything below it".to_owned(),
            });
        }
        // `/a` and `/a/` are the same, and `/` covers every path.
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let segments = if rest.is_empty() { Vec::new() } else { rest.split('/').collect() };
        Ok(Self(segments.into_iter().map(|segment| decoded(segment).into_owned()).collect()))
    }

    pub(crate) fn covers(&self, path: &Path<'_>) -> bool {
        self.0.len() <= path.segments.len()
            && self.0.iter().zip(&path.segments).all(|(own, segment)| *own == *segment.decoded)
    }
}

/// The path of a request, split into segments.
pub(crate) struct Path<'a> {
    pub(crate) text: &'a str,
    pub(crate) segments: Vec<Segment<'a>>,
}

/// A segment of the path of a request.
pub(crate) struct Segment<'a> {
    /// Its byte offset in the path.
    pub(crate) start: usize,
    pub(crate) raw: &'a str,
    pub(crate) decoded: Cow<'a, [u8]>,
}

impl<'a> Path<'a> {
    /// Splits a path as sent.
    ///
    /// # Errors
    /// A message for the client if two parsers could disagree on the segments.
    pub(crate) fn of(text: &'a str) -> Result<Self, &'static str> {
        let rest = text.strip_prefix('/').ok_or("the request target has no path")?;
        if !has_whole_escapes(rest) {
            return Err("a percent sign of the path is not followed by two hexadecimal digits");
        }
        let mut start = 1;
        let mut segments = Vec::new();
        for raw in rest.split('/') {
            let decoded = decoded(raw);
            if has_dots(&decoded) {
                return Err("a segment of the path is . or ..");
            }
            if raw.is_empty() && start <= rest.len() {
                return Err("a segment of the path other than the last is empty");
            }
            segments.push(Segment { start, raw, decoded });
            start += raw.len() + 1;
        }
        Ok(Self { text, segments })
    }
}

fn decoded(segment: &str) -> Cow<'_, [u8]> {
    percent_decode_str(segment).into()
}

/// Returns whether a decoded segment is `.` or `..`. An encoded slash or backslash counts as a separator, because other
/// programs may treat it as one.
fn has_dots(segment: &[u8]) -> bool {
    segment.split(|byte| matches!(byte, b'/' | b'\\')).any(|part| matches!(part, b"." | b".."))
}

fn has_whole_escapes(text: &str) -> bool {
    let mut escapes = text.split('%');
    // Skip what precedes the first percent sign.
    escapes.next();
    escapes.all(|rest| rest.as_bytes().get(..2).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)))
}
