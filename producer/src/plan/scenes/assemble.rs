//! One instance: its scripts and style sheets are taken out and scoped, its content is prepared for its host.

use crds::Code;
use serde_json::json;

use super::{
    Site,
    find::{self, Instance, Origin},
    fragments::Renamed,
    paths,
    scope::{Scope, style_sheet},
    tree::{Id, ROOT, Tree},
    trim::trim,
    values::{self, VARIABLES_OF, Values},
};
use crate::{
    Error,
    draw::server::ORIGIN,
    plan::{compile::registers_timelines, lut, project::ENTRY, references::resolved},
};

/// What an instance gives to the document besides its content.
#[derive(Default)]
pub(super) struct Parts {
    /// `<link>` elements with their address.
    pub(super) links: Vec<(String, String)>,
    pub(super) styles: Vec<Style>,
    pub(super) scripts: Vec<Script>,
    pub(super) values: values::Instance,
    /// Declarations of variables, and where.
    pub(super) declarations: Vec<(String, u32)>,
    /// Whether its scripts may register a timeline.
    pub(super) registers: bool,
}

pub(super) struct Style {
    pub(super) media: Option<String>,
    pub(super) css: String,
}

pub(super) enum Script {
    /// An element that names a file. One that is not relative goes before all others (upstream's rule).
    File { address: String, first: bool, element: String },
    /// A classic script, as the text of a file.
    Inline(String),
    /// A module or an import map, as an element.
    Element(String),
}

/// Takes an instance apart. Its host is an element of `outer`.
pub(super) fn assemble(
    instance: &mut Instance,
    mounted: &str,
    renamed: &Renamed,
    outer: &mut Instance,
    site: &Site<'_>,
) -> Result<Parts, Error> {
    let mut parts = Parts::default();
    let declared = instance.declared().unwrap_or_default().to_owned();
    let id = instance.id.clone().unwrap_or_else(|| declared.clone());
    let root = instance.root.and_then(|root| instance.tree.get(root, "id")).map(str::trim).filter(|id| !id.is_empty());
    let ids = renamed.keys().map(String::as_str).chain(root).map(str::to_owned).collect();
    let scope = Scope { id, mounted: mounted.to_owned(), renamed: ids };
    let script_scope = Scope { id: declared, ..scope.clone() };
    let file = instance.source.file.clone();
    let rebase = |address: &str| match address.strip_prefix('#') {
        Some(id) => renamed.get(id).map(|id| format!("#{id}")),
        None => paths::rebased(&file, address, |path| site.files.contains(path)),
    };
    let content = instance.root.unwrap_or(ROOT);

    read_values(instance, outer, &mut parts)?;
    let taking = Taking { scope: &scope, script_scope: &script_scope, file: &file, rebase: &rebase, site };
    let source = &instance.source.tree;
    for node in in_the_head(instance) {
        take(source, node, &taking, &mut parts);
    }
    let inside: Vec<_> = instance.tree.elements(ROOT).filter(|node| is_part(&instance.tree, *node)).collect();
    for node in inside {
        take(&instance.tree, node, &taking, &mut parts);
        instance.tree.detach(node);
    }
    rename(&mut instance.tree, content, renamed);
    rebase_addresses(&mut instance.tree, content, &rebase);
    if let Some(root) = instance.root {
        prepare_root(&mut instance.tree, root, mounted, !parts.values.declared.is_empty());
    }
    let says_so = outer.tree.has(instance.host.node, NO_TIMELINE)
        || instance.root.is_some_and(|root| instance.tree.has(root, NO_TIMELINE));
    if says_so || !parts.registers {
        expect_no_timeline(&mut outer.tree, instance);
    }
    prepare_host(&mut outer.tree, instance, mounted);
    trim(instance, &outer.tree);
    Ok(parts)
}

/// Elements in the head of an instance's file that are a part of it.
fn in_the_head(instance: &Instance) -> Vec<Id> {
    let tree = &instance.source.tree;
    let counts = |node: &Id| match instance.origin {
        Origin::File => is_part(tree, *node),
        Origin::FileTemplate => is_part(tree, *node) && tree.is(*node, "link"),
        Origin::Template => false,
    };
    tree.find("head").into_iter().flat_map(|head| tree.elements(head)).filter(counts).collect()
}

/// Whether an element is taken out of the content.
fn is_part(tree: &Tree, node: Id) -> bool {
    let relation = || tree.get(node, "rel").unwrap_or_default().trim().to_ascii_lowercase();
    tree.is(node, "style")
        || (tree.is(node, "script") && kind(tree, node).is_some())
        || (tree.is(node, "link") && ["stylesheet", "preconnect"].contains(&relation().as_str()))
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Classic,
    Module,
    ImportMap,
}

/// What a script is, if it is one that runs.
fn kind(tree: &Tree, script: Id) -> Option<Kind> {
    let name = tree.get(script, "type").unwrap_or_default().trim().to_ascii_lowercase();
    let of_script = name.strip_prefix("text/").or_else(|| name.strip_prefix("application/"));
    match of_script.unwrap_or(&name) {
        "module" => Some(Kind::Module),
        "importmap" => Some(Kind::ImportMap),
        _ if tree.has(script, "nomodule") => None,
        "" | "javascript" | "ecmascript" | "x-javascript" | "x-ecmascript" | "jscript" => Some(Kind::Classic),
        _ => None,
    }
}

struct Taking<'a> {
    scope: &'a Scope,
    script_scope: &'a Scope,
    file: &'a str,
    rebase: &'a dyn Fn(&str) -> Option<String>,
    site: &'a Site<'a>,
}

fn take(tree: &Tree, node: Id, taking: &Taking<'_>, parts: &mut Parts) {
    let Taking { scope, script_scope, file, rebase, site } = *taking;
    let address = |name: &str| {
        let address = tree.get(node, name).map(str::trim).filter(|address| !address.is_empty())?;
        Some(rebase(address).unwrap_or_else(|| address.to_owned()))
    };
    if tree.is(node, "link") {
        if let Some(address) = address("href") {
            parts.links.push((address.clone(), element(tree, node, &[("href", &address)])));
        }
    } else if tree.is(node, "style") {
        let kind = tree.get(node, "type").unwrap_or_default();
        if kind.is_empty() || kind.eq_ignore_ascii_case("text/css") {
            let css = style_sheet(&tree.text(node), Some(scope), rebase);
            parts.styles.push(Style { media: tree.get(node, "media").map(str::to_owned), css });
        }
    } else if let Some(address) = address("src") {
        parts.registers |= names_registering(&address, site);
        let first = address.starts_with('/') || address.contains("//") || tree.has(node, "integrity");
        parts.scripts.push(Script::File { element: element(tree, node, &[("src", &address)]), address, first });
    } else {
        let text = tree.text(node);
        parts.registers |= registers_timelines(&text);
        parts.scripts.push(match kind(tree, node) {
            Some(Kind::Module) => {
                let known = called(script_scope, file);
                Script::Element(format!(
                    "<script type=\"module\">const __hyperframes = __hfScene({known});{text}</script>"
                ))
            }
            Some(Kind::ImportMap) => Script::Element(format!("<script type=\"importmap\">{text}</script>")),
            _ => Script::Inline(classic(&text, tree.line(node), file, script_scope)),
        });
    }
}

/// Whether a script of a document may register a timeline.
pub(super) fn registers(tree: &Tree, site: &Site<'_>) -> bool {
    let scripts = tree.elements(ROOT).filter(|node| tree.is(*node, "script"));
    scripts.into_iter().any(|script| match tree.get(script, "src") {
        Some(address) => names_registering(address, site),
        None => registers_timelines(&tree.text(script)),
    })
}

/// Whether an address is of a script that registers timelines.
fn names_registering(address: &str, site: &Site<'_>) -> bool {
    site.registering.contains(resolved(ENTRY, address).as_str())
}

/// What `__hfScene` is told of an instance of a file.
fn called(scope: &Scope, file: &str) -> String {
    let Scope { id, mounted, renamed } = scope;
    json!({ "id": id, "mounted": mounted, "renamed": renamed, "file": file }).to_string().replace('<', "\\u003c")
}

/// A script that sees its instance. Every line has the number it has in the file it was written in, and the file's name.
fn classic(text: &str, line: u32, file: &str, scope: &Scope) -> String {
    let above = "\n".repeat(line.saturating_sub(1) as usize);
    let known = called(scope, file);
    format!(
        "__hfScene({known},function(document,gsap,window,__hyperframes){{{above}{text}\n}});\n//# sourceURL={ORIGIN}{file}\n"
    )
}

/// An element without its content, whose addresses are changed.
fn element(tree: &Tree, node: Id, addresses: &[(&str, &str)]) -> String {
    let mut copy = tree.single(node);
    for (name, address) in addresses {
        copy.set(1, name, Some((*address).to_owned()));
    }
    copy.html(&[1], |_| None)
}

fn read_values(instance: &Instance, outer: &Instance, parts: &mut Parts) -> Result<(), Error> {
    let Instance { source, tree, root, origin, host, .. } = instance;
    let mut declare = |tree: &Tree, node: Id| {
        let Some(written) = tree.get(node, "data-composition-variables") else { return Values::new() };
        parts.declarations.push((written.to_owned(), tree.line(node)));
        // What is wrong with them is told with all declarations.
        values::defaults(written).unwrap_or_default()
    };
    let html = source.tree.find("html").filter(|_| *origin != Origin::Template);
    let mut values = html.map_or_else(Values::new, |html| declare(&source.tree, html));
    let declared = root.map_or_else(Values::new, |root| declare(tree, root));
    let given = outer.tree.get(host.node, "data-variable-values").unwrap_or("{}");
    let given: Values = serde_json::from_str(given).map_err(|error| {
        let message = format!("data-variable-values is not a JSON object: {error}");
        outer.error(Code::VariablesInvalid, host.node, message)
    })?;
    values.extend(declared.clone());
    values.extend(given.clone());
    parts.values = values::Instance { values, declared, given };
    Ok(())
}

/// Gives elements new ids, and keeps those they were written with.
fn rename(tree: &mut Tree, content: Id, renamed: &Renamed) {
    let svg: Vec<_> = tree.elements(content).filter(|node| tree.is_svg(*node)).collect();
    for node in svg {
        let id = tree.get(node, "id").unwrap_or_default().to_owned();
        if let Some(new) = renamed.get(&id) {
            tree.set(node, "id", Some(new.clone()));
            tree.set(node, "data-hf-authored-id", Some(id));
        }
    }
}

/// Attributes that hold an address.
const ADDRESSES: [&str; 5] = ["src", "href", "poster", "data", "srcset"];

fn rebase_addresses(tree: &mut Tree, content: Id, rebase: &dyn Fn(&str) -> Option<String>) {
    let candidate = |candidate: &str| {
        let candidate = candidate.trim();
        let (address, size) = candidate.split_once(char::is_whitespace).unwrap_or((candidate, ""));
        let address = rebase(address).unwrap_or_else(|| address.to_owned());
        format!("{address} {size}").trim().to_owned()
    };
    let elements: Vec<_> = tree.elements(content).collect();
    for node in elements {
        for name in ADDRESSES {
            let Some(written) = tree.get(node, name) else { continue };
            let rebased = match name {
                "srcset" => Some(written.split(',').map(candidate).collect::<Vec<_>>().join(", ")),
                _ => rebase(written),
            };
            if rebased.is_some() {
                tree.set(node, name, rebased);
            }
        }
        let grading = tree.get(node, "data-color-grading").and_then(|grading| lut::renamed(grading, rebase));
        if grading.is_some() {
            tree.set(node, "data-color-grading", grading);
        }
        for name in tree.with(node, "url(") {
            let value = tree.get(node, &name).map(|value| style_sheet(value, None, rebase));
            tree.set(node, &name, value);
        }
    }
}

/// Says that a composition registers no timeline.
const NO_TIMELINE: &str = "data-no-timeline";
/// Attributes that say when and as what a composition plays, which is the host's to say.
const OF_THE_HOST: [&str; 10] = [
    "data-composition-id",
    "data-composition-file",
    "data-start",
    "data-duration",
    "data-end",
    "data-track-index",
    "data-track",
    "data-composition-src",
    "data-hf-authored-duration",
    "data-hf-authored-end",
];

fn prepare_root(tree: &mut Tree, root: Id, mounted: &str, declares: bool) {
    let style = tree.get(root, "style").unwrap_or_default().trim().to_owned();
    let length = |name: &str| {
        let pixels = tree.get(root, name).filter(|pixels| !pixels.is_empty());
        pixels.map_or_else(|| "100%".to_owned(), |pixels| format!("{pixels}px"))
    };
    let size = format!("width:{};height:{}", length("data-width"), length("data-height"));
    tree.set(root, "style", Some(if style.is_empty() { size } else { format!("{style};{size}") }));
    // The runtime looks for a composition's place and duration at its host.
    if let Some(id) = tree.get(root, "id").map(|id| id.trim().to_owned()).filter(|id| !id.is_empty()) {
        tree.set(root, "id", None);
        tree.set(root, "data-hf-authored-id", Some(id));
    }
    tree.set(root, "data-hf-inner-root", Some("true".to_owned()));
    if declares {
        tree.set(root, VARIABLES_OF, Some(mounted.to_owned()));
    }
}

/// Says of an instance, and of compositions that are written out in it, that they have no timeline.
fn expect_no_timeline(outer: &mut Tree, instance: &mut Instance) {
    let Instance { tree, root, mounts, host, .. } = instance;
    let written = tree.elements(ROOT).filter(|node| find::is_composition(tree, *node));
    let written: Vec<_> = written.filter(|node| Some(*node) != *root && !mounts.contains_key(node)).collect();
    written.into_iter().for_each(|node| tree.set(node, NO_TIMELINE, Some(String::new())));
    outer.set(host.node, NO_TIMELINE, Some(String::new()));
}

/// What the host takes over from the composition's root.
fn prepare_host(outer: &mut Tree, instance: &mut Instance, mounted: &str) {
    let Instance { tree, root, id, name, host, .. } = instance;
    let in_entry = host.instance == 0;
    let host = host.node;
    let is_empty = |tree: &Tree, name| tree.get(host, name).is_none_or(str::is_empty);
    let mut flag = |name, set| {
        if set {
            outer.set(host, name, Some(String::new()));
        }
    };
    let root_has = |name| root.is_some_and(|root| tree.has(root, name));
    flag("data-timeline-locked", root_has("data-timeline-locked"));
    if let Some(root) = *root {
        for name in ["data-width", "data-height"] {
            let inner = tree.get(root, name).filter(|_| is_empty(outer, name)).map(str::to_owned);
            if inner.is_some() {
                outer.set(host, name, inner);
            }
        }
        OF_THE_HOST.iter().for_each(|name| tree.set(root, name, None));
    }
    if id.as_deref() != Some(mounted) {
        outer.set(host, "data-hf-original-composition-id", id.clone());
    }
    outer.set(host, "data-composition-id", Some(mounted.to_owned()));
    outer.set(host, "data-composition-file", Some(name.clone()));
    outer.set(host, "data-composition-src", None);
    if in_entry && !is_empty(outer, "data-width") && !is_empty(outer, "data-height") {
        let written = outer.get(host, "style").unwrap_or_default().to_owned();
        let length = |name: &str| {
            let pixels = outer.get(host, &format!("data-{name}"))?;
            (!written.contains(name)).then(|| format!("{name}:{pixels}px"))
        };
        let lengths = ["width", "height"].into_iter().filter_map(length);
        let style: Vec<_> =
            Some(written.clone()).filter(|style| !style.is_empty()).into_iter().chain(lengths).collect();
        outer.set(host, "style", Some(style.join(";")));
    }
}
