//! Text of others on a terminal: what a file says must never move the cursor, change colours or hide a line.

use std::borrow::Cow;

/// `text` with every control character but newline and tab written out, as `\u{1b}`; line and paragraph separators and
/// marks that turn the direction of writing too.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_control) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_control(character) {
            safe.extend(character.escape_unicode());
        } else {
            safe.push(character);
        }
    }
    Cow::Owned(safe)
}

/// Bidirectional controls (Unicode Standard Annex 9, table 2) besides the control characters proper.
fn is_control(character: char) -> bool {
    match character {
        '\n' | '\t' => false,
        '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        other => other.is_control(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_terminal_would_obey_is_written_out() {
        assert_eq!(printable("a\u{1b}[2Jb\rc\u{9b}1m"), "a\\u{1b}[2Jb\\u{d}c\\u{9b}1m");
        assert_eq!(printable("exe.\u{202e}4pm"), "exe.\\u{202e}4pm");
        assert!(matches!(printable("Zürich\n\t汉 🙂"), Cow::Borrowed(_)));
    }
}
