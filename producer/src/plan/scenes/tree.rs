//! A document as the tree a browser makes of it: looked through, changed, and written again on one line.

use std::{borrow::Cow, cell::RefCell};

use html5ever::{
    Attribute, LocalName, Namespace, ParseOpts, QualName, ns, parse_document,
    tendril::{StrTendril, TendrilSink as _},
    tree_builder::{ElemName, ElementFlags, NodeOrText, QuirksMode, TreeSink},
};

/// A node of one tree.
pub(super) type Id = usize;

/// Nodes refer to each other by their place in the list.
#[derive(Clone, Debug)]
pub(super) struct Tree(Vec<Node>);

#[derive(Clone, Debug)]
struct Node {
    parent: Option<Id>,
    children: Vec<Id>,
    kind: Kind,
    /// Where its start tag ends, from 1.
    line: u32,
}

#[derive(Clone, Debug)]
enum Kind {
    /// A document, or what is in a template.
    Root,
    Element {
        name: QualName,
        attributes: Vec<(QualName, String)>,
        /// Of a template.
        contents: Option<Id>,
    },
    Text(String),
    /// Comments and the like, which nobody sees.
    Nothing,
}

/// The root of every tree.
pub(super) const ROOT: Id = 0;

impl Tree {
    /// What a browser makes of this text. There is always a head and a body.
    pub(super) fn parse(html: &str) -> Self {
        let mut options = ParseOpts::default();
        options.tree_builder.drop_doctype = true;
        let builder = Builder { nodes: RefCell::new(vec![Node::of(Kind::Root, 1)]), line: RefCell::new(1) };
        parse_document(builder, options).one(html)
    }

    /// A tree of a node's children alone.
    pub(super) fn copy_of(&self, node: Id) -> Self {
        let mut copy = Self(vec![Node::of(Kind::Root, self.0[node].line)]);
        let mut open = vec![(node, ROOT)];
        while let Some((from, to)) = open.pop() {
            for child in &self.0[from].children {
                let Node { kind, line, .. } = &self.0[*child];
                let made = copy.add(kind.clone(), *line);
                copy.0[made].parent = Some(to);
                copy.0[to].children.push(made);
                open.push((*child, made));
                if let Kind::Element { contents: Some(contents), .. } = kind {
                    let inner = copy.add(Kind::Root, *line);
                    if let Kind::Element { contents, .. } = &mut copy.0[made].kind {
                        *contents = Some(inner);
                    }
                    open.push((*contents, inner));
                }
            }
        }
        copy
    }

    /// A tree of one element without its content, which is node 1.
    pub(super) fn single(&self, element: Id) -> Self {
        let mut tree = Self(vec![Node::of(Kind::Root, 1)]);
        let element = tree.add(self.0[element].kind.clone(), self.0[element].line);
        tree.append(ROOT, element);
        tree
    }

    fn add(&mut self, kind: Kind, line: u32) -> Id {
        self.0.push(Node::of(kind, line));
        self.0.len() - 1
    }

    /// Elements below a node in the order of their start tags. What is in a template is not below it.
    pub(super) fn elements(&self, node: Id) -> impl Iterator<Item = Id> {
        self.walk(node, false)
    }

    /// The same with what is in templates.
    pub(super) fn elements_and_contents(&self, node: Id) -> impl Iterator<Item = Id> {
        self.walk(node, true)
    }

    fn walk(&self, node: Id, into_templates: bool) -> impl Iterator<Item = Id> {
        let mut open: Vec<Id> = self.0[node].children.iter().rev().copied().collect();
        std::iter::from_fn(move || {
            let next = open.pop()?;
            open.extend(self.0[next].children.iter().rev());
            open.extend(self.contents(next).filter(|_| into_templates));
            Some(next)
        })
        .filter(|node| matches!(self.0[*node].kind, Kind::Element { .. }))
    }

    /// The first element of this name.
    pub(super) fn find(&self, name: &str) -> Option<Id> {
        self.elements(ROOT).find(|node| self.is(*node, name))
    }

    pub(super) fn is(&self, node: Id, tag: &str) -> bool {
        matches!(&self.0[node].kind, Kind::Element { name, .. } if *name.local == *tag)
    }

    pub(super) fn is_svg(&self, node: Id) -> bool {
        matches!(&self.0[node].kind, Kind::Element { name, .. } if name.ns == ns!(svg))
    }

    /// The values of an element's attributes.
    pub(super) fn values(&self, node: Id) -> impl Iterator<Item = &str> {
        self.attributes(node).iter().map(|(_, value)| value.as_str())
    }

    /// The names of those attributes of an element whose value holds this.
    pub(super) fn with(&self, node: Id, text: &str) -> Vec<String> {
        let attributes = self.attributes(node).iter().filter(|(_, value)| value.contains(text));
        attributes.map(|(name, _)| name.local.to_string()).collect()
    }

    fn attributes(&self, node: Id) -> &[(QualName, String)] {
        match &self.0[node].kind {
            Kind::Element { attributes, .. } => attributes,
            _ => &[],
        }
    }

    /// What is in a template.
    pub(super) fn contents(&self, node: Id) -> Option<Id> {
        match self.0[node].kind {
            Kind::Element { contents, .. } => contents,
            _ => None,
        }
    }

    pub(super) fn set_line(&mut self, node: Id, line: u32) {
        self.0[node].line = line;
    }

    /// The nodes a node is in, from the inside.
    pub(super) fn ancestors(&self, node: Id) -> impl Iterator<Item = Id> {
        std::iter::successors(self.0[node].parent, |node| self.0[*node].parent)
    }

    pub(super) fn line(&self, node: Id) -> u32 {
        self.0[node].line
    }

    pub(super) fn children(&self, node: Id) -> &[Id] {
        &self.0[node].children
    }

    /// Whether a node has elements in it.
    pub(super) fn has_elements(&self, node: Id) -> bool {
        self.children(node).iter().any(|child| matches!(self.0[*child].kind, Kind::Element { .. }))
    }

    /// Whether there is anything but space below a node.
    pub(super) fn is_blank(&self, node: Id) -> bool {
        self.children(node).iter().all(|child| match &self.0[*child].kind {
            Kind::Element { .. } => false,
            Kind::Text(text) => text.trim().is_empty(),
            Kind::Root | Kind::Nothing => true,
        })
    }

    /// The text right below a node.
    pub(super) fn text(&self, node: Id) -> String {
        let text = self.children(node).iter().filter_map(|child| match &self.0[*child].kind {
            Kind::Text(text) => Some(text.as_str()),
            _ => None,
        });
        text.collect()
    }

    pub(super) fn get(&self, node: Id, attribute: &str) -> Option<&str> {
        self.attributes(node).iter().find(|(name, _)| *name.local == *attribute).map(|(_, value)| value.as_str())
    }

    pub(super) fn has(&self, node: Id, attribute: &str) -> bool {
        self.get(node, attribute).is_some()
    }

    /// Sets an attribute, or takes it away.
    pub(super) fn set(&mut self, node: Id, attribute: &str, value: Option<String>) {
        let Kind::Element { attributes, .. } = &mut self.0[node].kind else { return };
        let found = attributes.iter_mut().find(|(name, _)| *name.local == *attribute);
        match (found, value) {
            (Some((_, old)), Some(value)) => *old = value,
            (Some(_), None) => attributes.retain(|(name, _)| *name.local != *attribute),
            (None, Some(value)) => attributes.push((QualName::new(None, ns!(), LocalName::from(attribute)), value)),
            (None, None) => {}
        }
    }

    /// Takes a node out of its parent.
    pub(super) fn detach(&mut self, node: Id) {
        if let Some(parent) = self.0[node].parent.take() {
            self.0[parent].children.retain(|child| *child != node);
        }
    }

    /// Moves a node to the end of another.
    pub(super) fn append(&mut self, parent: Id, node: Id) {
        self.detach(node);
        self.0[node].parent = Some(parent);
        self.0[parent].children.push(node);
    }

    /// Nodes as HTML without a line break, so that they can stand in a line of another document. `inside` may have
    /// something else to put into an element.
    pub(super) fn html<'a>(&self, nodes: &[Id], inside: impl Fn(Id) -> Option<&'a str>) -> String {
        let mut html = String::new();
        let mut open: Vec<Step> = nodes.iter().rev().copied().map(Step::Open).collect();
        while let Some(step) = open.pop() {
            let node = match step {
                Step::Open(node) => node,
                Step::Close(name) => {
                    html += &format!("</{name}>");
                    continue;
                }
            };
            match &self.0[node].kind {
                Kind::Root => open.extend(self.children(node).iter().rev().copied().map(Step::Open)),
                Kind::Nothing => {}
                Kind::Text(text) if self.is_raw(node) => html += text,
                Kind::Text(text) => escape(&mut html, text, false),
                Kind::Element { name, attributes, contents } => {
                    let name = &name.local;
                    html += &format!("<{name}");
                    for (attribute, value) in attributes {
                        let prefix = attribute.prefix.as_ref().map(|prefix| format!("{prefix}:")).unwrap_or_default();
                        html += &format!(" {prefix}{}=\"", attribute.local);
                        escape(&mut html, value, true);
                        html.push('"');
                    }
                    html.push('>');
                    if VOID.contains(&&**name) {
                        continue;
                    }
                    // A parser takes away a line break right behind these.
                    if ["pre", "textarea", "listing"].contains(&&**name) && self.text(node).starts_with('\n') {
                        html += "&#10;";
                    }
                    open.push(Step::Close(name.clone()));
                    match inside(node) {
                        Some(inside) => html += inside,
                        None => open.extend(
                            self.children(node).iter().rev().chain(contents.as_slice()).copied().map(Step::Open),
                        ),
                    }
                }
            }
        }
        html
    }

    /// Whether a text is written as it is.
    fn is_raw(&self, text: Id) -> bool {
        let parent = self.0[text].parent.map(|parent| &self.0[parent].kind);
        matches!(parent, Some(Kind::Element { name, .. }) if name.ns == ns!(html) && RAW.contains(&&*name.local))
    }
}

enum Step {
    Open(Id),
    Close(LocalName),
}

const VOID: [&str; 14] =
    ["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"];
const RAW: [&str; 8] = ["style", "script", "xmp", "iframe", "noembed", "noframes", "plaintext", "noscript"];

fn escape(html: &mut String, text: &str, attribute: bool) {
    for character in text.chars() {
        match character {
            '&' => html.push_str("&amp;"),
            '\u{a0}' => html.push_str("&nbsp;"),
            '\n' => html.push_str("&#10;"),
            '"' if attribute => html.push_str("&quot;"),
            '<' if !attribute => html.push_str("&lt;"),
            '>' if !attribute => html.push_str("&gt;"),
            character => html.push(character),
        }
    }
}

impl Node {
    fn of(kind: Kind, line: u32) -> Self {
        Self { parent: None, children: Vec::new(), kind, line }
    }
}

/// What the parser builds into.
struct Builder {
    nodes: RefCell<Vec<Node>>,
    line: RefCell<u32>,
}

#[derive(Debug)]
struct Name(QualName);

impl ElemName for Name {
    fn ns(&self) -> &Namespace {
        &self.0.ns
    }

    fn local_name(&self) -> &LocalName {
        &self.0.local
    }
}

impl Builder {
    fn add(&self, kind: Kind) -> Id {
        let mut nodes = self.nodes.borrow_mut();
        nodes.push(Node::of(kind, *self.line.borrow()));
        nodes.len() - 1
    }

    /// Puts something into a parent, before the child at a place. Texts side by side become one.
    fn insert(&self, parent: Id, place: usize, child: NodeOrText<Id>) {
        let child = match child {
            NodeOrText::AppendNode(node) => {
                self.remove_from_parent(&node);
                node
            }
            NodeOrText::AppendText(text) => {
                let mut nodes = self.nodes.borrow_mut();
                let before = place.checked_sub(1).and_then(|place| nodes[parent].children.get(place)).copied();
                if let Some(Kind::Text(before)) = before.map(|before| &mut nodes[before].kind) {
                    before.push_str(&text);
                    return;
                }
                drop(nodes);
                self.add(Kind::Text(text.to_string()))
            }
        };
        let mut nodes = self.nodes.borrow_mut();
        nodes[child].parent = Some(parent);
        let place = place.min(nodes[parent].children.len());
        nodes[parent].children.insert(place, child);
    }
}

fn attribute(Attribute { name, value }: Attribute) -> (QualName, String) {
    (name, value.to_string())
}

impl TreeSink for Builder {
    type Handle = Id;
    type Output = Tree;
    type ElemName<'a> = Name;

    fn finish(self) -> Tree {
        Tree(self.nodes.into_inner())
    }

    fn parse_error(&self, _: Cow<'static, str>) {}

    fn get_document(&self) -> Id {
        ROOT
    }

    fn elem_name<'a>(&'a self, target: &'a Id) -> Name {
        match &self.nodes.borrow()[*target].kind {
            Kind::Element { name, .. } => Name(name.clone()),
            _ => unreachable!("only elements have names"),
        }
    }

    fn create_element(&self, name: QualName, attributes: Vec<Attribute>, flags: ElementFlags) -> Id {
        let contents = flags.template.then(|| self.add(Kind::Root));
        self.add(Kind::Element { name, attributes: attributes.into_iter().map(attribute).collect(), contents })
    }

    fn create_comment(&self, _: StrTendril) -> Id {
        self.add(Kind::Nothing)
    }

    fn create_pi(&self, _: StrTendril, _: StrTendril) -> Id {
        self.add(Kind::Nothing)
    }

    fn append(&self, parent: &Id, child: NodeOrText<Id>) {
        let last = self.nodes.borrow()[*parent].children.len();
        self.insert(*parent, last, child);
    }

    fn append_based_on_parent_node(&self, element: &Id, previous: &Id, child: NodeOrText<Id>) {
        let has_parent = self.nodes.borrow()[*element].parent.is_some();
        if has_parent { self.append_before_sibling(element, child) } else { self.append(previous, child) }
    }

    fn append_doctype_to_document(&self, _: StrTendril, _: StrTendril, _: StrTendril) {}

    fn get_template_contents(&self, target: &Id) -> Id {
        match self.nodes.borrow()[*target].kind {
            Kind::Element { contents: Some(contents), .. } => contents,
            _ => unreachable!("only templates have contents"),
        }
    }

    fn same_node(&self, x: &Id, y: &Id) -> bool {
        x == y
    }

    fn set_quirks_mode(&self, _: QuirksMode) {}

    fn append_before_sibling(&self, sibling: &Id, child: NodeOrText<Id>) {
        if let NodeOrText::AppendNode(node) = &child {
            self.remove_from_parent(node);
        }
        let nodes = self.nodes.borrow();
        let Some(parent) = nodes[*sibling].parent else { return };
        let Some(place) = nodes[parent].children.iter().rposition(|child| child == sibling) else { return };
        drop(nodes);
        self.insert(parent, place, child);
    }

    fn add_attrs_if_missing(&self, target: &Id, new: Vec<Attribute>) {
        if let Kind::Element { attributes, .. } = &mut self.nodes.borrow_mut()[*target].kind {
            for (name, value) in new.into_iter().map(attribute) {
                if !attributes.iter().any(|(known, _)| *known == name) {
                    attributes.push((name, value));
                }
            }
        }
    }

    fn remove_from_parent(&self, target: &Id) {
        let mut nodes = self.nodes.borrow_mut();
        if let Some(parent) = nodes[*target].parent.take() {
            nodes[parent].children.retain(|child| child != target);
        }
    }

    fn reparent_children(&self, node: &Id, new_parent: &Id) {
        let mut nodes = self.nodes.borrow_mut();
        let children = std::mem::take(&mut nodes[*node].children);
        for child in &children {
            nodes[*child].parent = Some(*new_parent);
        }
        nodes[*new_parent].children.extend(children);
    }

    fn set_current_line(&self, line: u64) {
        *self.line.borrow_mut() = u32::try_from(line).unwrap_or(u32::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(source: &str, expected: &str) {
        let tree = Tree::parse(source);
        let body = tree.find("body").unwrap();
        assert_eq!(tree.html(tree.children(body), |_| None), expected);
        let copy = tree.copy_of(body);
        assert_eq!(copy.html(copy.children(ROOT), |_| None), expected);
    }

    #[test]
    fn documents_are_written_as_browsers_read_them() {
        check("<p>a<p>b", "<p>a</p><p>b</p>");
        check("<p title='\"&amp;'>a &lt; b\nc</p>", "<p title=\"&quot;&amp;\">a &lt; b&#10;c</p>");
        check("<div><b>1</div>2", "<div><b>1</b></div><b>2</b>");
        check("<br><img src=x>", "<br><img src=\"x\">");
        check("<pre>\n\na</pre>", "<pre>&#10;&#10;a</pre>");
        check("<br><template><p>x</template>", "<br><template><p>x</p></template>");
        check("<br><script>a < b</script>", "<br><script>a < b</script>");
        check(
            "<svg viewBox='0 0 1 1'><use xlink:href='#a'/></svg>",
            "<svg viewBox=\"0 0 1 1\"><use xlink:href=\"#a\"></use></svg>",
        );
        check("<table><tr><td>x</table>", "<table><tbody><tr><td>x</td></tr></tbody></table>");
        check("<table>y<tr><td>x</table>", "y<table><tbody><tr><td>x</td></tr></tbody></table>");
    }

    #[test]
    fn deep_documents_are_no_trouble() {
        let source = "<div>".repeat(2000);
        let tree = Tree::parse(&source);
        assert_eq!(tree.html(&[ROOT], |_| None).matches("</div>").count(), 2000);
    }

    #[test]
    fn elements_know_their_line() {
        let tree = Tree::parse("<div>\n<p>\n</p>\n<script>x</script>");
        assert_eq!(tree.find("script").map(|node| tree.line(node)), Some(4));
    }
}
