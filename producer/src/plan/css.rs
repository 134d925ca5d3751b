//! The few things a style sheet must be changed in, and what it must be asked, before a browser sees it.
//!
//! Style sheets are read as tokens, so that strings, comments and nested rules cannot be mistaken for declarations.

use cssparser::{ParseError, Parser, Token};

/// Families that mean "the usual sans serif of this machine". Here that is Inter.
const GENERIC_SANS: [&str; 6] =
    ["sans-serif", "system-ui", "ui-sans-serif", "ui-rounded", "-apple-system", "BlinkMacSystemFont"];

/// A style sheet as it will be served, and what was seen in it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Sheet {
    /// The text, with `Inter` in front of every family list that begins with a generic sans family.
    pub(crate) text: String,
    /// Families it declares with `@font-face`.
    pub(crate) font_faces: Vec<String>,
    /// References as written, each with its byte offset.
    pub(crate) urls: Vec<(String, usize)>,
}

/// Reads a style sheet, or the value of a `style` attribute.
pub(crate) fn compile(source: &str) -> Sheet {
    let mut walk = Walk { inserts: Vec::new(), sheet: Sheet::default() };
    walk.block(&mut Parser::new(source), false);
    let mut text = source.to_owned();
    for offset in walk.inserts.into_iter().rev() {
        text.insert_str(offset, "Inter, ");
    }
    Sheet { text, ..walk.sheet }
}

struct Walk {
    /// Byte offsets, ascending.
    inserts: Vec<usize>,
    sheet: Sheet,
}

/// Where in a declaration the walk is.
enum State {
    /// Nothing of it was seen.
    Start,
    /// Its name, in lower case, or an at-rule's.
    Name(String),
    /// Behind the colon, no token of the value yet that decides where the family list starts.
    Value(Property),
    /// Nothing more to learn from it.
    Rest,
}

#[derive(Clone, Copy, PartialEq)]
enum Property {
    /// The list is the value: `font-family` and custom properties.
    List,
    /// The list follows the size: `font`. True once the size was seen.
    Shorthand { sized: bool },
    /// The name given to a face by `@font-face`.
    Face,
}

impl Walk {
    fn block(&mut self, parser: &mut Parser<'_>, in_font_face: bool) {
        let mut state = State::Start;
        loop {
            let offset = parser.position().byte_index();
            let Ok(token) = parser.next_including_whitespace_and_comments().cloned() else { return };
            let mut font_face = false;
            state = match (state, &token) {
                (state, Token::WhiteSpace(_) | Token::Comment(_)) => state,
                (_, Token::Semicolon) => State::Start,
                (State::Name(name), Token::CurlyBracketBlock) => {
                    font_face = name == "@font-face";
                    State::Start
                }
                (_, Token::CurlyBracketBlock) => State::Start,
                (State::Start, Token::Ident(name)) => State::Name(name.to_ascii_lowercase()),
                (State::Start, Token::AtKeyword(name)) => State::Name(format!("@{}", name.to_ascii_lowercase())),
                (State::Name(name), Token::Colon) => match name.as_str() {
                    "font-family" if in_font_face => State::Value(Property::Face),
                    "font-family" => State::Value(Property::List),
                    "font" => State::Value(Property::Shorthand { sized: false }),
                    custom if custom.starts_with("--") => State::Value(Property::List),
                    _ => State::Rest,
                },
                (State::Value(property), token) => self.value(property, token, offset),
                _ => State::Rest,
            };
            self.note_url(&token, offset);
            self.nested(parser, &token, font_face);
        }
    }

    fn value(&mut self, property: Property, token: &Token<'_>, offset: usize) -> State {
        match (property, token) {
            (Property::Face, Token::Ident(name) | Token::QuotedString(name)) => {
                self.sheet.font_faces.push(name.to_string());
                State::Rest
            }
            (Property::List | Property::Shorthand { sized: true }, Token::Ident(name)) => {
                if GENERIC_SANS.iter().any(|generic| generic.eq_ignore_ascii_case(name)) {
                    self.inserts.push(offset);
                }
                State::Rest
            }
            (
                Property::Shorthand { sized: true },
                Token::Delim('/') | Token::Number { .. } | Token::Dimension { .. },
            ) => State::Value(property),
            (Property::Shorthand { .. }, Token::Dimension { .. } | Token::Percentage { .. } | Token::Function(_)) => {
                State::Value(Property::Shorthand { sized: true })
            }
            (Property::Shorthand { sized: false }, Token::Ident(_) | Token::Number { .. }) => State::Value(property),
            _ => State::Rest,
        }
    }

    fn note_url(&mut self, token: &Token<'_>, offset: usize) {
        if let Token::UnquotedUrl(url) = token {
            self.sheet.urls.push((url.to_string(), offset));
        }
    }

    fn nested(&mut self, parser: &mut Parser<'_>, token: &Token<'_>, font_face: bool) {
        let is_url = matches!(token, Token::Function(name) if name.eq_ignore_ascii_case("url"));
        let block = matches!(
            token,
            Token::Function(_) | Token::ParenthesisBlock | Token::SquareBracketBlock | Token::CurlyBracketBlock
        );
        if !block {
            return;
        }
        let _: Result<(), ParseError<()>> = parser.parse_nested_block(|inner| {
            if is_url {
                let offset = inner.position().byte_index();
                if let Ok(url) = inner.expect_string() {
                    self.sheet.urls.push((url.to_string(), offset));
                }
            }
            self.block(inner, font_face);
            Ok(())
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(source: &str, expected: &str) {
        assert_eq!(compile(source).text, expected);
    }

    #[test]
    fn generic_sans_families_become_inter() {
        check("a { font-family: sans-serif }", "a { font-family: Inter, sans-serif }");
        check("font-family:System-UI,Arial", "font-family:Inter, System-UI,Arial");
        check(
            "a{font:italic 700 48px/1.2 -apple-system,serif}",
            "a{font:italic 700 48px/1.2 Inter, -apple-system,serif}",
        );
        check(":root{--font: ui-sans-serif, x}", ":root{--font: Inter, ui-sans-serif, x}");
        check("@media (a){b{c{font-family: sans-serif}}}", "@media (a){b{c{font-family: Inter, sans-serif}}}");
        check("a{x:1;font-family:/* ; */sans-serif}", "a{x:1;font-family:/* ; */Inter, sans-serif}");
    }

    #[test]
    fn nothing_else_is_touched() {
        for same in [
            "a { font-family: Arial, sans-serif }",
            "a { font-family: 'sans-serif' }",
            "a { font: 20px serif; content: 'font-family: sans-serif' }",
            "/* font-family: sans-serif */",
            "@font-face { font-family: sans-serif; src: url(a.woff2) }",
            "a::before { content: \"}\" } b { color: red",
            "}} a { font: inherit }",
        ] {
            check(same, same);
        }
    }

    #[test]
    fn faces_and_references_are_found() {
        let sheet = compile(
            "@font-face{font-family:'My Font';src:url('a b.woff2'), url(c.woff)} d{background:url( \"../e.png\" )}",
        );
        assert_eq!(sheet.font_faces, ["My Font"]);
        let urls: Vec<_> = sheet.urls.iter().map(|(url, _)| url.as_str()).collect();
        assert_eq!(urls, ["a b.woff2", "c.woff", "../e.png"]);
    }
}
