//! Sub-compositions: the files and templates that a composition mounts become part of its one document, as the published
//! runtime finds them in what upstream compiles.
//!
//! First every instance is found, then named, then taken apart; at last what is left of each is written into its host,
//! the innermost first.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::{Map, Value, json};

mod assemble;
mod find;
mod fragments;
mod paths;
mod scope;
mod tree;
mod trim;
mod values;

use assemble::{Parts, Script, Style, assemble};
use find::Instance;
use tree::{ROOT, Tree};

use crate::{
    Error,
    plan::{
        html::{Change, Document, Mounted},
        project::RESERVED,
        variables::Declarations,
    },
};

/// The project around a composition.
pub(crate) struct Site<'a> {
    /// Every file.
    pub(crate) files: HashSet<&'a str>,
    /// Scripts that register timelines.
    pub(crate) registering: HashSet<&'a str>,
    /// Values for its variables.
    pub(crate) overrides: &'a Map<String, Value>,
}

/// Attributes of a host that mounting changes.
const CHANGED: [&str; 9] = [
    "data-composition-id",
    "data-composition-src",
    "data-composition-file",
    "data-hf-original-composition-id",
    "data-width",
    "data-height",
    "data-no-timeline",
    "data-timeline-locked",
    "style",
];

const SCOPE: &str = include_str!("scenes/scope.js");

/// An address in the file of a sub-composition as it counts from the composition's.
pub(crate) fn address(file: &str, address: &str, exists: impl Fn(&str) -> bool) -> String {
    paths::rebased(file, address, exists).unwrap_or_else(|| address.to_owned())
}

/// Mounts everything that `entry` names. `read` compiles a file of the project and judges it.
pub(crate) fn mount(
    entry: &Document,
    site: &Site<'_>,
    read: &mut dyn FnMut(&str) -> Result<Document, Error>,
) -> Result<Mounted, Error> {
    if !entry.mounts {
        return Ok(Mounted::default());
    }
    let mut instances = find::instances(entry, &site.files, read)?;
    if instances.len() == 1 {
        return Ok(Mounted::default());
    }
    let names = names(&instances);
    let renamed = fragments::renamed(&instances, &names);
    let mut parts = Vec::new();
    for (number, (mounted, renamed)) in names.iter().zip(&renamed).enumerate() {
        let (outer, rest) = instances.split_at_mut(number + 1);
        let instance = &mut rest[0];
        parts.push(assemble(instance, mounted, renamed, &mut outer[instance.host.instance], site)?);
    }
    let templates = instances.iter().filter_map(|instance| instance.name.strip_prefix("template#")).map(str::to_owned);
    let mut mounted = Mounted { templates: templates.collect(), ..written(&instances) };
    for (instance, parts) in instances.iter().skip(1).zip(&parts) {
        let place = |(text, line): &(String, u32)| Declarations {
            text: text.clone(),
            path: instance.source.file.clone(),
            line: *line,
        };
        mounted.declarations.extend(parts.declarations.iter().map(place));
        mounted.registers |= parts.registers;
    }
    let composition = &instances[0].tree;
    if !assemble::registers(composition, site) {
        let hosts = &instances[0].mounts;
        let compositions =
            composition.elements_and_contents(ROOT).filter(|node| find::is_composition(composition, *node));
        for (place, _) in compositions.enumerate().filter(|(_, node)| !hosts.contains_key(node)) {
            let attributes = vec![("data-no-timeline", Some(String::new()))];
            mounted.compositions.insert(place, Change { attributes, content: None });
        }
    }
    head(composition, &names, &mut parts, site.overrides, &mut mounted);
    end(composition, &parts, &mut mounted);
    Ok(mounted)
}

/// The id of every instance but the first in the whole document. One that nothing else has stays as it is; others are
/// numbered, those in the composition itself first.
fn names(instances: &[Instance]) -> Vec<String> {
    let own =
        |instance: &Instance| instance.id.as_deref().or_else(|| instance.declared()).unwrap_or_default().to_owned();
    let hosts: HashSet<_> = instances[0].mounts.keys().copied().collect();
    let tree = &instances[0].tree;
    let others = tree.elements(ROOT).filter(|node| !hosts.contains(node));
    let others = others.filter_map(|node| tree.get(node, "data-composition-id")).map(str::to_owned);
    let mut taken: HashSet<String> = others.collect();
    let mut counts: HashMap<(bool, String), usize> = HashMap::new();
    for instance in &instances[1..] {
        *counts.entry((instance.host.instance == 0, own(instance))).or_default() += 1;
    }
    let mut next: HashMap<String, usize> = HashMap::new();
    let name = |instance: &Instance| {
        let id = own(instance);
        let alone = counts.get(&(instance.host.instance == 0, id.clone())) == Some(&1) && !taken.contains(&id);
        let next = next.entry(id.clone()).or_default();
        let mut mounted = id.clone();
        while !alone && (mounted == id || taken.contains(&mounted)) {
            *next += 1;
            mounted = format!("{id}__hf{next}");
        }
        taken.insert(mounted.clone());
        mounted
    };
    instances[1..].iter().map(name).collect()
}

/// What the hosts in the composition itself become.
fn written(instances: &[Instance]) -> Mounted {
    let mut contents: Vec<String> = vec![String::new(); instances.len()];
    for (number, instance) in instances.iter().enumerate().skip(1).rev() {
        let inside = |node| instance.mounts.get(&node).map(|inner| contents[*inner].as_str());
        let nodes = match instance.root {
            Some(root) => vec![root],
            None => instance.tree.children(ROOT).to_vec(),
        };
        contents[number] = instance.tree.html(&nodes, inside);
    }
    let Instance { tree, mounts, .. } = &instances[0];
    let compositions = tree.elements_and_contents(ROOT).filter(|node| find::is_composition(tree, *node));
    // Taken for hosts and compositions as they were: a host's own attributes have changed by now.
    let changes = compositions.enumerate().filter_map(|(place, node)| {
        let content = contents[*mounts.get(&node)?].clone();
        let attributes = CHANGED.iter().map(|name| (*name, tree.get(node, name).map(str::to_owned))).collect();
        Some((place, Change { attributes, content: Some(content) }))
    });
    Mounted { compositions: changes.collect(), ..Mounted::default() }
}

fn head(tree: &Tree, names: &[String], parts: &mut [Parts], overrides: &Map<String, Value>, mounted: &mut Mounted) {
    let mut known: HashSet<String> = tree
        .elements(ROOT)
        .filter(|node| tree.is(*node, "link"))
        .filter_map(|node| tree.get(node, "href"))
        .map(str::to_owned)
        .collect();
    for (address, element) in parts.iter().flat_map(|parts| &parts.links) {
        if known.insert(address.clone()) {
            mounted.head += element;
        }
    }
    let mut sheets: Vec<String> =
        tree.elements(ROOT).filter(|node| tree.is(*node, "style")).map(|node| tree.text(node)).collect();
    for Style { media, css } in parts.iter().flat_map(|parts| &parts.styles) {
        let media =
            media.as_ref().map(|media| format!(" media=\"{}\"", media.replace('"', "&quot;"))).unwrap_or_default();
        mounted.head += &format!("<style{media}>{}</style>", one_line(css));
        sheets.push(css.clone());
    }
    let values = parts.iter_mut().map(|parts| std::mem::take(&mut parts.values));
    let values: BTreeMap<String, values::Instance> = names.iter().cloned().zip(values).collect();
    let rules = values::rules(&values, overrides, &sheets);
    if !rules.is_empty() {
        mounted.head += &format!("<style>{rules}</style>");
    }
    let by_composition: Map<String, Value> = values
        .into_iter()
        .filter(|(_, instance)| !instance.values.is_empty())
        .map(|(name, instance)| (name, Value::Object(instance.values)))
        .collect();
    let scope = format!("{RESERVED}/scenes.js");
    mounted.head += &format!("<script src=\"/{scope}\"></script>");
    mounted.files.push((scope, format!("window.__hfVariablesByComp = {};\n{SCOPE}", json!(by_composition))));
}

/// A style sheet without line breaks. One that is escaped in a string means nothing; elsewhere each is a space.
fn one_line(css: &str) -> String {
    css.replace("\\\r\n", "").replace("\\\n", "").replace(['\r', '\n'], " ")
}

fn end(tree: &Tree, parts: &[Parts], mounted: &mut Mounted) {
    let scripts = tree.elements(ROOT).filter(|node| tree.is(*node, "script"));
    let mut known: HashSet<String> = scripts.filter_map(|node| tree.get(node, "src")).map(str::to_owned).collect();
    let scripts = || parts.iter().flat_map(|parts| &parts.scripts);
    let early = scripts().filter(|script| matches!(script, Script::File { first: true, .. }));
    let late = scripts().filter(|script| !matches!(script, Script::File { first: true, .. } | Script::Element(_)));
    let last = scripts().filter(|script| matches!(script, Script::Element(_)));
    for script in early.chain(late).chain(last) {
        match script {
            Script::File { address, element, .. } => {
                if known.insert(address.clone()) {
                    mounted.end += element;
                }
            }
            Script::Element(element) => mounted.end += element,
            Script::Inline(text) => {
                let path = format!("{RESERVED}/scenes/{}.js", mounted.files.len());
                mounted.end += &format!("<script src=\"/{path}\"></script>");
                mounted.files.push((path, text.clone()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::html::{self, Way};

    /// What `index.html` becomes, with these files beside it.
    fn mounted(index: &str, files: &[(&str, &str)]) -> Mounted {
        let compile = |source: &str| {
            let way = Way { inserts: None, mounted: &Mounted::default() };
            html::compile(source, way).unwrap()
        };
        let site = Site {
            files: files.iter().map(|(path, _)| *path).collect(),
            registering: HashSet::new(),
            overrides: &Map::new(),
        };
        let read = |path: &str| files.iter().find(|(known, _)| *known == path).map(|(_, source)| compile(source));
        mount(&compile(index), &site, &mut |path| Ok(read(path).unwrap())).unwrap()
    }

    /// The content of the document's compositions, and the ids their hosts have.
    fn hosts(mounted: &Mounted) -> Vec<(&str, &str)> {
        let changes = mounted.compositions.values().filter(|change| change.content.is_some());
        let id = |Change { attributes, .. }: &'_ Change| {
            attributes.iter().position(|(name, _)| *name == "data-composition-id").unwrap()
        };
        changes
            .map(|change| {
                (change.attributes[id(change)].1.as_deref().unwrap(), change.content.as_deref().unwrap_or_default())
            })
            .collect()
    }

    const TWO: &str = "<div data-composition-id=m><p data-composition-id=a data-composition-src=s/a.html></p>\
                       <p data-composition-id=a data-composition-src=s/a.html data-variable-values='{\"v\":2}'></p></div>";

    #[test]
    fn every_instance_has_its_own_id_content_and_values() {
        let scene = "<div id=root class=c data-composition-id=a data-start=0 data-width=10>\n<b id=b>x</b></div>\n\
                     <style>#root { x: 1 }</style><script>\nwindow.__timelines.a = 1</script>";
        let found = mounted(TWO, &[("s/a.html", scene)]);
        let content = "<div class=\"c\" data-width=\"10\" style=\"width:10px;height:100%\" data-hf-authored-id=\"root\" \
                       data-hf-inner-root=\"true\">&#10;<b id=\"b\">x</b></div>";
        assert_eq!(hosts(&found), [("a__hf1", content), ("a__hf2", content)]);
        for id in ["a__hf1", "a__hf2"] {
            let rule =
                format!("<style>[data-composition-id=\"{id}\"] [data-hf-authored-id=\"root\"] {{ x: 1 }}</style>");
            assert!(found.head.contains(&rule), "{}", found.head);
        }
        let [(_, scope), (_, first), (_, second)] = &found.files[..] else { panic!("{:?}", found.files) };
        assert!(scope.starts_with("window.__hfVariablesByComp = {\"a__hf2\":{\"v\":2}};"), "{scope}");
        assert!(first.contains("\"mounted\":\"a__hf1\"") && second.contains("\"mounted\":\"a__hf2\""), "{first}");
        assert_eq!(first.lines().nth(3), Some("window.__timelines.a = 1"), "on its own line");
        assert!(found.end.ends_with("<script src=\"/__hf/scenes/2.js\"></script>") && found.registers);
    }

    #[test]
    fn templates_and_nested_files_are_mounted() {
        let index = "<div data-composition-id=m><p data-composition-id=t></p></div>\
                     <template id=t-template><div data-composition-id=t><i data-composition-src=b.html></i></div></template>";
        let found = mounted(index, &[("b.html", "<u data-composition-id=b>y</u>")]);
        let [(id, content)] = hosts(&found)[..] else { panic!("{found:?}") };
        assert_eq!((id, found.templates.contains("t-template")), ("t", true));
        assert!(content.contains("data-composition-id=\"b\"") && content.contains(">y</u></i></div>"), "{content}");
        assert!(!content.contains("data-composition-src"), "{content}");
    }

    #[test]
    fn ids_that_svg_refers_to_are_the_instances_own() {
        let scene = "<div data-composition-id=a><svg><g id=g></g><g id=free></g><rect fill='url(#g)'></rect><use href='#g'></use></svg></div>";
        let found = mounted(TWO, &[("s/a.html", scene)]);
        let [(_, first), (_, second)] = hosts(&found)[..] else { panic!("{found:?}") };
        assert!(first.contains("<g id=\"g\"></g>") && first.contains("href=\"#g\""), "{first}");
        for written in [
            "id=\"g__a__hf2\" data-hf-authored-id=\"g\"",
            "(&quot;#g__a__hf2&quot;)",
            "href=\"#g__a__hf2\"",
            "id=\"free\"",
        ] {
            assert!(second.contains(written), "{written}: {second}");
        }
    }

    #[test]
    fn a_document_that_mounts_nothing_stays_as_it_is() {
        let found = mounted("<div data-composition-id=m></div><template id=x-template><p></p></template>", &[]);
        assert!(found.compositions.is_empty() && found.head.is_empty() && found.files.is_empty());
    }
}
