//! What text is really drawn with, as the browser tells it, against the families that were asked for.
//!
//! Asked at a few moments of the composition, of every text in every document, shadow root, frame, pseudo-element and
//! form control, once for each character of each family list.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    ops::RangeInclusive,
};

use crds::{Code, Failure};
use icu_normalizer::{ComposingNormalizerBorrowed, DecomposingNormalizerBorrowed};

use crate::{
    Error,
    draw::browser::{
        page::{Page, Text},
        system_fonts::MISSING_GLYPH,
    },
    fonts::{self, DEFAULT, bundled, is_generic},
    plan::{defects::Defects, fonts::Named, project::ENTRY},
    remote::is_seen,
};

/// What was seen so far.
#[derive(Default)]
pub(crate) struct Drawn {
    /// Family lists with the characters already asked for.
    seen: HashSet<(String, char)>,
    /// Bundled families with alphabets that are not in the page, for only scripts and variables name them.
    unnamed: BTreeSet<String>,
    /// Families nobody has, with what was drawn in place of them.
    absent: BTreeMap<String, Instead>,
    /// Family lists none of whose fonts has the characters of a text, with that text.
    without_glyphs: BTreeMap<String, String>,
    /// Characters of such texts that no bundled font has.
    characters: BTreeSet<char>,
    /// Families that stood in for fonts that lack characters, with the list and the text where they first did.
    fallen_back: BTreeMap<String, (String, String)>,
    /// The first family list that begins with a generic family of letters of one width, and so with another one, with a text.
    proportional: Option<(String, String)>,
}

/// What a look at a page showed to be missing, and packages may have.
#[derive(Debug, Default)]
pub(crate) struct Lacking {
    /// Families that only scripts and variables name.
    pub(crate) families: Vec<String>,
    /// In no font.
    pub(crate) characters: BTreeSet<char>,
}

impl Lacking {
    pub(crate) fn is_empty(&self) -> bool {
        self.families.is_empty() && self.characters.is_empty()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Instead {
    /// Another family of the same list.
    Listed,
    /// A font nobody asked for.
    Unasked,
}

/// Characters that only a font of its own gives a meaning, as one of icons.
const PRIVATE: RangeInclusive<char> = '\u{e000}'..='\u{f8ff}';

/// Problems reported one by one; there may be thousands.
const REPORTED: usize = 20;

impl Drawn {
    /// Looks at the page as it is now.
    pub(crate) fn look(&mut self, page: &mut Page, named: &Named) -> Result<(), Error> {
        let seen = &mut self.seen;
        let texts = page.texts(|stack, text| {
            text.chars().filter(|character| seen.insert((stack.to_owned(), *character))).count() > 0
        })?;
        if texts.is_empty() {
            return Ok(());
        }
        let declared: BTreeSet<String> = page.evaluate::<Vec<String>>("__hfProducer.families()")?.into_iter().collect();
        for text in texts {
            let declared = |family: &str| named.declares(family) || declared.contains(&family.to_lowercase());
            self.judge(&text, declared, named);
            self.judge_boxes(&text, named);
        }
        Ok(())
    }

    /// Notes the characters of text that was never shown so far: it may be between the moments that are looked at.
    pub(crate) fn note_hidden(&mut self, page: &mut Page) -> Result<(), Error> {
        let hidden: String = page.evaluate("__hfProducer.hiddenCharacters()")?;
        let shown: BTreeSet<char> = self.seen.iter().map(|(_, character)| *character).collect();
        let lacks = |c: &char| is_seen(*c) && !shown.contains(c) && !fonts::has(*c) && !PRIVATE.contains(c);
        self.characters.extend(hidden.chars().filter(lacks));
        Ok(())
    }

    /// What packages may have of what is missing: those of families that style sheets name were asked already.
    pub(crate) fn lacking(&self, named: &Named) -> Lacking {
        let absent = self.absent.keys().filter(|family| named.why_missing(family).is_none());
        let families = absent.chain(&self.unnamed).cloned().collect();
        Lacking { families, characters: self.characters.clone() }
    }

    fn judge(&mut self, text: &Text, declared: impl Fn(&str) -> bool, named: &Named) {
        let stack = families(&text.stack);
        let available = |family: &str| is_generic(family) || bundled(family).is_some() || declared(family);
        let is_bundled = |font: &str, family: &str| bundled(family).is_some_and(|family| fonts::is_of(font, family));
        let asked_for = |font: &str| stack.iter().any(|family| is_generic(family) || is_bundled(font, family));
        let quoted = quoted(&text.text);
        if let [DEFAULT, generic, ..] = stack.iter().map(String::as_str).collect::<Vec<_>>()[..]
            && fonts::is_monospaced(generic)
        {
            self.proportional.get_or_insert_with(|| (text.stack.clone(), quoted.clone()));
        }
        for (font, custom) in &text.fonts {
            if font == MISSING_GLYPH {
                self.characters.extend(text.text.chars().filter(|character| !fonts::has(*character)));
                self.without_glyphs.entry(text.stack.clone()).or_insert(quoted.clone());
                continue;
            }
            if let Some(family) = named.fallback(font).filter(|_| !custom) {
                if !stack.iter().any(|listed| listed.eq_ignore_ascii_case(family)) {
                    self.note_fallen_back(family, text);
                }
                continue;
            }
            let Some(first) = stack.first() else { continue };
            let instead = if *custom || asked_for(font) { Instead::Listed } else { Instead::Unasked };
            match (available(first), instead) {
                (false, instead) => self.note_absent(first, instead),
                (true, Instead::Listed) => {}
                (true, Instead::Unasked) => match stack.iter().find(|family| !available(family)) {
                    Some(family) => self.note_absent(family, Instead::Unasked),
                    None => self.note_lacking(&stack, font, text, named),
                },
            }
        }
    }

    /// What comes of several characters, as a letter and a mark, is drawn as a box of the letter's font if that has not all of them and the
    /// browser asks no other: no font is told then that has them.
    fn judge_boxes(&mut self, text: &Text, named: &Named) {
        let is_ours = |family: &String| (is_generic(family) || bundled(family).is_some()) && !named.declares(family);
        if !families(&text.stack).iter().all(is_ours) {
            return;
        }
        let has = |font: &str, character| match (named.fallback(font), fonts::bundled_of(font)) {
            (Some(family), _) => named.falls_back(family, character),
            (None, Some(family)) => fonts::has_piece_for(family, character),
            (None, None) => true,
        };
        // A letter and a mark that are one character are drawn as that, or else as the two.
        let composed = ComposingNormalizerBorrowed::new_nfc().normalize(&text.text);
        let others = composed.chars().filter(|c| is_seen(*c) && text.text.contains(*c) && !in_parts(*c, fonts::has));
        let mut boxes = others.filter(|c| !text.fonts.iter().any(|(font, _)| has(font, *c))).peekable();
        if boxes.peek().is_some() {
            self.characters.extend(boxes);
            self.without_glyphs.entry(text.stack.clone()).or_insert_with(|| quoted(&text.text));
        }
    }

    /// A font that nobody asked for was used, although all were there that somebody asked for.
    fn note_lacking(&mut self, stack: &[String], font: &str, text: &Text, named: &Named) {
        let ours = stack.iter().filter(|name| !named.declares(name));
        let ours: Vec<_> = ours.filter_map(|name| Some((name, bundled(name)?))).collect();
        let unnamed = ours.iter().filter(|(name, family)| fonts::has_pieces(family) && !named.names(name));
        self.unnamed.extend(unnamed.map(|(name, _)| (*name).clone()));
        // Whoever brings a font and sees nothing of it may have brought something else.
        let is_seen = !ours.is_empty() || text.fonts.iter().any(|(_, custom)| *custom);
        match fonts::bundled_of(font).filter(|_| is_seen) {
            Some(family) => self.note_fallen_back(family, text),
            None => drop(self.without_glyphs.entry(text.stack.clone()).or_insert_with(|| quoted(&text.text))),
        }
    }

    fn note_fallen_back(&mut self, family: &str, text: &Text) {
        let first = || (text.stack.clone(), quoted(&text.text));
        self.fallen_back.entry(family.to_owned()).or_insert_with(first);
    }

    fn note_absent(&mut self, family: &str, instead: Instead) {
        let noted = self.absent.entry(family.to_owned()).or_insert(instead);
        if instead == Instead::Unasked {
            *noted = instead;
        }
    }

    /// What was found.
    pub(crate) fn defects(&self, named: &Named) -> Defects {
        let failure = |message: String, place: Option<(&str, u32)>| {
            let (path, line) = place.map_or((None, None), |(path, line)| (Some(path.to_owned()), Some(line)));
            Failure { code: Code::FontFetchFailed, message, path, line: line.filter(|line| *line > 0) }
        };
        let Defects { mut visible, mut minor } = Defects::default();
        for (family, instead) in self.absent.iter().take(REPORTED) {
            let place = named.place(family);
            let file = family.to_lowercase().replace(' ', "-");
            let bring = format!(
                "put {file}.woff2 into the project: @font-face{{font-family:{family:?};src:url({file}.woff2)}}"
            );
            match instead {
                Instead::Unasked => {
                    let why = named.why_missing(family).map(|why| format!(" ({why})")).unwrap_or_default();
                    visible
                        .push(failure(format!("the font {family} is not bundled{why}. Use Inter, or {bring}"), place));
                }
                Instead::Listed => minor.push(failure(
                    format!("the font {family} is not bundled: a later one of its list is used. To have it, {bring}"),
                    place,
                )),
            }
        }
        for (stack, text) in self.without_glyphs.iter().take(REPORTED) {
            let place = families(stack).iter().find_map(|family| named.place(family)).or(Some((ENTRY, 0)));
            let characters: String = text.chars().filter(|character| !fonts::has(*character)).collect();
            let why = named.why_without().map(|why| format!(" ({why})")).unwrap_or_default();
            let foremost = if characters.is_empty() { String::new() } else { format!(", foremost of {characters:?}") };
            let message = format!(
                "no font of {stack} has every character of {text:?}{foremost}{why}: declare one that has with a local @font-face"
            );
            visible.push(failure(message, place));
        }
        if let Some((stack, text)) = &self.proportional {
            let message = format!(
                "{text:?} is drawn with {DEFAULT}, for its font-family begins with a generic one ({stack}): name a monospaced font first, as in \
                 font-family: \"JetBrains Mono\", monospace"
            );
            minor.push(failure(message, Some((ENTRY, 0))));
        }
        if let Some((stack, text)) = self.fallen_back.values().next() {
            let place = families(stack).iter().find_map(|family| named.place(family)).or(Some((ENTRY, 0)));
            let names = self.fallen_back.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            let message = format!(
                "some characters are in no font that is asked for, first in {text:?} of {stack}: they are drawn with {names}. \
                 To choose others, name them in font-family"
            );
            minor.push(failure(message, place));
        }
        Defects { visible, minor }
    }
}

/// Whether all characters that one consists of, itself if it cannot be taken apart, are had.
fn in_parts(character: char, has: impl Fn(char) -> bool) -> bool {
    has(character)
        || DecomposingNormalizerBorrowed::new_nfd().normalize(character.encode_utf8(&mut [0; 4])).chars().all(has)
}

/// The beginning of a text.
fn quoted(text: &str) -> String {
    const QUOTED: usize = 40;
    text.trim().chars().take(QUOTED).collect()
}

/// The names in a computed `font-family`.
fn families(stack: &str) -> Vec<String> {
    let sheet = crate::plan::css::compile(&format!("font-family:{stack}"));
    sheet.stacks.into_iter().next().map(|(names, _)| names).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(stack: &str, font: &str, custom: bool, expected: (usize, usize)) {
        let mut drawn = Drawn::default();
        let text = Text { stack: stack.to_owned(), text: "abc".to_owned(), fonts: vec![(font.to_owned(), custom)] };
        let mut named = Named::default();
        named.note_fallbacks([("Signs".to_owned(), BTreeSet::new())].into(), None);
        drawn.judge(&text, |family| family == "Mine", &named);
        let Defects { visible, minor } = drawn.defects(&Named::default());
        assert_eq!((visible.len(), minor.len()), expected, "{stack}: {visible:?} {minor:?}");
    }

    #[test]
    fn a_mark_that_makes_no_letter_needs_a_font() {
        for (written, missing) in [
            ("franc\u{327}ais A\u{30a}se c\u{30c}e\u{302}", ""),
            ("\u{1e01}", ""),
            ("F\u{20d7}", "\u{20d7}"),
            ("c\u{327} \u{327}", "\u{327}"),
            ("1\u{fe0f}\u{20e3}", "\u{20e3}"),
        ] {
            let fonts = vec![("Inter".to_owned(), true)];
            let text = Text { stack: "Inter".to_owned(), text: written.to_owned(), fonts };
            let mut drawn = Drawn::default();
            drawn.judge_boxes(&text, &Named::default());
            assert_eq!(drawn.characters.into_iter().collect::<String>(), missing, "{written}");
        }
    }

    #[test]
    fn only_a_font_that_nobody_asked_for_is_an_error() {
        check("Arial, serif", "Inter", true, (0, 0));
        check("Georgia", "EB Garamond", false, (0, 0));
        check("Gotham", "Inter", false, (1, 0));
        check("Gotham, sans-serif", "Inter", false, (0, 1));
        check("Gotham, Lato", "Lato", false, (0, 1));
        check("Gotham, Inter", "Inter", true, (0, 1));
        check("Mine", "Inter", false, (1, 0));
        check("Mine, sans-serif", "Inter", false, (0, 0));
        check("Lato", "Inter", false, (0, 1));
        check("sans-serif", MISSING_GLYPH, false, (1, 0));
        check("Lato", "Signs", false, (0, 1));
        check("Lato, Signs", "Signs", false, (0, 0));
    }
}
