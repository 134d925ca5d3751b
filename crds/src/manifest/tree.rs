//! YAML text to a tree that knows where everything stands.

use std::{collections::HashMap, rc::Rc};

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span, Tag};

use super::Problem;

/// A file may not expand to more nodes than this, aliases included: a few kilobytes of aliases can mean gigabytes.
const MAX_NODES: usize = 100_000;
/// Nor nest deeper than this.
const MAX_DEPTH: usize = 64;

/// A value and where it starts.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) line: u32,
    pub(super) column: u32,
    pub(super) kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    /// `plain` is true without quotes, block style or a string tag: its type is guessed from its text.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Rc<Node>>),
    Map(Vec<Entry>),
}

/// A key and its value.
type Entry = (Rc<Node>, Rc<Node>);

impl Node {
    pub(super) fn problem(&self, field: &str, message: impl Into<String>) -> Problem {
        Problem { line: self.line, column: self.column, field: field.to_owned(), message: message.into() }
    }

    /// The value of a key of a map.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        let Kind::Map(entries) = &self.kind else { return None };
        entries.iter().find(|(name, _)| name.text() == Some(key)).map(|(_, value)| &**value)
    }

    /// The key itself, for its position.
    pub(super) fn key(&self, key: &str) -> Option<&Self> {
        let Kind::Map(entries) = &self.kind else { return None };
        entries.iter().map(|(name, _)| &**name).find(|name| name.text() == Some(key))
    }

    pub(super) fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar { text, .. } => Some(text),
            Kind::List(_) | Kind::Map(_) => None,
        }
    }
}

/// The documents of a file, up to and including the first that cannot be read.
pub(super) fn documents(text: &str) -> Vec<Result<Rc<Node>, Problem>> {
    let mut reader = Reader { parser: Parser::new_from_str(text), anchors: HashMap::new(), nodes: 0 };
    let mut documents = Vec::new();
    loop {
        match reader.document() {
            Ok(Some(root)) => documents.push(Ok(root)),
            Ok(None) => return documents,
            Err(problem) => {
                documents.push(Err(problem));
                return documents;
            }
        }
    }
}

struct Reader<'a> {
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    anchors: HashMap<usize, (Rc<Node>, usize)>,
    nodes: usize,
}

impl Reader<'_> {
    fn document(&mut self) -> Result<Option<Rc<Node>>, Problem> {
        loop {
            match self.next()? {
                (Event::StreamEnd, _) => return Ok(None),
                (Event::DocumentStart(_), _) => break,
                _ => {}
            }
        }
        self.anchors.clear();
        self.nodes = 0;
        let (event, span) = self.next()?;
        self.node(event, span, 0).map(Some)
    }

    fn next(&mut self) -> Result<(Event<'static>, Span), Problem> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => Ok((owned(event), span)),
            Some(Err(error)) => Err(at(*error.marker(), format!("not valid YAML: {}", error.info()))),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn node(&mut self, event: Event<'static>, span: Span, depth: usize) -> Result<Rc<Node>, Problem> {
        let before = self.nodes;
        self.nodes += 1;
        if self.nodes > MAX_NODES || depth > MAX_DEPTH {
            let message = format!("more than {MAX_NODES} values or {MAX_DEPTH} levels in one document");
            return Err(at(span.start, message));
        }
        let (kind, anchor) = match event {
            Event::Alias(id) => {
                let (node, size) = self.anchors.get(&id).cloned().ok_or_else(|| at(span.start, "unknown alias"))?;
                self.nodes += size;
                return Ok(node);
            }
            Event::Scalar(text, style, anchor, tag) => {
                let string = is_string(tag.as_deref(), span.start)?;
                let plain = style == ScalarStyle::Plain && !string;
                (Kind::Scalar { text: text.into_owned(), plain }, anchor)
            }
            Event::SequenceStart(anchor, _) => (Kind::List(self.list(depth)?), anchor),
            Event::MappingStart(anchor, _) => (Kind::Map(self.map(depth)?), anchor),
            other => return Err(at(span.start, format!("not valid YAML: {other:?} where a value should be"))),
        };
        let (line, column) = position(span.start);
        let node = Rc::new(Node { line, column, kind });
        if anchor != 0 {
            self.anchors.insert(anchor, (Rc::clone(&node), self.nodes - before));
        }
        Ok(node)
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Rc<Node>>, Problem> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(items),
                (event, span) => items.push(self.node(event, span, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Vec<Entry>, Problem> {
        let mut entries = Vec::new();
        loop {
            match self.next()? {
                (Event::MappingEnd, _) => return Ok(entries),
                (event, span) => {
                    let key = self.node(event, span, depth + 1)?;
                    let (event, span) = self.next()?;
                    entries.push((key, self.node(event, span, depth + 1)?));
                }
            }
        }
    }
}

/// Whether a tag says "string"; any other tag is refused, for kubectl would read it differently or not at all.
fn is_string(tag: Option<&Tag>, start: Marker) -> Result<bool, Problem> {
    match tag {
        None => Ok(false),
        Some(tag) if tag.is_yaml_core_schema() && tag.suffix == "str" => Ok(true),
        Some(tag) => {
            Err(at(start, format!("tag {}{} is not supported: write the value itself", tag.handle, tag.suffix)))
        }
    }
}

fn owned(event: Event<'_>) -> Event<'static> {
    match event {
        Event::Nothing => Event::Nothing,
        Event::StreamStart => Event::StreamStart,
        Event::StreamEnd => Event::StreamEnd,
        Event::DocumentStart(explicit) => Event::DocumentStart(explicit),
        Event::DocumentEnd => Event::DocumentEnd,
        Event::Alias(id) => Event::Alias(id),
        Event::Scalar(text, style, anchor, tag) => Event::Scalar(
            text.into_owned().into(),
            style,
            anchor,
            tag.map(|tag| std::borrow::Cow::Owned(tag.into_owned())),
        ),
        Event::SequenceStart(anchor, _) => Event::SequenceStart(anchor, None),
        Event::SequenceEnd => Event::SequenceEnd,
        Event::MappingStart(anchor, _) => Event::MappingStart(anchor, None),
        Event::MappingEnd => Event::MappingEnd,
    }
}

fn at(marker: Marker, message: impl Into<String>) -> Problem {
    let (line, column) = position(marker);
    Problem { line, column, field: String::new(), message: message.into() }
}

fn position(marker: Marker) -> (u32, u32) {
    let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    (number(marker.line()), number(marker.col() + 1))
}
