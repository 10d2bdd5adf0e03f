//! Patterns for the names of children: the keys of `children` in the config.
//!
//! `*` matches any sequence of characters, including none; every other character matches itself. The core appends a
//! number to the names of children that share one (`worker`, `worker#2`, `worker#3`). A pattern matches such a child by
//! its whole name or by the name without the number. If several patterns match, the one with the lowest
//! [`Pattern::rank`] applies.

use std::cmp::Reverse;

/// A pattern for names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    /// Creates a pattern. Every text is a valid pattern.
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// Whether the pattern matches a child with this name.
    pub fn matches(&self, name: &str) -> bool {
        self.covers(name) || unnumbered(name).is_some_and(|base| self.covers(base))
    }

    /// Sort key for specificity, lowest first: more literal characters, then fewer `*`, then byte order.
    pub fn rank(&self) -> (Reverse<usize>, usize, &str) {
        let stars = self.0.matches('*').count();
        (Reverse(self.0.chars().count() - stars), stars, &self.0)
    }

    fn covers(&self, name: &str) -> bool {
        let Some((start, rest)) = self.0.split_once('*') else { return self.0 == name };
        let (middle, end) = rest.rsplit_once('*').unwrap_or(("", rest));
        let Some(mut left) = name.strip_prefix(start).and_then(|name| name.strip_suffix(end)) else { return false };
        for part in middle.split('*') {
            // Greedy: the first match of a part leaves the most text for the parts after it.
            let Some((_, behind)) = left.split_once(part) else { return false };
            left = behind;
        }
        true
    }
}

/// Returns `worker` for `worker#2`. Numbers start at 2: the first child with a name has none.
fn unnumbered(name: &str) -> Option<&str> {
    let (base, number) = name.rsplit_once('#')?;
    let number: u64 = number.parse().ok().filter(|parsed: &u64| parsed.to_string() == number)?;
    (number >= 2).then_some(base)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, matching: &[&str], other: &[&str]) {
        for name in matching {
            assert!(Pattern::new(pattern).matches(name), "{pattern} does not match {name}");
        }
        for name in other {
            assert!(!Pattern::new(pattern).matches(name), "{pattern} matches {name}");
        }
    }

    #[test]
    // [sup-24]
    fn a_star_stands_for_any_run_of_characters_and_all_else_for_itself() {
        check("worker", &["worker"], &["", "work", "worker1", "Worker", "a worker"]);
        check("worker*", &["worker", "worker1", "worker-a*"], &["worke", "aworker"]);
        check("*er", &["er", "worker"], &["e", "r", "ers"]);
        check("w*r", &["wr", "worker", "wrwr"], &["w", "r", "wrw"]);
        check("*", &["", "worker", "#"], &[]);
        check("a*b*a", &["aba", "a-b-a", "abba"], &["aa", "ab", "aba-"]);
        check("aa*aa", &["aaaa", "aa aa"], &["aa", "aaa"]);
        check("*a*b*", &["ab", "xaxbx", "aab"], &["ba", "a", "b"]);
        check("**", &["", "a"], &[]);
        check("a?.[b]", &["a?.[b]"], &["ab.b", "a?.b"]);
        check("ä*ö", &["äö", "äüö"], &["ä", "ao"]);
        check("", &[""], &["a"]);
    }

    #[test]
    // [sup-24]
    fn the_second_of_a_name_is_matched_by_its_whole_name_and_by_the_name_without_the_number() {
        check("worker", &["worker#2", "worker#10"], &["worker#1", "worker#02", "worker#+2", "worker#", "worker#x"]);
        check("worker#2", &["worker#2"], &["worker", "worker#3"]);
        check("*er", &["worker#2"], &["worker#a"]);
        check("worker*", &["worker#2", "worker#a"], &[]);
        check("worker#2", &["worker#2#2"], &[]);
    }

    #[test]
    // [sup-24]
    fn the_pattern_with_the_most_characters_besides_stars_is_the_closest() {
        let mut patterns: Vec<_> =
            ["*", "w*", "b*er", "*erb", "worker*", "**worker", "worker", "worker#2"].map(Pattern::new).to_vec();
        patterns.sort_by(|one, other| one.rank().cmp(&other.rank()));
        let order: Vec<_> = patterns.iter().map(|pattern| pattern.0.as_str()).collect();
        assert_eq!(order, ["worker#2", "worker", "worker*", "**worker", "*erb", "b*er", "w*", "*"]);
    }
}
