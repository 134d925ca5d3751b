//! Families that a project names and does not bring: bundled ones are declared under the name they are called by.

use std::collections::BTreeMap;

use crate::{
    fonts::{DEFAULT, FACES, Face, PIECES, bundled, is_generic, is_of},
    plan::project::RESERVED,
    remote::Fallbacks,
};

/// The fonts a project speaks of, gathered file by file.
#[derive(Debug, Default)]
pub(crate) struct Named {
    /// Families declared with `@font-face`, in lower case.
    declared: Vec<String>,
    /// Families in lower case: the name as written, and where first.
    named: BTreeMap<String, (String, String, u32)>,
    /// Families in lower case that no package has, with the reason.
    missing: BTreeMap<String, String>,
    fallbacks: Fallbacks,
    /// Why these have not all of them.
    without: Option<String>,
}

/// A style sheet, and the font files it names: path in the compiled project, content.
pub(crate) type Declarations = (String, BTreeMap<String, &'static [u8]>);

impl Named {
    /// Notes what a file declares and names.
    pub(crate) fn note(&mut self, path: &str, declared: &[String], stacks: impl Iterator<Item = (Vec<String>, u32)>) {
        self.declared.extend(declared.iter().map(|family| family.to_lowercase()));
        for (names, line) in stacks {
            for name in names {
                self.named.entry(name.to_lowercase()).or_insert_with(|| (name, path.to_owned(), line));
            }
        }
    }

    /// Whether the project brings this family itself.
    pub(crate) fn declares(&self, family: &str) -> bool {
        self.declared.contains(&family.to_lowercase())
    }

    /// Families that are named, and neither declared nor bundled.
    pub(crate) fn unknown(&self) -> impl Iterator<Item = &str> {
        let named = self.named.values().map(|(name, ..)| name.as_str());
        named.filter(|name| !self.declares(name) && bundled(name).is_none() && !is_generic(name) && !is_keyword(name))
    }

    /// Whether its faces are in the page: it is bundled, and named where planning sees it.
    pub(crate) fn names(&self, family: &str) -> bool {
        self.named.contains_key(&family.to_lowercase())
    }

    /// Notes why a family cannot be had.
    pub(crate) fn note_missing(&mut self, family: &str, why: String) {
        self.missing.insert(family.to_lowercase(), why);
    }

    /// Why a family cannot be had, if it was looked for.
    pub(crate) fn why_missing(&self, family: &str) -> Option<&str> {
        self.missing.get(&family.to_lowercase()).map(String::as_str)
    }

    /// Notes the families that the browser has besides the bundled ones, and why there are not more.
    pub(crate) fn note_fallbacks(&mut self, families: Fallbacks, without: Option<String>) {
        (self.fallbacks, self.without) = (families, without);
    }

    /// The family that a font belongs to by its name, of those that the browser takes only for characters which no other has.
    pub(crate) fn fallback(&self, font: &str) -> Option<&str> {
        let families = self.fallbacks.keys().filter(|family| is_of(font, family));
        families.max_by_key(|family| family.len()).map(String::as_str)
    }

    /// Whether a family is one of these and has a character.
    pub(crate) fn falls_back(&self, family: &str, character: char) -> bool {
        self.fallbacks.get(family).is_some_and(|characters| characters.contains(&character))
    }

    /// Why some characters are in no font, if fonts were looked for.
    pub(crate) fn why_without(&self) -> Option<&str> {
        self.without.as_deref()
    }

    /// The file and line where a family is first named.
    pub(crate) fn place(&self, family: &str) -> Option<(&str, u32)> {
        self.named.get(&family.to_lowercase()).map(|(_, path, line)| (path.as_str(), *line))
    }

    /// Faces for Inter and for every bundled family that is named and not declared.
    pub(crate) fn declarations(&self) -> Declarations {
        let (mut css, mut files) = Declarations::default();
        let default = (DEFAULT.to_owned(), String::new(), 0);
        let names = self.named.iter().filter(|(name, _)| **name != DEFAULT.to_lowercase()).map(|(_, named)| named);
        for (name, ..) in names.chain([&default]).filter(|(name, ..)| !self.declares(name)) {
            let Some(family) = bundled(name) else { continue };
            let faces = FACES.iter().map(|face| (face, "truetype")).chain(PIECES.iter().map(|piece| (piece, "woff2")));
            for (Face { weight, range, file, content, .. }, format) in faces.filter(|(face, _)| face.family == family) {
                let path = format!("{RESERVED}/fonts/{file}");
                // A script may measure text as soon as it runs, when no file has come yet: the browser has the same font itself. What
                // Inter is asked for it has for everything else too.
                let own = (format == "truetype" && family != DEFAULT).then(|| full_name(content)).flatten();
                let own = own.map_or_else(String::new, |name| format!("local({name:?}),"));
                let range = if range.is_empty() { String::new() } else { format!(";unicode-range:{range}") };
                css += &format!(
                    "@font-face{{font-family:{name:?};font-style:normal;font-weight:{weight};font-display:block;\
                     src:{own}url(/{path}) format({format:?}){range}}}"
                );
                files.insert(path, *content);
            }
        }
        (css, files)
    }
}

/// The name by which a font of the browser's can be asked for, which no other has.
fn full_name(font: &[u8]) -> Option<String> {
    let font = ttf_parser::Face::parse(font, 0).ok()?;
    let mut names = font.names().into_iter().filter(|name| name.name_id == ttf_parser::name_id::POST_SCRIPT_NAME);
    names.find_map(|name| name.to_string())
}

/// Whether a name is what CSS says of any property.
fn is_keyword(name: &str) -> bool {
    ["inherit", "initial", "unset", "revert", "revert-layer"].contains(&name.to_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bundled_families_are_declared_as_they_are_called() {
        let mut named = Named::default();
        let stack = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let stacks = vec![(stack(&["Arial", "serif"]), 3), (stack(&["ARIAL", "Lato", "Mine", "Gotham"]), 7)];
        named.note("a.css", &["Mine".to_owned(), "lato".to_owned()], stacks.into_iter());
        let (css, files) = named.declarations();
        assert!(css.contains("font-family:\"Arial\"") && css.contains("font-family:\"Inter\""), "{css}");
        assert!(!css.contains("Lato") && !css.contains("Gotham"), "{css}");
        assert!(files.keys().all(|path| path.starts_with("__hf/fonts/inter-")), "{:?}", files.keys());
        assert_eq!(named.place("gotham"), Some(("a.css", 7)));
    }
}
