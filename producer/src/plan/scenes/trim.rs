//! A host that plays its composition from a later moment on: what has times in there begins earlier by as much, also by
//! upstream's newest rules. What would begin before the host begins with it, and is not at its own beginning then.

use super::{
    find::{self, Instance},
    tree::{Id, ROOT, Tree},
};

/// How much of an element is not played, in seconds, for the page's scripts of the producer.
const CUT: &str = "data-hf-cut";
/// Where in its file or composition an element begins to play: the first that there is counts.
const BEGINS: [&str; 2] = ["data-playback-start", "data-media-start"];
/// Seconds: after every video. Elements that are over before their host begins stay in the document for its scripts.
const NEVER: f64 = 1e6;

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
    let mut open = tree.children(composition).to_vec();
    while let Some(node) = open.pop() {
        let cut = number(tree, node, "data-start").map_or(0.0, |start| begin_earlier(tree, node, start, seconds));
        if !find::is_composition(tree, node) {
            open.extend(tree.children(node));
        } else if cut > 0.0 {
            // What is mounted in it comes later, and has none of it yet.
            move_content(tree, node, cut);
        }
    }
}

/// Has an element begin earlier than at `start`. The answer is how much of it is not played.
fn begin_earlier(tree: &mut Tree, node: Id, start: f64, seconds: f64) -> f64 {
    let cut = (seconds - start.max(0.0)).max(0.0);
    let lasts = number(tree, node, "data-duration").filter(|duration| *duration > 0.0);
    let is_over = lasts.is_some_and(|duration| duration <= cut);
    let mut set = |name, value: f64| tree.set(node, name, Some(value.to_string()));
    if is_over {
        set("data-start", NEVER);
        return 0.0;
    }
    set("data-start", (start - seconds).max(0.0));
    if cut == 0.0 {
        return 0.0;
    }
    if let Some(duration) = lasts {
        set("data-duration", duration - cut);
    }
    set(CUT, cut);
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
            "<p data-start=\"1000000\" data-duration=\"1\"></p>"
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
