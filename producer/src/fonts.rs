//! The fonts there are without a composition bringing any: upstream's 18 families, and what other names mean.
//!
//! They are both put into a page under the names it uses and all that the browser finds on its system, so that text
//! looks the same wherever it is drawn: in the page, a frame, a form control, a canvas, an SVG image.

use std::sync::LazyLock;

use sha2::{Digest as _, Sha256};

/// One upright face of a bundled family.
pub(crate) struct Face {
    pub(crate) family: &'static str,
    /// CSS `font-weight`.
    pub(crate) weight: u16,
    /// The characters it is for, as CSS `unicode-range`; empty for all that it has.
    pub(crate) range: &'static str,
    /// File name, unique among all.
    pub(crate) file: &'static str,
    pub(crate) content: &'static [u8],
}

include!(concat!(env!("OUT_DIR"), "/faces.rs"));

/// What every generic family means, and text without any.
pub(crate) const DEFAULT: &str = "Inter";

/// What the browser itself sets code in.
pub(crate) const MONOSPACED: &str = "JetBrains Mono";

/// Names in CSS that mean a kind of font rather than a font; the systems' emoji are one kind.
pub(crate) const GENERIC: [&str; 19] = [
    "sans-serif",
    "serif",
    "monospace",
    "cursive",
    "fantasy",
    "system-ui",
    "ui-sans-serif",
    "ui-serif",
    "ui-monospace",
    "ui-rounded",
    "emoji",
    "noto color emoji",
    "apple color emoji",
    "segoe ui emoji",
    "segoe ui symbol",
    "math",
    "fangsong",
    "-apple-system",
    "blinkmacsystemfont",
];

/// Other names, in lower case, by the bundled family that stands in for them (upstream's table).
pub(crate) const ALIASES: [(&str, &[&str]); 6] = [
    (
        "Inter",
        &[
            "helvetica",
            "helvetica neue",
            "helvetica bold",
            "arial",
            "sf pro",
            "sf pro display",
            "sf pro text",
            "sf pro rounded",
            "avenir",
            "avenir next",
            "lucida grande",
            "geneva",
            "optima",
            "verdana",
            "tahoma",
            "trebuchet ms",
            "calibri",
            "candara",
            "corbel",
            "lucida sans",
            "lucida sans unicode",
            "noto sans",
            "dejavu sans",
            "liberation sans",
        ],
    ),
    ("Montserrat", &["futura", "din alternate", "arial black"]),
    ("League Gothic", &["bebas neue"]),
    ("Roboto", &["segoe ui"]),
    (
        "JetBrains Mono",
        &[
            "courier",
            "courier new",
            "sf mono",
            "menlo",
            "monaco",
            "consolas",
            "lucida console",
            "lucida sans typewriter",
            "andale mono",
            "dejavu sans mono",
            "liberation mono",
        ],
    ),
    (
        "EB Garamond",
        &[
            "garamond",
            "georgia",
            "palatino",
            "palatino linotype",
            "book antiqua",
            "cambria",
            "times",
            "times new roman",
            "dejavu serif",
            "liberation serif",
        ],
    ),
];

/// Upstream's last alias, whose family is bundled under another name.
const NOTO_SANS_JAPANESE: &str = "noto sans japanese";

/// The bundled family that a name in CSS means; `None` for generic names and unknown ones.
pub(crate) fn bundled(name: &str) -> Option<&'static str> {
    let name = name.trim().to_lowercase();
    if name == NOTO_SANS_JAPANESE {
        return Some("Noto Sans JP");
    }
    let alias = ALIASES.iter().find(|(_, names)| names.contains(&name.as_str())).map(|(family, _)| *family);
    alias.or_else(|| FACES.iter().map(|face| face.family).find(|family| family.to_lowercase() == name))
}

/// Whether a bundled font has a character.
pub(crate) fn has(character: char) -> bool {
    static PARSED: LazyLock<Vec<ttf_parser::Face<'static>>> =
        LazyLock::new(|| FACES.iter().filter_map(|face| ttf_parser::Face::parse(face.content, 0).ok()).collect());
    PARSED.iter().any(|face| face.glyph_index(character).is_some())
}

/// Whether a font belongs to a family by its name: some weights and pieces have one of their own, as "Inter Black".
pub(crate) fn is_of(font: &str, family: &str) -> bool {
    font.strip_prefix(family).is_some_and(|rest| matches!(rest.as_bytes(), [] | [b' ', ..]))
}

/// The bundled family that a font belongs to by its name.
pub(crate) fn bundled_of(font: &str) -> Option<&'static str> {
    families().into_iter().filter(|family| is_of(font, family)).max_by_key(|family| family.len())
}

/// Whether pages have more alphabets of a family than the system.
pub(crate) fn has_pieces(family: &str) -> bool {
    PIECES.iter().any(|piece| piece.family == family)
}

/// Whether one of a family's further alphabets has a character.
pub(crate) fn has_piece_for(family: &str, character: char) -> bool {
    PIECES.iter().any(|piece| piece.family == family && lies_in(piece.range, character))
}

/// Whether a CSS `unicode-range` holds a character.
pub(crate) fn lies_in(range: &str, character: char) -> bool {
    let number = |text: &str| u32::from_str_radix(text, 16).ok();
    range.split(',').any(|part| {
        let part = part.trim().trim_start_matches(['U', 'u', '+']);
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        number(first).zip(number(last)).is_some_and(|(first, last)| (first..=last).contains(&u32::from(character)))
    })
}

/// Whether a name in CSS means a kind of font.
pub(crate) fn is_generic(name: &str) -> bool {
    GENERIC.iter().any(|generic| generic.eq_ignore_ascii_case(name.trim()))
}

/// Whether a name in CSS means a kind of font of which all letters have one width.
pub(crate) fn is_monospaced(name: &str) -> bool {
    ["monospace", "ui-monospace"].iter().any(|generic| generic.eq_ignore_ascii_case(name.trim()))
}

/// The names of the bundled families, each once.
pub(crate) fn families() -> Vec<&'static str> {
    let mut families: Vec<_> = FACES.iter().map(|face| face.family).collect();
    families.dedup();
    families
}

/// SHA-256 over every face: part of the renderer digest and of the plan hash.
pub(crate) fn digest() -> &'static str {
    static DIGEST: LazyLock<String> = LazyLock::new(|| {
        let mut hash = Sha256::new();
        for face in FACES.iter().chain(PIECES) {
            hash.update(face.file);
            hash.update(face.content);
        }
        hex::encode(hash.finalize())
    });
    &DIGEST
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_mean_what_upstream_takes_them_for() {
        for (name, family) in [
            ("Arial", Some("Inter")),
            ("  Times New Roman ", Some("EB Garamond")),
            ("Menlo", Some("JetBrains Mono")),
            ("poppins", Some("Poppins")),
            ("Noto Sans Japanese", Some("Noto Sans JP")),
            ("Comic Sans MS", None),
            ("serif", None),
        ] {
            assert_eq!(bundled(name), family, "{name}");
        }
        assert!(is_generic("BlinkMacSystemFont") && !is_generic("Inter"));
        assert_eq!(families().len(), 18);
        for (family, _) in ALIASES {
            assert!(families().contains(&family), "{family}");
        }
    }

    #[test]
    fn faces_are_fonts() {
        for face in FACES {
            assert!(face.content.starts_with(&[0, 1, 0, 0]), "{}", face.file);
        }
        assert!(has('a') && has('Ж') && !has('→') && !has('漢'));
    }

    #[test]
    fn ranges_are_those_of_style_sheets() {
        let range = "U+0000-00FF, U+0131,U+2190-21ff";
        for (character, inside) in [('a', true), ('\u{131}', true), ('→', true), ('\u{132}', false), ('漢', false)] {
            assert_eq!(lies_in(range, character), inside, "{character}");
        }
    }
}
