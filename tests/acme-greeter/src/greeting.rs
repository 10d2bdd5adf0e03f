//! Composes greetings. The text depends only on the config, the person and the occasion.

use crate::Config;
use crate::acme::greeter::hello::{Marks, Occasion, Person, Tone};

const GESTURES: [(Marks, &str); 6] = [
    (Marks::BOW, "bow"),
    (Marks::WAVE, "wave"),
    (Marks::SMILE, "smile"),
    (Marks::WINK, "wink"),
    (Marks::NOD, "nod"),
    (Marks::CLAP, "clap"),
];

/// Composes a greeting, such as `Hello, dear Ada! Happy birthday number 36! *smile*`.
///
/// # Errors
/// A sentence that says what is wrong with the person or the occasion, or what the config does not allow.
pub fn greeting(config: &Config, who: &Person, on: &Occasion) -> Result<String, String> {
    for person in named(who, on) {
        has_a_name(person)?;
    }
    is_allowed(config, who, on)?;
    let words = format!("{}, {}{}!{}", config.greeting, address(who.tone), who.name, occasion(on));
    Ok(marked(words, who.marks))
}

fn named<'a>(who: &'a Person, on: &'a Occasion) -> Vec<&'a Person> {
    match on {
        Occasion::Wedding((one, other)) => vec![who, one, other],
        Occasion::PlainDay | Occasion::Birthday(_) | Occasion::Other(_) => vec![who],
    }
}

fn has_a_name(person: &Person) -> Result<(), String> {
    match person.name.chars().next() {
        None => Err("nobody can be greeted without a name: name is empty".to_owned()),
        Some(first) if first != person.initial => {
            Err(format!("the initial of {} is '{first}', not '{}'", person.name, person.initial))
        }
        Some(_) => Ok(()),
    }
}

fn is_allowed(config: &Config, who: &Person, on: &Occasion) -> Result<(), String> {
    let names = named(who, on).len() as u64;
    if names > config.max_names {
        return Err(format!(
            "{names} names are more than {}; in the handler acme:greeter, config = {{ max_names = {names} }} allows them",
            config.max_names
        ));
    }
    if who.tone == Tone::Formal && !config.polite {
        return Err(
            "the tone formal is not allowed; in the handler acme:greeter, config = { polite = true } allows it"
                .to_owned(),
        );
    }
    Ok(())
}

fn address(tone: Tone) -> &'static str {
    match tone {
        Tone::Plain => "",
        Tone::Warm => "dear ",
        Tone::Formal => "most honoured ",
    }
}

fn occasion(on: &Occasion) -> String {
    match on {
        Occasion::PlainDay => String::new(),
        Occasion::Birthday(years) => format!(" Happy birthday number {years}!"),
        Occasion::Wedding((one, other)) => format!(" To {} and {}!", one.name, other.name),
        Occasion::Other(reason) => format!(" The reason: {reason}."),
    }
}

fn marked(mut words: String, marks: Marks) -> String {
    let gestures: Vec<_> = GESTURES.iter().filter(|(mark, _)| marks.contains(*mark)).map(|(_, name)| *name).collect();
    if !gestures.is_empty() {
        words = format!("{words} *{}*", gestures.join(", "));
    }
    if marks.contains(Marks::SHOUT) {
        words = words.to_uppercase();
    }
    if marks.contains(Marks::REPEAT) {
        words = format!("{words} {words}");
    }
    if marks.contains(Marks::UNDERLINE) {
        words = format!("{words}\n{}", "-".repeat(words.chars().count()));
    }
    words
}
