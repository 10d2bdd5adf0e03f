//! Patterns over children's names: the keys of `children` in the config.
//!
//! `*` stands for any run of characters, also none; everything else for itself. The core tells children of the same name
//! apart by a number (`worker`, `worker#2`, `worker#3`): a pattern matches such a child by its whole name or by the name
//! without the number. Which of several patterns that match counts: the one of the lowest [`Pattern::rank`].

use std::cmp::Reverse;

/// A pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    /// The pattern of this text: every text is one.
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// Whether a child of this name is meant.
    pub fn matches(&self, name: &str) -> bool {
        self.covers(name) || unnumbered(name).is_some_and(|base| self.covers(base))
    }

    /// Lower is closer: more characters that stand for themselves, then fewer `*`, then earlier in the order of bytes.
    pub fn rank(&self) -> (Reverse<usize>, usize, &str) {
        let stars = self.0.matches('*').count();
        (Reverse(self.0.chars().count() - stars), stars, &self.0)
    }

    fn covers(&self, name: &str) -> bool {
        let Some((start, rest)) = self.0.split_once('*') else { return self.0 == name };
        let (middle, end) = rest.rsplit_once('*').unwrap_or(("", rest));
        let Some(mut left) = name.strip_prefix(start).and_then(|name| name.strip_suffix(end)) else { return false };
        for part in middle.split('*') {
            // The first place a part fits leaves the most to those behind it.
            let Some((_, behind)) = left.split_once(part) else { return false };
            left = behind;
        }
        true
    }
}

/// `worker` of `worker#2`; the first of a name has no number.
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
