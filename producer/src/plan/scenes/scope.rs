//! A sub-composition's style sheet, changed so that it styles one instance of it alone.

use std::ops::Range;

use cssparser::{ParseError, Parser, Token};

use crate::plan::css::nested_block;

/// What an instance is known by.
#[derive(Clone, Debug, Default)]
pub(super) struct Scope {
    /// The composition's id, as its style sheets and scripts call it.
    pub(super) id: String,
    /// The instance's id in the whole document.
    pub(super) mounted: String,
    /// Ids of its elements that are kept in `data-hf-authored-id`, the root's among them.
    pub(super) renamed: Vec<String>,
}

impl Scope {
    /// The instance's host.
    pub(super) fn host(&self) -> String {
        attribute_selector("data-composition-id", &self.mounted)
    }

    /// The box its content is laid out in: its root element, or the host where there is none.
    fn layout_box(&self) -> String {
        let host = self.host();
        format!("{host}:not(:has([data-hf-inner-root])), {host} > [data-hf-inner-root]")
    }

    /// A selector as it means the same in the instance.
    fn selector(&self, written: &str) -> String {
        let mut mentions = Mentions { scope: self, own: Vec::new(), timing: Vec::new(), edits: Vec::new() };
        mentions.look(&mut Parser::new(written));
        let Mentions { own, timing, mut edits, .. } = mentions;
        edits.extend(beside(&own, &timing).map(|timing| (timing, String::new())));
        let without: Edits = edits.iter().cloned().chain(own.iter().map(|own| (own.clone(), String::new()))).collect();
        let rest = applied(written, without);
        match &*rest.trim().to_ascii_lowercase() {
            "*" if own.is_empty() => written.to_owned(),
            "" => self.layout_box(),
            "html" | "body" | ":root" if own.is_empty() => self.layout_box(),
            _ if own.is_empty() => format!("{} {}", self.host(), applied(written, edits).trim()),
            _ => {
                edits.extend(own.into_iter().map(|own| (own, self.host())));
                applied(written, edits).trim().to_owned()
            }
        }
    }
}

/// Those conditions on timing that stand together with the composition's own id: an instance's host has it otherwise.
fn beside(own: &[Range<usize>], timing: &[Range<usize>]) -> impl Iterator<Item = Range<usize>> {
    let mut conditions: Vec<_> =
        own.iter().map(|range| (range, true)).chain(timing.iter().map(|range| (range, false))).collect();
    conditions.sort_by_key(|(range, _)| range.start);
    let together = conditions.chunk_by(|(before, _), (after, _)| before.end == after.start);
    let roots = together.filter(|together| together.iter().any(|(_, own)| *own)).flatten();
    roots.filter(|(_, own)| !own).map(|(range, _)| (*range).clone()).collect::<Vec<_>>().into_iter()
}

/// A condition on an attribute, which can stand in a `<style>` element.
pub(super) fn attribute_selector(name: &str, value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('<', "\\3c ").replace('\n', "\\a ");
    format!("[{name}=\"{value}\"]")
}

/// Pieces of a text and what stands in their place.
type Edits = Vec<(Range<usize>, String)>;

fn applied(text: &str, mut edits: Edits) -> String {
    edits.sort_by_key(|(range, _)| std::cmp::Reverse(range.start));
    let mut text = text.to_owned();
    for (range, replacement) in edits {
        text.replace_range(range, &replacement);
    }
    text
}

/// The style sheet of an instance; `rebase` says what an address in it is called from the whole document. Without a
/// scope only its addresses are changed.
pub(super) fn style_sheet(source: &str, scope: Option<&Scope>, rebase: &dyn Fn(&str) -> Option<String>) -> String {
    let mut sheet = Sheet { source, scope, rebase, edits: Vec::new() };
    sheet.rules(&mut Parser::new(source), scope.is_some());
    let mut edits = sheet.edits;
    edits.sort_by_key(|(range, _)| range.start);
    let mut text = String::with_capacity(source.len());
    let mut end = 0;
    for (range, replacement) in edits {
        text += &source[end..range.start];
        text += &replacement;
        end = range.end;
    }
    text + &source[end..]
}

struct Sheet<'a> {
    source: &'a str,
    scope: Option<&'a Scope>,
    rebase: &'a dyn Fn(&str) -> Option<String>,
    edits: Edits,
}

/// At-rules whose blocks hold something else than rules of the document.
const OTHER_BLOCKS: [&str; 3] = ["keyframes", "-webkit-keyframes", "font-face"];

impl Sheet<'_> {
    /// Rules, whose selectors are scoped if `scoped`; what is nested in a rule is scoped by it.
    fn rules(&mut self, parser: &mut Parser<'_>, scoped: bool) {
        let mut prelude: Option<usize> = None;
        let mut at_rule: Option<String> = None;
        let mut commas = Vec::new();
        loop {
            let start = parser.position().byte_index();
            let Ok(token) = parser.next_including_whitespace_and_comments().cloned() else { return };
            let end = parser.position().byte_index();
            match &token {
                Token::WhiteSpace(_) | Token::Comment(_) | Token::CDO | Token::CDC if prelude.is_none() => continue,
                Token::Semicolon => {
                    (prelude, at_rule) = (None, None);
                    commas.clear();
                    continue;
                }
                Token::AtKeyword(name) if prelude.is_none() => at_rule = Some(name.to_ascii_lowercase()),
                Token::Comma => commas.push(start),
                Token::QuotedString(address) if at_rule.as_deref() == Some("import") => {
                    self.rebase(start..end, address, |address| format!("\"{address}\""));
                }
                Token::UnquotedUrl(address) => {
                    self.rebase(start..end, address, |address| format!("url(\"{address}\")"));
                }
                _ => {}
            }
            let begins = *prelude.get_or_insert(start);
            let block = token == Token::CurlyBracketBlock;
            if block && at_rule.is_none() && scoped {
                self.scope_selectors(begins, &commas, start);
            }
            let inner = block && scoped && at_rule.as_deref().is_some_and(|name| !OTHER_BLOCKS.contains(&name));
            self.nested(parser, &token, inner);
            if block {
                (prelude, at_rule) = (None, None);
                commas.clear();
            }
        }
    }

    fn scope_selectors(&mut self, start: usize, commas: &[usize], end: usize) {
        let Some(scope) = self.scope else { return };
        let starts = std::iter::once(start).chain(commas.iter().map(|comma| comma + 1));
        let ends = commas.iter().copied().chain([end]);
        let selectors: Vec<_> = starts.zip(ends).map(|(start, end)| scope.selector(&self.source[start..end])).collect();
        // What is between two selectors is gone, and with it comments; their addresses never were.
        self.edits.retain(|(range, _)| range.start < start);
        self.edits.push((start..end, selectors.join(", ") + " "));
    }

    fn nested(&mut self, parser: &mut Parser<'_>, token: &Token<'_>, scoped: bool) {
        nested_block(parser, token, |inner, is_url| {
            if is_url {
                inner.skip_whitespace();
                let start = inner.position().byte_index();
                if let Ok(address) = inner.expect_string_cloned() {
                    let end = inner.position().byte_index();
                    self.rebase(start..end, &address, |address| format!("\"{address}\""));
                }
            }
            self.rules(inner, scoped);
        });
    }

    fn rebase(&mut self, range: Range<usize>, address: &str, write: impl Fn(&str) -> String) {
        if let Some(rebased) = (self.rebase)(address) {
            let escaped = rebased.replace('\\', "\\\\").replace('"', "\\\"");
            self.edits.push((range, write(&escaped)));
        }
    }
}

/// Where a selector speaks of the composition's root.
struct Mentions<'a> {
    scope: &'a Scope,
    /// By its own id.
    own: Vec<Range<usize>>,
    /// By its timing.
    timing: Vec<Range<usize>>,
    edits: Edits,
}

impl Mentions<'_> {
    fn look(&mut self, parser: &mut Parser<'_>) {
        loop {
            let start = parser.position().byte_index();
            let Ok(token) = parser.next_including_whitespace_and_comments().cloned() else { return };
            let id = match &token {
                Token::IDHash(id) | Token::Hash(id) => Some(id),
                _ => None,
            };
            if let Some(id) = id.filter(|id| self.scope.renamed.iter().any(|renamed| *renamed == ***id)) {
                let renamed = attribute_selector("data-hf-authored-id", id);
                self.edits.push((start..parser.position().byte_index(), renamed));
            }
            match token {
                Token::SquareBracketBlock => {
                    let condition: Result<_, ParseError<()>> = parser.parse_nested_block(|inner| {
                        let name = inner.expect_ident_cloned()?;
                        let matcher = inner.next()?.clone();
                        let equals = matches!(
                            matcher,
                            Token::Delim('=') | Token::PrefixMatch | Token::SuffixMatch | Token::SubstringMatch
                        );
                        let value = inner.expect_ident_or_string()?.clone();
                        inner.expect_exhausted()?;
                        Ok((name.to_ascii_lowercase(), equals, value))
                    });
                    let range = start..parser.position().byte_index();
                    match condition {
                        Ok((name, true, value)) if name == "data-composition-id" && *value == *self.scope.id => {
                            self.own.push(range);
                        }
                        Ok((name, true, _)) if ["data-start", "data-duration"].contains(&name.as_str()) => {
                            self.timing.push(range);
                        }
                        _ => {}
                    }
                }
                Token::Function(_) | Token::ParenthesisBlock => {
                    let _: Result<(), ParseError<()>> = parser.parse_nested_block(|inner| {
                        self.look(inner);
                        Ok(())
                    });
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(source: &str, expected: &str) {
        let scope = Scope { id: "card".into(), mounted: "card__hf2".into(), renamed: vec!["top".into()] };
        let expected = expected.replace('§', "[data-composition-id=\"card__hf2\"]");
        assert_eq!(style_sheet(source, Some(&scope), &|_| None), expected);
    }

    const BOX: &str = "§:not(:has([data-hf-inner-root])), § > [data-hf-inner-root]";

    #[test]
    fn rules_hold_in_the_instance_alone() {
        check(".a{x:1}", "§ .a {x:1}");
        check(".a > b , i:is(.c, .d){x:1}", "§ .a > b, § i:is(.c, .d) {x:1}");
        check("@media (min-width: 1px){.a{x:1}}", "@media (min-width: 1px){§ .a {x:1}}");
        check(
            "@layer base;@supports (x:y){@container (z){.a{x:1}}}",
            "@layer base;@supports (x:y){@container (z){§ .a {x:1}}}",
        );
        check(".a{x:1; .b{y:2} &:hover{z:3}}", "§ .a {x:1; .b{y:2} &:hover{z:3}}");
        check("/* a, b */ .a{x:1} /* } */ .b{}", "/* a, b */ § .a {x:1} /* } */ § .b {}");
    }

    #[test]
    fn some_rules_are_the_documents() {
        for same in [
            "*{margin:0}",
            "@keyframes k{from{x:1}50%{x:2}}",
            "@font-face{font-family:F;src:url(a.woff2)}",
            "@import url(\"x.css\") screen;",
            "@property --p{syntax:'*'}",
        ] {
            let trimmed = same.replacen("*{", "* {", usize::from(same.starts_with('*')));
            check(same, &trimmed);
        }
    }

    #[test]
    fn the_root_is_the_box_of_the_instance() {
        for root in
            ["html", "body", ":root", "[data-composition-id=\"card\"]", "[data-composition-id=card][data-start='0']"]
        {
            check(&format!("{root}{{x:1}}"), &format!("{BOX} {{x:1}}"));
        }
        check("[data-composition-id='card'] .t{x:1}", "§ .t {x:1}");
        check("[data-duration='3'][data-composition-id='card']>.t{x:1}", "§>.t {x:1}");
        check("[data-composition-id='other'] .t{x:1}", "§ [data-composition-id='other'] .t {x:1}");
        check("#top .t, #top2{x:1}", "§ [data-hf-authored-id=\"top\"] .t, § #top2 {x:1}");
        check("body.dark{x:1}", "§ body.dark {x:1}");
    }

    #[test]
    fn addresses_are_rebased() {
        let rebase = |address: &str| address.strip_prefix("../").map(str::to_owned);
        for (source, expected) in [
            ("a{b:url(../c.png)}", "a{b:url(\"c.png\")}"),
            ("a{b:url( '../c d.png' )}", "a{b:url( \"c d.png\" )}"),
            ("@import '../x.css';@import url(../y.css);", "@import \"x.css\";@import url(\"y.css\");"),
            ("a{b:url(c.png);content:'../x'}", "a{b:url(c.png);content:'../x'}"),
            ("@font-face{src:url(../f.woff2)}", "@font-face{src:url(\"f.woff2\")}"),
        ] {
            assert_eq!(style_sheet(source, None, &rebase), expected);
        }
        let scope = Scope { id: "a".into(), mounted: "a".into(), renamed: vec![] };
        let sheet = style_sheet(".a{b:url(../c.png)} .d{e:url(../f.png)}", Some(&scope), &rebase);
        assert_eq!(
            sheet,
            "[data-composition-id=\"a\"] .a {b:url(\"c.png\")} [data-composition-id=\"a\"] .d {e:url(\"f.png\")}"
        );
    }
}
