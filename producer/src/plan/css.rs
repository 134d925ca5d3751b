//! The few things a style sheet must be changed in, and what it must be asked, before a browser sees it.
//!
//! Style sheets are read as tokens, so that strings, comments and nested rules cannot be mistaken for declarations.

use cssparser::{ParseError, Parser, Token};

use crate::fonts::{DEFAULT, bundled, is_generic, is_monospaced};

/// A style sheet as it will be served, and what was seen in it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Sheet {
    /// The text, with `Inter` in front of every family list that begins with a generic family.
    pub(crate) text: String,
    /// Family lists as written, each with its byte offset. What stands in custom properties may be something else.
    pub(crate) stacks: Vec<(Vec<String>, usize)>,
    /// Families it declares with `@font-face` and an address: those of the system are not there.
    pub(crate) font_faces: Vec<String>,
    /// References as written, each with its byte offset.
    pub(crate) urls: Vec<(String, usize)>,
}

/// Reads a style sheet, or the value of a `style` attribute.
pub(crate) fn compile(source: &str) -> Sheet {
    let mut walk = Walk { inserts: Vec::new(), sheet: Sheet::default() };
    walk.block(&mut Parser::new(source), State::Start, false);
    let mut text = source.to_owned();
    for offset in walk.inserts.into_iter().rev() {
        text.insert_str(offset, &format!("{DEFAULT}, "));
    }
    Sheet { text, ..walk.sheet }
}

struct Walk {
    /// Byte offsets, ascending.
    inserts: Vec<usize>,
    sheet: Sheet,
}

/// Where in a declaration the walk is.
#[derive(Clone)]
enum State {
    /// Nothing of it was seen.
    Start,
    /// Its name, in lower case, or an at-rule's.
    Name(String),
    /// Behind the colon, no token of the value yet that decides where the family list starts.
    Value(Property),
    /// In a family list, or in the name of a face.
    Names(Names),
    /// In a `var(…)` that stands for a family list, before what it falls back to.
    Variable(Property),
    /// Nothing more to learn from it.
    Rest,
}

#[derive(Clone, Copy, PartialEq)]
enum Property {
    /// The list is the value: `font-family`, and custom properties that are called as if they held one.
    List,
    /// The same, if it is a list of families at all: custom properties.
    Custom,
    /// The list follows the size: `font`. True once the size was seen.
    Shorthand { sized: bool },
    /// The name given to a face by `@font-face`.
    Face,
}

/// Family names as far as they were read.
#[derive(Clone)]
struct Names {
    face: bool,
    /// It may as well be something else.
    custom: bool,
    offset: usize,
    complete: Vec<String>,
    /// A name may be several words.
    words: String,
}

impl Names {
    fn go_on_with(token: &Token<'_>) -> bool {
        matches!(token, Token::Ident(_) | Token::QuotedString(_) | Token::Comma)
    }

    fn and(mut self, token: &Token<'_>) -> Self {
        match token {
            Token::Ident(word) if self.words.is_empty() => self.words = word.to_string(),
            Token::Ident(word) => self.words += &format!(" {word}"),
            Token::QuotedString(name) => self.words = name.to_string(),
            Token::Comma => self.complete.push(std::mem::take(&mut self.words)),
            _ => {}
        }
        self
    }
}

impl State {
    /// What a family list in it is, if one may go on or begin here.
    fn list(&self) -> Option<Property> {
        match self {
            Self::Value(Property::Face) | Self::Names(Names { face: true, .. }) => None,
            Self::Value(property @ (Property::List | Property::Custom | Property::Shorthand { sized: true })) => {
                Some(*property)
            }
            Self::Names(Names { custom, .. }) => Some(if *custom { Property::Custom } else { Property::List }),
            _ => None,
        }
    }
}

impl Walk {
    fn note_names(&mut self, state: State) {
        let State::Names(Names { face, custom, offset, mut complete, words }) = state else { return };
        complete.push(words);
        complete.retain(|name| !name.is_empty());
        if custom && !complete.iter().any(|name| is_generic(name) || bundled(name).is_some()) {
            return;
        }
        if face {
            self.sheet.font_faces.extend(complete);
        } else {
            self.sheet.stacks.push((complete, offset));
        }
    }

    fn block(&mut self, parser: &mut Parser<'_>, mut state: State, in_font_face: bool) {
        loop {
            let offset = parser.position().byte_index();
            let Ok(token) = parser.next_including_whitespace_and_comments().cloned() else {
                return self.note_names(state);
            };
            let (mut font_face, mut inside) = (false, State::Start);
            state = match (state, &token) {
                (state, Token::WhiteSpace(_) | Token::Comment(_)) => state,
                (state, Token::Function(name)) if name.eq_ignore_ascii_case("var") && state.list().is_some() => {
                    let property = state.list().unwrap_or(Property::List);
                    self.note_names(state);
                    inside = State::Variable(property);
                    State::Value(property)
                }
                (State::Variable(property), Token::Comma) => State::Value(property),
                (state @ State::Variable(_), _) => state,
                (State::Names(names), token) if Names::go_on_with(token) => State::Names(names.and(token)),
                (state @ State::Names(_), token) => {
                    self.note_names(state);
                    if *token == Token::Semicolon { State::Start } else { State::Rest }
                }
                (_, Token::Semicolon) => State::Start,
                (State::Name(name), Token::CurlyBracketBlock) => {
                    font_face = name == "@font-face";
                    State::Start
                }
                (_, Token::CurlyBracketBlock) => State::Start,
                (State::Name(name), Token::QuotedString(address)) if name == "@import" => {
                    self.sheet.urls.push((address.to_string(), offset));
                    State::Rest
                }
                (State::Start, Token::Ident(name)) => State::Name(name.to_ascii_lowercase()),
                (State::Start, Token::AtKeyword(name)) => State::Name(format!("@{}", name.to_ascii_lowercase())),
                (State::Name(name), Token::Colon) => match name.as_str() {
                    "font-family" if in_font_face => State::Value(Property::Face),
                    "font-family" => State::Value(Property::List),
                    "font" => State::Value(Property::Shorthand { sized: false }),
                    custom if custom.starts_with("--") => {
                        let called_so = ["font", "family", "face", "type"].iter().any(|word| custom.contains(word));
                        State::Value(if called_so { Property::List } else { Property::Custom })
                    }
                    _ => State::Rest,
                },
                (State::Value(property), token) => self.value(property, token, offset),
                _ => State::Rest,
            };
            self.note_url(&token, offset);
            self.nested(parser, &token, inside, font_face);
        }
    }

    fn value(&mut self, property: Property, token: &Token<'_>, offset: usize) -> State {
        match (property, token) {
            (
                Property::Face | Property::List | Property::Custom | Property::Shorthand { sized: true },
                Token::Ident(_) | Token::QuotedString(_),
            ) => {
                let (face, custom) = (property == Property::Face, property == Property::Custom);
                // Upstream's rule leaves the shorthand alone: there letters of one width stay what they are.
                let shorthand = matches!(property, Property::Shorthand { .. });
                let is_replaced = |name: &str| is_generic(name) && !(shorthand && is_monospaced(name));
                if !face && matches!(token, Token::Ident(name) if is_replaced(name)) {
                    self.inserts.push(offset);
                }
                State::Names(Names { face, custom, offset, complete: Vec::new(), words: String::new() }.and(token))
            }
            (
                Property::Shorthand { sized: true },
                Token::Delim('/') | Token::Number { .. } | Token::Dimension { .. },
            )
            | (Property::List | Property::Custom | Property::Shorthand { sized: true }, Token::Comma) => {
                State::Value(property)
            }
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

    fn nested(&mut self, parser: &mut Parser<'_>, token: &Token<'_>, state: State, font_face: bool) {
        let (faces, urls) = (self.sheet.font_faces.len(), self.sheet.urls.len());
        nested_block(parser, token, |inner, is_url| {
            if is_url {
                let offset = inner.position().byte_index();
                if let Ok(url) = inner.expect_string() {
                    self.sheet.urls.push((url.to_string(), offset));
                }
            }
            self.block(inner, state, font_face);
        });
        if font_face && self.sheet.urls.len() == urls {
            self.sheet.font_faces.truncate(faces);
        }
    }
}

/// Goes into the block that a token opens, if it opens one. `visit` also learns whether it is that of a `url(…)`.
pub(super) fn nested_block(parser: &mut Parser<'_>, token: &Token<'_>, visit: impl FnOnce(&mut Parser<'_>, bool)) {
    let is_url = match token {
        Token::Function(name) => name.eq_ignore_ascii_case("url"),
        Token::ParenthesisBlock | Token::SquareBracketBlock | Token::CurlyBracketBlock => false,
        _ => return,
    };
    let _: Result<(), ParseError<()>> = parser.parse_nested_block(|inner| {
        visit(inner, is_url);
        Ok(())
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(source: &str, expected: &str) {
        assert_eq!(compile(source).text, expected);
    }

    #[test]
    fn generic_families_become_inter() {
        check("a { font-family: sans-serif }", "a { font-family: Inter, sans-serif }");
        check("font-family:System-UI,Arial", "font-family:Inter, System-UI,Arial");
        check(
            "a{font:italic 700 48px/1.2 -apple-system,serif}",
            "a{font:italic 700 48px/1.2 Inter, -apple-system,serif}",
        );
        check(":root{--font: ui-sans-serif, x}", ":root{--font: Inter, ui-sans-serif, x}");
        check("@media (a){b{c{font-family: sans-serif}}}", "@media (a){b{c{font-family: Inter, sans-serif}}}");
        check("a{font: 20px serif}", "a{font: 20px Inter, serif}");
        check("a{font: 20px monospace}", "a{font: 20px monospace}");
        check("a{font-family: monospace}", "a{font-family: Inter, monospace}");
        check("a{x:1;font-family:/* ; */sans-serif}", "a{x:1;font-family:/* ; */Inter, sans-serif}");
        check("a{--f:var(--g, ui-sans-serif, Arial)}", "a{--f:var(--g, Inter, ui-sans-serif, Arial)}");
    }

    #[test]
    fn nothing_else_is_touched() {
        for same in [
            "a { font-family: Arial, sans-serif }",
            "a { font-family: 'sans-serif' }",
            "a { font: 20px Georgia, serif; content: 'font-family: sans-serif' }",
            "/* font-family: sans-serif */",
            "@font-face { font-family: sans-serif; src: url(a.woff2) }",
            "a::before { content: \"}\" } b { color: red",
            "}} a { font: inherit }",
        ] {
            check(same, same);
        }
    }

    #[test]
    fn family_lists_are_found() {
        let source = "a{font-family: Open Sans , 'Arial',serif!important;color:red} b{font: 700 9px/2 Foo} :root{--f:Lato;--e:ease-in;--font-x:Own}\n@font-face{src:url(x);font-family:My Own Font}";
        let sheet = compile(source);
        let stacks: Vec<_> =
            sheet.stacks.iter().map(|(names, offset)| (names.join("|"), &source[*offset..][..3])).collect();
        let expected = [("Open Sans|Arial|serif", "Ope"), ("Foo", "Foo"), ("Lato", "Lat"), ("Own", "Own")];
        assert_eq!(stacks, expected.map(|(names, text)| (names.to_owned(), text)));
        assert_eq!(sheet.font_faces, ["My Own Font"]);
    }

    #[test]
    fn what_variables_fall_back_to_is_found() {
        let source = "a{font-family:var(--x, \"Lobster\"), Georgia, serif} b{font:20px/2 Own, var(--y,var(--z, Foo))}";
        let stacks: Vec<_> = compile(source).stacks.into_iter().map(|(names, _)| names.join("|")).collect();
        assert_eq!(stacks, ["Lobster", "Georgia|serif", "Own", "Foo"]);
    }

    #[test]
    fn faces_of_the_system_are_not_declared() {
        let sheet =
            compile("@font-face{font-family:A;src:local(A)}@font-face{font-family:B;src:local(B),url(b.woff2)}");
        assert_eq!(sheet.font_faces, ["B"]);
    }

    #[test]
    fn faces_and_references_are_found() {
        let sheet = compile(
            "@import 'f.css';@font-face{font-family:'My Font';src:url('a b.woff2'), url(c.woff)} d{background:url( \"../e.png\" )}",
        );
        assert_eq!(sheet.font_faces, ["My Font"]);
        let urls: Vec<_> = sheet.urls.iter().map(|(url, _)| url.as_str()).collect();
        assert_eq!(urls, ["f.css", "a b.woff2", "c.woff", "../e.png"]);
    }
}
