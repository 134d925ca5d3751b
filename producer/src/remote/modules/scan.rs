//! What an ES module imports and exports, found without parsing it: only as much of JavaScript is read as it takes to know
//! what is code and what is text (ECMA-262, lexical grammar).

use std::{collections::BTreeSet, ops::Range};

/// What is found in a module.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Scan {
    pub(crate) imports: Vec<Import>,
    /// Where it asks for `process.env.NODE_ENV`, which bundlers replace.
    pub(crate) modes: Vec<Range<usize>>,
    /// Whether it has what only modules have.
    pub(crate) is_module: bool,
    /// Whether it has a default export.
    pub(crate) has_default: bool,
    /// What it imports and exports if it is a CommonJS module.
    pub(crate) common: Common,
}

/// What a CommonJS module says in so many words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Common {
    /// The modules that it requires.
    pub(crate) requires: BTreeSet<String>,
    /// The names under which it exports something.
    pub(crate) names: BTreeSet<String>,
    /// The modules whose exports are its own.
    pub(crate) again: Vec<String>,
}

/// Another module's name in a module.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Import {
    pub(crate) name: String,
    /// Between the quotes.
    pub(crate) place: Range<usize>,
    /// Asked for by `import(…)`, perhaps never.
    pub(crate) lazy: bool,
}

/// Looks for the imports and exports of a module.
pub(crate) fn scan(text: &str) -> Scan {
    let mut scanner = Scanner { text, at: 0, open: Vec::new(), before: Before::Start, found: Scan::default() };
    if text.starts_with("#!") {
        scanner.at = scanner.line_end(0);
    }
    while scanner.step() {}
    scanner.found
}

/// Words after which a value follows, so that a slash begins a regular expression.
const BEFORE_VALUES: [&str; 16] = [
    "await",
    "case",
    "debugger",
    "default",
    "delete",
    "do",
    "else",
    "in",
    "instanceof",
    "new",
    "of",
    "return",
    "throw",
    "typeof",
    "void",
    "yield",
];
const MODE: &str = "process.env.NODE_ENV";

struct Scanner<'a> {
    text: &'a str,
    at: usize,
    /// The brackets that are open.
    open: Vec<Open>,
    before: Before<'a>,
    found: Scan,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Open {
    /// A parenthesis, as that of an `if`, which a statement follows, or another.
    Parenthesis {
        is_head: bool,
    },
    Bracket,
    Brace {
        is_block: bool,
    },
    /// `${` in a template.
    Template,
}

/// The token before.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before<'a> {
    Start,
    Word(&'a str),
    /// A word behind a dot.
    Member,
    /// The end of a value.
    Value,
    /// The end of a block, or of the head of a statement.
    Statement,
    Sign(u8),
}

/// The names of an `import` or `export`, up to its end.
struct Clause {
    from: Option<Range<usize>>,
    /// Whether it exports a default.
    has_default: bool,
    end: usize,
}

impl<'a> Scanner<'a> {
    /// Reads a token; `false` at the end.
    fn step(&mut self) -> bool {
        self.at = self.skip(self.at);
        let Some(byte) = self.byte(self.at) else { return false };
        match byte {
            b'"' | b'\'' => {
                self.at = self.string(self.at).map_or(self.at, |string| string.end) + 1;
                self.before = Before::Value;
            }
            b'`' => self.template(),
            b'0'..=b'9' => {
                let is_digit = |byte: u8| byte == b'.' || is_in_word(byte);
                self.at = self.end_of(self.at, is_digit);
                self.before = Before::Value;
            }
            b'/' if !self.divides() => match self.expression_end() {
                Some(end) => {
                    self.at = self.end_of(end, is_in_word);
                    self.before = Before::Value;
                }
                None => self.sign(byte),
            },
            byte if is_in_word(byte) => self.word(),
            byte => self.sign(byte),
        }
        true
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }

    /// Where the run of such bytes ends.
    fn end_of(&self, start: usize, is_part: impl Fn(u8) -> bool) -> usize {
        let rest = self.text.as_bytes().get(start..).unwrap_or_default();
        start + rest.iter().position(|byte| !is_part(*byte)).unwrap_or(rest.len())
    }

    fn line_end(&self, start: usize) -> usize {
        self.end_of(start, |byte| !is_line_end(byte))
    }

    fn starts(&self, at: usize, with: &str) -> bool {
        self.text.as_bytes().get(at..).is_some_and(|rest| rest.starts_with(with.as_bytes()))
    }

    /// The next place with neither space nor comment.
    fn skip(&self, start: usize) -> usize {
        let mut at = start;
        loop {
            at = self.end_of(at, |byte| byte.is_ascii_whitespace() || byte == 0x0b);
            at = if self.starts(at, "//") {
                self.line_end(at)
            } else if self.starts(at, "/*") {
                let end = self.text.get(at + 2..).and_then(|rest| rest.find("*/"));
                end.map_or(self.text.len(), |end| at + 2 + end + 2)
            } else if ["\u{feff}", "\u{2028}", "\u{2029}"].iter().any(|space| self.starts(at, space)) {
                at + 3
            } else {
                return at;
            };
        }
    }

    /// What is between the quotes of the string that begins here, if one does.
    fn string(&self, start: usize) -> Option<Range<usize>> {
        let quote = self.byte(start).filter(|byte| [b'"', b'\''].contains(byte))?;
        let mut at = start + 1;
        loop {
            match self.byte(at)? {
                b'\\' => at += 2,
                byte if byte == quote => return Some(start + 1..at),
                byte if is_line_end(byte) => return None,
                _ => at += 1,
            }
        }
    }

    /// Reads a template, from its beginning or from behind a value in it, up to the next value or its end.
    fn template(&mut self) {
        let mut at = self.at + 1;
        loop {
            match self.byte(at) {
                Some(b'\\') => at += 2,
                Some(b'$') if self.byte(at + 1) == Some(b'{') => {
                    self.open.push(Open::Template);
                    (self.at, self.before) = (at + 2, Before::Sign(b'('));
                    return;
                }
                None | Some(b'`') => {
                    (self.at, self.before) = (at + 1, Before::Value);
                    return;
                }
                Some(_) => at += 1,
            }
        }
    }

    /// Whether a slash divides here.
    fn divides(&self) -> bool {
        match self.before {
            Before::Value | Before::Member => true,
            Before::Word(word) => !BEFORE_VALUES.contains(&word),
            Before::Start | Before::Statement | Before::Sign(_) => false,
        }
    }

    /// Where the regular expression that begins here ends, without its flags.
    fn expression_end(&self) -> Option<usize> {
        let (mut at, mut in_class) = (self.at + 1, false);
        loop {
            match self.byte(at)? {
                b'\\' => at += 1,
                b'[' => in_class = true,
                b']' => in_class = false,
                b'/' if !in_class => return Some(at + 1),
                byte if is_line_end(byte) => return None,
                _ => {}
            }
            at += 1;
        }
    }

    fn sign(&mut self, byte: u8) {
        let mut length = 1;
        let mut after = Before::Sign(byte);
        match byte {
            b'(' => {
                let is_head = [Before::Word("if"), Before::Word("while"), Before::Word("for"), Before::Word("with")];
                self.open.push(Open::Parenthesis { is_head: is_head.contains(&self.before) });
            }
            b'[' => self.open.push(Open::Bracket),
            b'{' => self.open.push(Open::Brace { is_block: self.begins_block() }),
            b')' | b']' | b'}' => match self.open.pop() {
                Some(Open::Template) => return self.template(),
                Some(Open::Parenthesis { is_head: true } | Open::Brace { is_block: true }) => after = Before::Statement,
                _ => after = Before::Value,
            },
            b'+' | b'-' if self.byte(self.at + 1) == Some(byte) => {
                length = 2;
                if self.divides() {
                    after = Before::Value;
                }
            }
            b'=' if self.byte(self.at + 1) == Some(b'>') => (length, after) = (2, Before::Statement),
            b'.' if self.starts(self.at, "...") => (length, after) = (3, Before::Sign(b',')),
            _ => {}
        }
        (self.at, self.before) = (self.at + length, after);
    }

    /// Whether a brace begins statements or a class here, rather than an object.
    fn begins_block(&self) -> bool {
        match self.before {
            Before::Word(word) => ["do", "else"].contains(&word) || !BEFORE_VALUES.contains(&word),
            Before::Sign(sign) => [b';', b'{'].contains(&sign),
            Before::Start | Before::Member | Before::Value | Before::Statement => true,
        }
    }

    fn word_at(&self, at: usize) -> &'a str {
        self.text.get(at..self.end_of(at, is_in_word)).unwrap_or_default()
    }

    fn word(&mut self) {
        let (start, word) = (self.at, self.word_at(self.at));
        self.at += word.len();
        // As a property too: `module.exports`, `Object.defineProperty`, `tslib.__exportStar`.
        match word {
            "exports" => self.common_export(),
            "defineProperty" => self.defined(),
            "__exportStar" | "__export" => {
                let argument = self.argument(self.at);
                self.found.common.again.extend(argument.and_then(|argument| self.required(argument)));
            }
            _ => {}
        }
        if self.before == Before::Sign(b'.') {
            self.before = Before::Member;
            return;
        }
        self.before = Before::Word(word);
        match word {
            "import" => self.import(),
            "require" => self.found.common.requires.extend(self.required(start)),
            "export" if self.open.is_empty() => self.export(),
            "process" if self.starts(start, MODE) && !self.byte(start + MODE.len()).is_some_and(is_in_word) => {
                self.at = start + MODE.len();
                self.found.modes.push(start..self.at);
                self.before = Before::Value;
            }
            _ => {}
        }
    }

    /// Where the first argument is, if a call follows.
    fn argument(&self, at: usize) -> Option<usize> {
        let open = self.skip(at);
        (self.byte(open) == Some(b'(')).then(|| self.skip(open + 1))
    }

    /// The name of the module that is required there.
    fn required(&self, at: usize) -> Option<String> {
        let string = self.string(self.argument(at + "require".len()).filter(|_| self.word_at(at) == "require")?)?;
        (self.byte(self.skip(string.end + 1)) == Some(b')')).then(|| self.text[string].to_owned())
    }

    /// Notes a name of what a CommonJS module exports.
    fn export_name(&mut self, name: &str) {
        let is_name = !name.is_empty() && !name.starts_with(|first: char| first.is_ascii_digit());
        let is_known = ["default", "__esModule"].contains(&name);
        if is_name && !is_known && name.chars().all(|c| c.is_ascii_alphanumeric() || "_$".contains(c)) {
            self.found.common.names.insert(name.to_owned());
        }
    }

    /// What follows `exports`.
    fn common_export(&mut self) {
        let next = self.skip(self.at);
        let assigned = |at: usize| self.byte(at) == Some(b'=') && self.byte(at + 1) != Some(b'=');
        match self.byte(next) {
            Some(b'.') => {
                let at = self.skip(next + 1);
                let name = self.word_at(at);
                if assigned(self.skip(at + name.len())) {
                    self.export_name(name);
                }
            }
            Some(b'[') => {
                let string = self.string(self.skip(next + 1));
                let end = |string: &Range<usize>| self.skip(self.skip(string.end + 1) + 1);
                if let Some(string) = string.filter(|string| assigned(end(string))) {
                    self.export_name(&self.text[string]);
                }
            }
            Some(b'=') if assigned(next) => {
                let value = self.skip(next + 1);
                self.found.common.again.extend(self.required(value));
                if self.byte(value) == Some(b'{') {
                    self.export_keys(value + 1);
                }
            }
            _ => {}
        }
    }

    /// The keys of an object that is exported, up to the first whose value is no mere name.
    fn export_keys(&mut self, start: usize) {
        let mut at = self.skip(start);
        loop {
            let string = self.string(at);
            let key = string.clone().map_or_else(|| self.word_at(at), |string| &self.text[string]);
            at = self.skip(string.map_or(at + key.len(), |string| string.end + 1));
            let mut ends = self.byte(at);
            if ends == Some(b':') {
                at = self.skip(at + 1);
                at = self.skip(at + self.word_at(at).len());
                ends = self.byte(at);
            }
            if key.is_empty() || ![Some(b','), Some(b'}')].contains(&ends) {
                return;
            }
            self.export_name(key);
            if ends == Some(b'}') {
                return;
            }
            at = self.skip(at + 1);
        }
    }

    /// What follows `defineProperty`.
    fn defined(&mut self) {
        let Some(object) = self.argument(self.at).filter(|at| self.word_at(*at) == "exports") else { return };
        let comma = self.skip(object + "exports".len());
        if let Some(string) = self.string(self.skip(comma + 1)).filter(|_| self.byte(comma) == Some(b',')) {
            self.export_name(&self.text[string]);
        }
    }

    /// What follows `import`.
    fn import(&mut self) {
        let next = self.skip(self.at);
        match self.byte(next) {
            Some(b'(') => {
                let place = self.string(self.skip(next + 1));
                let is_whole = |place: &Range<usize>| matches!(self.byte(self.skip(place.end + 1)), Some(b')' | b','));
                place.filter(is_whole).into_iter().for_each(|place| self.named(place, true));
            }
            Some(b'.') => self.found.is_module |= self.word_at(self.skip(next + 1)) == "meta",
            Some(b':') | None => {}
            Some(_) if self.open.is_empty() => self.clause(next),
            Some(_) => {}
        }
    }

    /// What follows `export`.
    fn export(&mut self) {
        let next = self.skip(self.at);
        match self.byte(next) {
            Some(b'{' | b'*') => self.clause(next),
            Some(byte) if is_in_word(byte) => {
                self.found.is_module = true;
                self.found.has_default |= self.word_at(next) == "default";
            }
            _ => {}
        }
    }

    fn clause(&mut self, start: usize) {
        let is_export = self.before == Before::Word("export");
        let Some(Clause { from, has_default, end }) = self.names(start) else { return };
        self.found.is_module = true;
        self.found.has_default |= is_export && has_default;
        from.into_iter().for_each(|place| self.named(place, false));
        (self.at, self.before) = (end, Before::Start);
    }

    fn named(&mut self, place: Range<usize>, lazy: bool) {
        let name = self.text[place.clone()].to_owned();
        self.found.imports.push(Import { name, place, lazy });
    }

    /// Reads the names up to the name of the module they come from, which exports need not have.
    fn names(&self, start: usize) -> Option<Clause> {
        let (mut at, mut in_braces, mut last, mut has_default) = (start, false, "", false);
        loop {
            at = self.skip(at);
            let byte = self.byte(at)?;
            has_default |= byte == b'}' && last == "default";
            has_default |= byte == b',' && in_braces && last == "default";
            match byte {
                b'{' if !in_braces => in_braces = true,
                b'}' if in_braces => {
                    in_braces = false;
                    if self.word_at(self.skip(at + 1)) != "from" {
                        return Some(Clause { from: None, has_default, end: at + 1 });
                    }
                }
                b',' => last = "",
                b'*' if !in_braces => {}
                b'"' | b'\'' => {
                    let string = self.string(at)?;
                    let end = string.end + 1;
                    if !in_braces {
                        let is_from = at == start || last == "from";
                        return is_from.then_some(Clause { from: Some(string), has_default, end });
                    }
                    (last, at) = (&self.text[string], end);
                    continue;
                }
                _ => {
                    let word = self.word_at(at);
                    // `* as default from`
                    has_default |= !in_braces && word == "from" && last == "default";
                    at += word.len();
                    last = Some(word).filter(|word| !word.is_empty())?;
                    continue;
                }
            }
            at += 1;
        }
    }
}

fn is_in_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || [b'_', b'$', b'#'].contains(&byte) || !byte.is_ascii()
}

fn is_line_end(byte: u8) -> bool {
    [b'\n', b'\r'].contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Imports that may never be asked for are marked by `?`.
    #[track_caller]
    fn check(text: &str, imports: &[&str]) {
        let found = scan(text).imports;
        let shown = |import: &Import| format!("{}{}", import.name, if import.lazy { "?" } else { "" });
        assert_eq!(found.iter().map(shown).collect::<Vec<_>>(), imports, "{text}");
    }

    #[test]
    fn every_way_to_name_a_module_is_found() {
        check(
            "import a from 'a'; import * as b from \"b\"\nimport c, { d as e, default as f } from 'c'",
            &["a", "b", "c"],
        );
        check("import'a';import{b}from\"b\";import*as c from'c';import d,{e}from'd'", &["a", "b", "c", "d"]);
        check(
            "export*from'a';export{b as c}from'b';export * as d from 'd';export { 'e' as f } from 'e'",
            &["a", "b", "d", "e"],
        );
        check("export{a};import'b';export const c=1;export default function(){}import'd'", &["b", "d"]);
        check("import/* x */{/* from 'y' */a}// from 'z'\nfrom/**/'a' with { type: 'json' };import 'b'", &["a", "b"]);
        check("const a = await import('a'); f(()=>import(/* webpackIgnore: true */ \"b\", {}))", &["a?", "b?"]);
        check("#!/usr/bin/env node\nimport from from 'a'", &["a"]);
        check("\u{feff}import 'a'", &["a"]);
    }

    #[test]
    fn what_only_looks_like_an_import_is_not() {
        check("x.import('a'); y = { import: 'b', from: 'c' }; import.meta.url; import(d + 'e'); import('f' + g)", &[]);
        check(
            "'import \"a\"'; \"\\\"import 'b'\"; `import 'c' ${ `${ {} }` } import 'd'` // import 'e'\n/* import 'f' */",
            &[],
        );
        check("function f() { return /['\"`{]/.test(x) }\nimport 'a'", &["a"]);
        check("if (x) /[/'\"]/.exec(y); a = b / c; d = e['f'] / g; import 'a'; h = (i) / 2; '/'", &["a"]);
        check("a = { b: 1 } / 2; import 'a'; c++ / d; '/'; e = `${f}` / g; import 'b'", &["a", "b"]);
        check("x => { } /'/.test(y)\nimport 'a'", &["a"]);
        check("a = b ? /'/ : c; for (const d of /'/g[e](f)) {} import 'a'", &["a"]);
        check("`${import('a')}`; `${{ a: { b: `}` } }.a}`; import 'b'", &["a?", "b"]);
        check("a.return / 2; b.if(c) / 2; import 'a' // '", &["a"]);
        check("import 'a'; import", &["a"]);
        check("'unfinished\nimport 'a'", &["a"]);
    }

    #[test]
    fn modules_and_their_default_exports_are_known() {
        let facts = |text| {
            let Scan { is_module, has_default, .. } = scan(text);
            (is_module, has_default)
        };
        for text in [
            "export default 1",
            "export{a as default}",
            "export { default } from 'a'",
            "export * as default from 'a'",
            "export { a, b as 'default', c }",
        ] {
            assert_eq!(facts(text), (true, true), "{text}");
        }
        for text in [
            "export{default as a}from'a'",
            "import{default as a}from'a'",
            "import.meta",
            "export const a = { default: 1 }",
        ] {
            assert_eq!(facts(text), (true, false), "{text}");
        }
        assert_eq!(facts("(function (exports) { exports.default = import('a') })()"), (false, false));
        let text = "if (process.env.NODE_ENV !== 'x' && 'process.env.NODE_ENV' && a.process.env.NODE_ENV) {}";
        assert_eq!(scan(text).modes, vec![4..24]);
    }
}
