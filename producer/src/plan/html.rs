//! The composition's HTML as the browser will get it, and what is written in it.
//!
//! Changes are made in place and never add a line, so that the line of an error is the line its author sees.

use std::cell::{Cell, RefCell};

use lol_html::{
    ElementContentHandlers, HandlerResult, RewriteStrSettings, Selector, element,
    html_content::{ContentType, Element, TextChunk},
    rewrite_str, text,
};

use crate::{
    plan::{css, lut},
    remote,
};

mod mounted;
mod shape;

pub(crate) use mounted::{Change, Mounted};
use shape::Shape;

/// An HTML file after compiling, and what was seen in it.
#[derive(Debug, Default)]
pub(crate) struct Document {
    pub(crate) text: String,
    /// The line of every element with `data-composition-id` or `data-composition-src`.
    pub(crate) compositions: Vec<u32>,
    /// The `lang` of its `<html>`.
    pub(crate) language: String,
    /// Whether it may mount sub-compositions.
    pub(crate) mounts: bool,
    /// The first element with `data-composition-id` that lies in no template.
    pub(crate) root: Option<Root>,
    /// The line of the first one in a template.
    pub(crate) in_template: Option<u32>,
    /// The value of the first `data-composition-variables`, and its line.
    pub(crate) variables: Option<(String, u32)>,
    /// Elements that play, with their line.
    pub(crate) media: Vec<(String, u32)>,
    /// Features that would be drawn wrongly, in words, with their line.
    pub(crate) unsupported: Vec<(String, u32)>,
    /// References to files, as written, with their line.
    pub(crate) references: Vec<(String, u32)>,
    /// Families declared with `@font-face`.
    pub(crate) font_faces: Vec<String>,
    /// Family lists, with their line.
    pub(crate) stacks: Vec<(Vec<String>, u32)>,
}

/// Attributes of the composition root, as written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Root {
    pub(crate) line: u32,
    pub(crate) width: Option<String>,
    pub(crate) height: Option<String>,
    pub(crate) duration: Option<String>,
    pub(crate) fps: Option<String>,
}

impl Root {
    fn of(el: &Element<'_, '_>, line: u32) -> Self {
        let get = |name| attribute(el, name);
        let (width, height) = (get("data-width"), get("data-height"));
        let duration = get("data-duration").or_else(|| get("data-composition-duration"));
        Self { line, width, height, duration, fps: get("data-fps") }
    }
}

/// What goes into the document.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Inserts<'a> {
    /// First thing in `<head>`.
    pub(crate) first: &'a str,
    /// Last thing in `<head>`.
    pub(crate) last: &'a str,
    /// Before the first script of the body, else before what is last in the document.
    pub(crate) ahead: &'a str,
    /// Last thing in the document.
    pub(crate) end: &'a str,
}

/// How a file is compiled.
#[derive(Clone, Copy)]
pub(crate) struct Way<'a> {
    /// Nothing for a part of a document, which stays one.
    pub(crate) inserts: Option<Inserts<'a>>,
    /// What its compositions become.
    pub(crate) mounted: &'a Mounted,
}

/// The reset upstream gives to a bare fragment when it wraps it into a document.
const FRAGMENT_RESET: &str = "<style>*{margin:0;padding:0;box-sizing:border-box}</style>";

/// Compiles a file.
pub(crate) fn compile(source: &str, way: Way<'_>) -> Result<Document, String> {
    let Way { inserts, mounted } = way;
    let shape = Shape::of(source)?;
    let lines = Lines::of(source);
    let seen = RefCell::new(Document::default());
    let style = RefCell::new(Style::default());
    let in_template = Cell::new(false);
    let ahead = Cell::new(inserts.map(|inserts| inserts.ahead));
    let settings = RewriteStrSettings::new()
        .append_element_content_handler(on("*", |el| {
            look(el, lines.at(el.source_location().bytes().start), &mut seen.borrow_mut());
            Ok(())
        }))
        // Handlers of an element are called in this order.
        .append_element_content_handler(on("template [data-composition-id]", |_| {
            in_template.set(true);
            Ok(())
        }))
        .append_element_content_handler(on("html[lang]", |el| {
            seen.borrow_mut().language = attribute(el, "lang").unwrap_or_default();
            Ok(())
        }))
        .append_element_content_handler(on("[integrity]", |el| {
            let address = attribute(el, "src").or_else(|| attribute(el, "href")).unwrap_or_default();
            if remote::is_packaged(&address) {
                // It has been compared with the registry's, and some servers make files of their own out of a package's.
                el.remove_attribute("integrity");
            }
            Ok(())
        }))
        .append_element_content_handler(on("link[href]", |el| {
            if is_connection_hint(el) {
                el.remove();
            }
            Ok(())
        }))
        .append_element_content_handler(on(COMPOSITIONS, |el| {
            let place = seen.borrow().compositions.len();
            let line = lines.at(el.source_location().bytes().start);
            note_composition(el, line, in_template.take(), &mut seen.borrow_mut());
            change(el, mounted.compositions.get(&place))
        }))
        .append_element_content_handler(on("template[id]", |el| {
            let id = attribute(el, "id").unwrap_or_default();
            seen.borrow_mut().mounts |= id.ends_with("-template");
            if mounted.templates.contains(&id) {
                // The runtime would mount it once more.
                el.remove_attribute("id");
            }
            Ok(())
        }))
        .append_element_content_handler(text!("style", |chunk| {
            rewrite_style(chunk, &style, &lines, &seen);
            Ok(())
        }));
    let is_other = Cell::new(false);
    let settings = inserting(shape, inserts, &is_other, &ahead)
        .into_iter()
        .fold(settings, RewriteStrSettings::append_element_content_handler);
    let text = rewrite_str(source, settings).map_err(|error| error.to_string())?;
    let inserts = inserts.map(|inserts| Inserts { ahead: ahead.take().unwrap_or_default(), ..inserts });
    Ok(Document { text: whole(text, inserts, &shape), ..seen.into_inner() })
}

/// Puts in what goes into a document. `ahead` is taken by whoever it goes before.
fn inserting<'h>(
    shape: Shape,
    inserts: Option<Inserts<'h>>,
    is_other: &'h Cell<bool>,
    ahead: &'h Cell<Option<&'h str>>,
) -> [(std::borrow::Cow<'static, Selector>, ElementContentHandlers<'h>); 4] {
    let (scripts, others) = shape.scripts();
    [
        on("head, html, body", move |el| {
            if let Some(inserts) = inserts {
                shape.insert(el, inserts);
            }
            Ok(())
        }),
        // Handlers of an element are called in this order.
        on("script", |_| {
            is_other.set(false);
            Ok(())
        }),
        on(others, |_| {
            is_other.set(true);
            Ok(())
        }),
        on(scripts, |el| {
            if !is_other.get()
                && let Some(ahead) = ahead.take()
            {
                el.before(ahead, ContentType::Html);
            }
            Ok(())
        }),
    ]
}

/// A whole document of what is to be one.
fn whole(text: String, inserts: Option<Inserts<'_>>, shape: &Shape) -> String {
    match (inserts, shape) {
        (Some(Inserts { first, last, ahead, end }), Shape::Fragment) => format!(
            "<!doctype html><html><head><meta charset=\"utf-8\">{first}{FRAGMENT_RESET}{last}</head><body>{text}{ahead}{end}</body></html>"
        ),
        // A parser puts what follows `</html>` at the end of the body.
        (Some(Inserts { ahead, end, .. }), _) => text + ahead + end,
        (None, _) => text,
    }
}

const COMPOSITIONS: &str = "[data-composition-src], [data-composition-id]";

fn note_composition(el: &Element<'_, '_>, line: u32, in_template: bool, seen: &mut Document) {
    seen.compositions.push(line);
    if !el.has_attribute("data-composition-id") {
        return;
    }
    if in_template {
        seen.in_template.get_or_insert(line);
    } else {
        seen.root.get_or_insert_with(|| Root::of(el, line));
    }
}

/// Makes a composition what it is to become.
fn change(el: &mut Element<'_, '_>, change: Option<&Change>) -> HandlerResult {
    let Some(Change { attributes, content }) = change else { return Ok(()) };
    for (name, value) in attributes {
        match value {
            // Quotes are escaped by the writer.
            Some(value) => el.set_attribute(name, &value.replace('&', "&amp;"))?,
            None => el.remove_attribute(name),
        }
    }
    if let Some(content) = content {
        el.set_inner_content(content, ContentType::Html);
    }
    Ok(())
}

fn on<'h>(
    selector: &str,
    handler: impl FnMut(&mut Element<'_, '_>) -> HandlerResult + 'h,
) -> (std::borrow::Cow<'static, Selector>, ElementContentHandlers<'h>) {
    element!(selector, handler)
}

/// Notes what an element says, and changes its inline style.
fn look(el: &mut Element<'_, '_>, line: u32, seen: &mut Document) {
    let tag = el.tag_name();
    if let Some(style) = attribute(el, "style") {
        let sheet = css::compile(&style);
        seen.references.extend(sheet.urls.into_iter().map(|(url, _)| (url, line)));
        seen.stacks.extend(sheet.stacks.into_iter().map(|(names, _)| (names, line)));
        if sheet.text != style {
            // Values cannot hold NUL or other characters an attribute could not; quotes are escaped by the writer.
            let _ = el.set_attribute("style", &sheet.text);
        }
    }
    if let Some(families) = attribute(el, "font-family") {
        let sheet = css::compile(&format!("font-family:{families}"));
        seen.stacks.extend(sheet.stacks.into_iter().map(|(names, _)| (names, line)));
    }
    if seen.variables.is_none() {
        seen.variables = attribute(el, "data-composition-variables").map(|text| (text, line));
    }
    seen.mounts |= el.has_attribute("data-composition-src");
    let table = attribute(el, "data-color-grading").and_then(|grading| lut::named(&grading));
    seen.references.extend(table.map(|url| (url, line)));
    if el.has_attribute("data-requires-webgpu") {
        seen.unsupported.push(("WebGPU".to_owned(), line));
    }
    if tag == "video" || tag == "audio" {
        seen.media.push((tag.clone(), line));
        silence(el);
    }
    if !["a", "base"].contains(&tag.as_str()) && !is_mere_link(el, &tag) {
        for name in ["src", "href", "xlink:href", "data", "poster"] {
            seen.references.extend(attribute(el, name).map(|url| (url, line)));
        }
        let candidates = attribute(el, "srcset").unwrap_or_default();
        let urls = candidates.split(',').filter_map(|candidate| candidate.split_whitespace().next());
        seen.references.extend(urls.map(|url| (url.to_owned(), line)));
    }
}

/// Connections are not made ahead: there are none.
fn is_connection_hint(el: &Element<'_, '_>) -> bool {
    let relation = attribute(el, "rel").unwrap_or_default();
    relation
        .split_whitespace()
        .any(|word| ["preconnect", "dns-prefetch"].iter().any(|hint| word.eq_ignore_ascii_case(hint)))
}

/// A `<link>` to something that is no part of what is shown.
fn is_mere_link(el: &Element<'_, '_>, tag: &str) -> bool {
    const PARTS: [&str; 3] = ["stylesheet", "preload", "modulepreload"];
    let relation = attribute(el, "rel").unwrap_or_default();
    tag == "link" && !relation.split_whitespace().any(|word| PARTS.iter().any(|part| word.eq_ignore_ascii_case(part)))
}

/// Keeps a browser from loading what an element plays, and gives it the times it has if it says none (upstream's).
fn silence(el: &mut Element<'_, '_>) {
    el.remove_attribute("autoplay");
    let mut set = vec![("preload", "none")];
    if !el.has_attribute("data-start") {
        set.extend([("data-start", "0"), ("data-hf-auto-start", "")]);
    }
    for (name, value) in set {
        // Names of attributes are always taken.
        let _ = el.set_attribute(name, value);
    }
}

/// A style sheet in the document, which comes in pieces.
#[derive(Default)]
struct Style {
    text: String,
    /// Where in the document it begins.
    start: usize,
}

fn rewrite_style(chunk: &mut TextChunk<'_>, style: &RefCell<Style>, lines: &Lines, seen: &RefCell<Document>) {
    let mut piece = style.borrow_mut();
    if piece.text.is_empty() {
        piece.start = chunk.source_location().bytes().start;
    }
    piece.text.push_str(chunk.as_str());
    if !chunk.last_in_text_node() {
        chunk.remove();
        return;
    }
    let Style { text, start } = std::mem::take(&mut *piece);
    let sheet = css::compile(&text);
    let mut seen = seen.borrow_mut();
    seen.font_faces.extend(sheet.font_faces);
    seen.stacks.extend(sheet.stacks.into_iter().map(|(names, offset)| (names, lines.at(start + offset))));
    seen.references.extend(sheet.urls.into_iter().map(|(url, offset)| (url, lines.at(start + offset))));
    chunk.replace(&sheet.text, ContentType::Html);
}

/// An attribute's value with character references resolved.
fn attribute(el: &Element<'_, '_>, name: &str) -> Option<String> {
    el.get_attribute(name).map(|value| html_escape::decode_html_entities(&value).into_owned())
}

/// Byte offsets to line numbers.
pub(crate) struct Lines(Vec<usize>);

impl Lines {
    pub(crate) fn of(source: &str) -> Self {
        Self(source.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(offset, _)| offset).collect())
    }

    /// The line of an offset, from 1.
    pub(crate) fn at(&self, offset: usize) -> u32 {
        u32::try_from(self.0.partition_point(|newline| *newline < offset) + 1).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INSERTS: Inserts<'_> = Inserts { first: "<F>", last: "<L>", ahead: "<A>", end: "<E>" };

    fn compiled(source: &str, inserts: Option<Inserts<'_>>, mounted: &Mounted) -> Document {
        compile(source, Way { inserts, mounted }).unwrap()
    }

    fn seen(source: &str) -> Document {
        compiled(source, None, &Mounted::default())
    }

    #[track_caller]
    fn check(source: &str, expected: &str) {
        let end = if expected.contains("<A>") { "<E>" } else { "<A><E>" };
        assert_eq!(compiled(source, Some(INSERTS), &Mounted::default()).text, expected.to_owned() + end);
    }

    #[test]
    fn inserts_find_the_head_of_any_document() {
        check("<html><head><title>x</title></head><body>", "<html><head><F><title>x</title><L></head><body>");
        check("<head><meta>\n<body>", "<head><F><meta>\n<L><body>");
        check("<!doctype html><html><body>", "<!doctype html><html><F><L><body>");
        check("<body class=a>x</body>", "<F><L><body class=a>x</body>");
        check("<html><style></style><body>x", "<html><F><style></style><L><body>x");
        let fragment = compiled("<div></div>", Some(INSERTS), &Mounted::default()).text;
        assert!(
            fragment.starts_with("<!doctype html><html><head>")
                && fragment.ends_with("<body><div></div><A><E></body></html>")
        );
    }

    #[test]
    fn the_first_script_that_may_look_at_the_body_is_found() {
        check(
            "<head><script>1</script></head><p><template><script>2</script></template><script src=3></script><script>4</script>",
            "<head><F><script>1</script><L></head><p><template><script>2</script></template><A><script src=3></script><script>4</script>",
        );
        check(
            "<html><head><script>1</script>\n<body><script>2</script>",
            "<html><head><F><script>1</script>\n<L><body><A><script>2</script>",
        );
        check("<script>1</script><body><script>2</script>", "<script>1</script><F><L><body><A><script>2</script>");
    }

    #[test]
    fn the_roots_attributes_are_read_with_their_line() {
        let source = "<html>\n<body>\n<div data-composition-id=main data-width='640' data-duration=\"2.5\"\n data-composition-variables='[{&quot;id&quot;:1}]'></div>\
                      <div data-composition-id=second data-width=1></div>";
        let document = seen(source);
        let root = Root { line: 3, width: Some("640".into()), duration: Some("2.5".into()), ..Root::default() };
        assert_eq!(document.root, Some(root));
        assert_eq!(document.variables, Some(("[{\"id\":1}]".into(), 3)));
    }

    #[test]
    fn digests_of_what_comes_from_packages_go_and_so_do_connection_hints() {
        let source = "<head><script src=\"https://unpkg.com/x@1/y.js\" integrity=sha crossorigin></script>\
                      <link rel=preconnect href='https://other'><link rel=canonical href='https://me'>\
                      <link rel=stylesheet href=https://x/own.css integrity=sha></head>";
        let document = seen(source);
        let expected = "<head><script src=\"https://unpkg.com/x@1/y.js\" crossorigin></script>\
                        <link rel=canonical href='https://me'><link rel=stylesheet href=https://x/own.css integrity=sha></head>";
        assert_eq!(document.text, expected);
        let references: Vec<_> = document.references.iter().map(|(address, _)| address.as_str()).collect();
        assert_eq!(references, ["https://unpkg.com/x@1/y.js", "https://x/own.css"]);
    }

    #[test]
    fn styles_are_rewritten_wherever_they_stand() {
        check(
            "<head><style>a{font-family:sans-serif}</style></head><p style='font: 10px system-ui'>",
            "<head><F><style>a{font-family:Inter, sans-serif}</style><L></head><p style=\"font: 10px Inter, system-ui\">",
        );
    }

    #[test]
    fn what_cannot_be_drawn_rightly_is_named_with_its_line() {
        let source = "<div data-composition-id=a>\n<video src=x.mp4></video>\n<p data-requires-webgpu></p></div>";
        let document = seen(source);
        assert_eq!(document.unsupported, [("WebGPU".to_owned(), 3)]);
        assert_eq!(document.media, [("video".to_owned(), 2)]);
        let silent = "<video src=x.mp4 preload=\"none\" data-start=\"0\" data-hf-auto-start=\"\">";
        assert!(document.text.contains(silent), "{}", document.text);
    }

    #[test]
    fn compositions_become_what_they_are_to() {
        let attributes = vec![("data-composition-src", None), ("style", Some("a:\"&\"".to_owned()))];
        let change = Change { attributes, content: Some("<b>x</b>".to_owned()) };
        let mounted = Mounted {
            compositions: [(1, change)].into(),
            templates: ["t-template".to_owned()].into(),
            ..Mounted::default()
        };
        let source = "<div data-composition-id=a>\n<p data-composition-src=b.html>old</p></div><template id=t-template></template>";
        let document = compiled(source, None, &mounted);
        assert_eq!(
            document.text,
            "<div data-composition-id=a>\n<p style=\"a:&quot;&amp;&quot;\"><b>x</b></p></div><template></template>"
        );
        assert_eq!((document.compositions, document.mounts), (vec![1, 2], true));
    }

    #[test]
    fn a_root_lies_in_no_template() {
        let template = "<template>\n<b><i data-composition-id=a data-width=1></i></b></template>";
        let alone = compiled(template, None, &Mounted::default());
        assert_eq!((alone.root, alone.in_template), (None, Some(2)));
        let script = "<html><template><script>1</script></template><p data-composition-id=b></p>";
        assert!(compiled(script, Some(INSERTS), &Mounted::default()).root.is_some());
        let source = format!("{template}<p data-composition-id=b data-width=2></p>");
        let beside = compiled(&source, None, &Mounted::default());
        assert_eq!(beside.root.map(|root| (root.line, root.width)), Some((2, Some("2".to_owned()))));
    }
}
