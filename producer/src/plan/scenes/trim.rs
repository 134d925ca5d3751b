//! A host that plays its composition from a later moment on: what has times in there begins earlier by as much, also by
//! upstream's newest rules. What would begin before the host begins with it, and is not at its own beginning then.

use std::collections::HashMap;

use super::{
    find::{self, Instance},
    tree::{Id, ROOT, Tree},
};

/// How much of an element is not played, in seconds, for the page's scripts of the producer.
const CUT: &str = "data-hf-cut";
/// Where in its file or composition an element begins to play: the first that there is counts.
const BEGINS: [&str; 2] = ["data-playback-start", "data-media-start"];
/// When elements begin that are over before their host begins, and how long they are there, in seconds: so short that the sum is
/// when they begin, and they are never seen. They stay in the document for its scripts.
const NEVER: (f64, f64) = (0.001, 1e-20);

/// Moves the elements of an instance whose host does not play it from its beginning.
pub(super) fn trim(instance: &mut Instance, outer: &Tree) {
    let seconds = in_point(outer, instance.host.node).map_or(0.0, |(_, seconds)| seconds);
    if seconds > 0.0 {
        move_content(&mut instance.tree, instance.root.unwrap_or(ROOT), seconds);
    }
}

fn in_point(tree: &Tree, node: Id) -> Option<(&'static str, f64)> {
    let told = |name| Some((name, number(tree, node, name).filter(|seconds| *seconds >= 0.0)?));
    BEGINS.into_iter().find_map(told)
}

fn number(tree: &Tree, node: Id, name: &str) -> Option<f64> {
    tree.get(node, name)?.trim().parse().ok().filter(|number: &f64| number.is_finite())
}

/// Has all that counts its time from a composition begin earlier.
fn move_content(tree: &mut Tree, composition: Id, seconds: f64) {
    let mut open = vec![(composition, seconds)];
    while let Some((composition, seconds)) = open.pop() {
        // Before anything moves: to what is over nothing can refer any more.
        for (node, start) in starts(tree, composition) {
            let cut = begin_earlier(tree, node, start, seconds);
            if cut > 0.0 && find::is_composition(tree, node) {
                // What is mounted in it comes later, and has none of it yet.
                open.push((node, cut));
            }
        }
    }
}

/// The elements that count their time from a composition and say when they begin, and when that is, in seconds. Those are left out
/// of which only the page can tell.
fn starts(tree: &Tree, composition: Id) -> Vec<(Id, f64)> {
    let mut open: Vec<Id> = tree.children(composition).iter().rev().copied().collect();
    let (mut timed, mut named) = (Vec::new(), HashMap::new());
    while let Some(node) = open.pop() {
        for name in ["id", "data-composition-id"].iter().filter_map(|key| tree.get(node, key)) {
            named.entry(name).or_insert(node);
        }
        timed.extend(tree.has(node, "data-start").then_some(node));
        if !find::is_composition(tree, node) {
            open.extend(tree.children(node).iter().rev());
        }
    }
    let mut known = HashMap::new();
    for node in &timed {
        note_start(tree, *node, &named, &mut known);
    }
    timed.into_iter().filter_map(|node| Some((node, known[&node]?))).collect()
}

/// Notes when an element begins, which it may say by another one: when that ends.
fn note_start(tree: &Tree, node: Id, named: &HashMap<&str, Id>, known: &mut HashMap<Id, Option<f64>>) {
    let (mut chain, mut node) = (Vec::new(), node);
    while !known.contains_key(&node) {
        let seconds = number(tree, node, "data-start").map(|seconds| seconds.max(0.0));
        known.insert(node, seconds);
        let reference = || reference(tree.get(node, "data-start")?.trim());
        let Some((name, offset)) = reference().filter(|_| seconds.is_none()) else { break };
        let Some(other) = named.get(name) else { break };
        chain.push((node, *other, offset));
        node = *other;
    }
    // Of those that refer to themselves nothing is known.
    for (node, other, offset) in chain.into_iter().rev() {
        let begins = known[&other].and_then(|begins| Some((begins + lasts(tree, other, begins)? + offset).max(0.0)));
        known.insert(node, begins);
    }
}

/// The name and the seconds of `name + 1.5` (upstream's grammar).
fn reference(expression: &str) -> Option<(&str, f64)> {
    let is_name = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || "_.:-".contains(c));
    if is_name(expression) {
        return Some((expression, 0.0));
    }
    let (name, seconds) = expression.split_at(expression.rfind(['+', '-'])?);
    let offset: f64 = seconds.replace(' ', "").parse().ok()?;
    Some((name.trim(), offset)).filter(|(name, _)| is_name(name))
}

/// Seconds that an element which begins then is there, if it says so.
fn lasts(tree: &Tree, node: Id, start: f64) -> Option<f64> {
    /// Images that say nothing (the runtime's rule); those that move do not end.
    const IMAGE: f64 = 3.0;
    let moves = || tree.get(node, "src").is_some_and(|address| address.to_ascii_lowercase().contains(".gif"));
    let image = || (tree.is(node, "img") && !moves()).then_some(IMAGE);
    let told = number(tree, node, "data-duration").or_else(|| Some(number(tree, node, "data-end")? - start));
    told.filter(|seconds| *seconds > 0.0).or_else(image)
}

/// Has an element begin earlier than at `start`. The answer is how much of it is not played.
fn begin_earlier(tree: &mut Tree, node: Id, start: f64, seconds: f64) -> f64 {
    let cut = (seconds - start).max(0.0);
    let lasts = lasts(tree, node, start);
    let mut set = |name, value: f64| tree.set(node, name, Some(value.to_string()));
    if lasts.is_some_and(|duration| duration <= cut) {
        set("data-start", NEVER.0);
        set("data-duration", NEVER.1);
        return 0.0;
    }
    set("data-start", (start - seconds).max(0.0));
    if let Some(duration) = lasts {
        set("data-duration", duration - cut);
        tree.set(node, "data-end", None);
    }
    if cut == 0.0 {
        return 0.0;
    }
    tree.set(node, CUT, Some(cut.to_string()));
    let plays = tree.is(node, "video") || tree.is(node, "audio") || find::is_composition(tree, node);
    if plays {
        let (name, begins) = in_point(tree, node).unwrap_or((BEGINS[0], 0.0));
        let rate = number(tree, node, "data-playback-rate").filter(|rate| *rate > 0.0).unwrap_or(1.0);
        tree.set(node, name, Some((begins + cut * rate).to_string()));
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of content of which two seconds are not played.
    fn trimmed(html: &str) -> String {
        let mut tree = Tree::parse(html);
        let body = tree.find("body").unwrap();
        move_content(&mut tree, body, 2.0);
        tree.html(tree.children(body), |_| None)
    }

    #[test]
    fn what_begins_later_begins_earlier() {
        assert_eq!(
            trimmed("<p data-start=\"3\" data-duration=\"4\"></p>"),
            "<p data-start=\"1\" data-duration=\"4\"></p>"
        );
        assert_eq!(trimmed("<p data-start=\"other + 1\"><b></b></p>"), "<p data-start=\"other + 1\"><b></b></p>");
        assert_eq!(
            trimmed("<p data-start=\"3\" data-end=\"7\"></p><img data-start=\"0.5\">"),
            "<p data-start=\"1\" data-duration=\"4\"></p><img data-start=\"0\" data-duration=\"1.5\" data-hf-cut=\"1.5\">"
        );
    }

    #[test]
    fn what_follows_another_one_is_moved_with_it() {
        let first = "<p id=\"a\" data-start=\"0\" data-duration=\"1\"></p>";
        let rest = "<p id=\"b\" data-start=\"a + 0.5\" data-duration=\"2\"></p><p data-start=\"b - 1\"></p><p data-start=\"self\" id=\"self\"></p>";
        let moved = "<p id=\"b\" data-start=\"0\" data-duration=\"1.5\" data-hf-cut=\"0.5\"></p><p data-start=\"0.5\"></p><p data-start=\"self\" id=\"self\"></p>";
        let over = "<p id=\"a\" data-start=\"0.001\" data-duration=\"0.00000000000000000001\"></p>";
        assert_eq!(trimmed(&format!("{first}{rest}")), format!("{over}{moved}"));
        // A long chain, which is not followed by calls in calls; the last names the one before it, and so on.
        let link = |n: u32| format!("<p id=\"c{n}\" data-start=\"c{}\" data-duration=\"1\"></p>", n - 1);
        let chain: String = (1..100_000).rev().map(link).collect();
        let moved = trimmed(&format!("{chain}<p id=\"c0\" data-start=\"0\" data-duration=\"1\"></p>"));
        assert!(moved.starts_with("<p id=\"c99999\" data-start=\"99997\" data-duration=\"1\"></p>"));
    }

    #[test]
    fn what_has_begun_goes_on() {
        let clip = "<div><video data-start=\"0.5\" data-duration=\"4\" data-media-start=\"1\" data-playback-rate=\"2\"></video></div>";
        let cut = "<div><video data-start=\"0\" data-duration=\"2.5\" data-media-start=\"4\" data-playback-rate=\"2\" data-hf-cut=\"1.5\"></video></div>";
        assert_eq!(trimmed(clip), cut);
    }

    #[test]
    fn what_is_over_is_never_seen() {
        assert_eq!(
            trimmed("<p data-start=\"1\" data-duration=\"1\"></p>"),
            "<p data-start=\"0.001\" data-duration=\"0.00000000000000000001\"></p>"
        );
    }

    #[test]
    fn compositions_in_it_take_what_is_in_them_along() {
        let inner = "<p data-composition-id=\"a\" data-start=\"3\"><b data-start=\"1\"></b></p>";
        assert_eq!(trimmed(inner), inner.replace('3', "1"));
        let begun = "<p data-composition-id=\"a\" data-start=\"1\"><b data-start=\"1\"></b></p>";
        assert_eq!(
            trimmed(begun),
            "<p data-composition-id=\"a\" data-start=\"0\" data-hf-cut=\"1\" data-playback-start=\"1\"><b data-start=\"0\"></b></p>"
        );
    }
}
