//! Ids that SVG refers to, `url(#x)` and `href="#x"`: what such a reference finds is the first in the whole document, so
//! that an instance whose id is taken gets another.

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashSet},
};

use super::{
    find::Instance,
    scope::style_sheet,
    tree::{ROOT, Tree},
};

/// New ids by the old ones.
pub(super) type Renamed = BTreeMap<String, String>;

/// What every instance but the first renames; `names` are their own.
pub(super) fn renamed(instances: &[Instance], names: &[String]) -> Vec<Renamed> {
    let mut taken: HashSet<String> = HashSet::new();
    let ids = |tree: &Tree| tree.elements(ROOT).filter_map(|node| tree.get(node, "id")).map(str::to_owned).collect();
    let mut all = Vec::new();
    for (number, instance) in instances.iter().enumerate() {
        let tree = &instance.tree;
        let own: Vec<String> = ids(tree);
        if number > 0 {
            let collides =
                |node: &usize| tree.is_svg(*node) && tree.get(*node, "id").is_some_and(|id| taken.contains(id));
            let colliding: Vec<_> =
                tree.elements(ROOT).filter(collides).filter_map(|node| tree.get(node, "id")).collect();
            let referred = if colliding.is_empty() { HashSet::new() } else { referred(&instance.source.tree) };
            let new = |id: &str| (id.to_owned(), format!("{id}__{}", names[number - 1]));
            all.push(colliding.into_iter().filter(|id| referred.contains(*id)).map(new).collect());
        }
        taken.extend(own);
    }
    all
}

/// The ids that a document refers to.
fn referred(tree: &Tree) -> HashSet<String> {
    let found = RefCell::new(HashSet::new());
    let note = |address: &str| {
        found.borrow_mut().extend(address.strip_prefix('#').map(str::to_owned));
        None
    };
    for node in tree.elements_and_contents(ROOT) {
        if tree.is(node, "style") {
            style_sheet(&tree.text(node), None, &note);
        }
        if let Some(address) = tree.get(node, "href") {
            note(address);
        }
        tree.values(node)
            .filter(|value| value.contains("url("))
            .for_each(|value| drop(style_sheet(value, None, &note)));
    }
    found.into_inner()
}
