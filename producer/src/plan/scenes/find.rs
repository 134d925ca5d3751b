//! Which sub-compositions a composition mounts, and what is in them.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    rc::Rc,
};

use crds::Code;

use super::{
    paths,
    tree::{Id, ROOT, Tree},
};
use crate::{
    Error,
    error::composition_at,
    plan::{html::Document, project::ENTRY},
};

/// Upstream's deepest nesting.
const DEEPEST: usize = 20;
/// A document with more instances is a mistake: they double with every level.
const MOST: usize = 1000;

/// A file of the project, as it was compiled.
pub(super) struct Source {
    pub(super) file: String,
    pub(super) tree: Tree,
    /// Templates that are called after a composition, by the composition's id.
    templates: HashMap<String, Id>,
}

impl Source {
    fn of(file: &str, document: &Document) -> Result<Self, Error> {
        let mut tree = Tree::parse(&document.text);
        let compositions: Vec<_> =
            tree.elements_and_contents(ROOT).filter(|node| is_composition(&tree, *node)).collect();
        if compositions.len() != document.compositions.len() {
            let message = "an element with data-composition-id stands where HTML allows none of its kind: move it";
            let line = document.compositions.first().copied().unwrap_or_default();
            return Err(composition_at(Code::CompositionInvalid, message, file, line));
        }
        for (node, line) in compositions.into_iter().zip(&document.compositions) {
            tree.set_line(node, *line);
        }
        let mut templates = HashMap::new();
        for node in tree.elements_and_contents(ROOT).filter(|node| tree.is(*node, "template")) {
            if let Some(id) = tree.get(node, "id").and_then(|id| id.strip_suffix("-template")) {
                templates.entry(id.to_owned()).or_insert(node);
            }
        }
        Ok(Self { file: file.to_owned(), tree, templates })
    }
}

/// An instance of a sub-composition. The first of a list is the composition itself.
pub(super) struct Instance {
    /// Where it comes from.
    pub(super) source: Rc<Source>,
    /// Its content alone, to be changed.
    pub(super) tree: Tree,
    /// The element of the content that is the composition, if one is.
    pub(super) root: Option<Id>,
    pub(super) origin: Origin,
    /// What it is mounted as: the value of `data-composition-src`, or the template's name.
    pub(super) name: String,
    /// The element it is mounted in.
    pub(super) host: Place,
    /// The host's `data-composition-id` as written.
    pub(super) id: Option<String>,
    /// What is mounted in its own elements.
    pub(super) mounts: BTreeMap<Id, usize>,
    /// Files and templates it is inside of, its own last.
    ancestry: Vec<String>,
}

/// Where in its file a content stands, which decides what else of the file is a part of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// All of the file.
    File,
    /// A template, which is what the file is for: of the file's head only the links count.
    FileTemplate,
    /// A template beside other things.
    Template,
}

/// An element of an instance.
#[derive(Clone, Copy, Default)]
pub(super) struct Place {
    pub(super) instance: usize,
    pub(super) node: Id,
}

impl Instance {
    /// An error about an element of this instance.
    pub(super) fn error(&self, code: Code, node: Id, message: impl Into<String>) -> Error {
        composition_at(code, message, &self.source.file, self.tree.line(node))
    }

    /// The id that the content calls itself.
    pub(super) fn declared(&self) -> Option<&str> {
        let first = || self.tree.elements(ROOT).find(|node| self.tree.has(*node, "data-composition-id"));
        let root = self.root.or_else(first)?;
        self.tree.get(root, "data-composition-id").map(str::trim).filter(|id| !id.is_empty())
    }
}

/// Whether an element is a composition or a host of one.
pub(super) fn is_composition(tree: &Tree, node: Id) -> bool {
    tree.has(node, "data-composition-src") || tree.has(node, "data-composition-id")
}

/// Every instance, level by level, as upstream orders them. `read` compiles a file, once.
pub(super) fn instances(
    entry: &Document,
    files: &HashSet<&str>,
    read: &mut dyn FnMut(&str) -> Result<Document, Error>,
) -> Result<Vec<Instance>, Error> {
    let entry = Rc::new(Source::of(ENTRY, entry)?);
    let composition = Instance {
        tree: entry.tree.clone(),
        source: entry.clone(),
        root: None,
        origin: Origin::File,
        name: ENTRY.to_owned(),
        host: Place::default(),
        id: None,
        mounts: BTreeMap::new(),
        ancestry: vec![ENTRY.to_owned()],
    };
    let mut search = Search { entry, files, read, sources: HashMap::new(), instances: vec![composition] };
    let mut queue = VecDeque::from([0]);
    while let Some(instance) = queue.pop_front() {
        for node in search.hosts(instance) {
            let found = search.mounted_in(Place { instance, node })?;
            let number = search.instances.len();
            if number > MOST {
                let message = format!("more than {MOST} sub-compositions are mounted: mount fewer");
                return Err(search.instances[instance].error(Code::CompositionInvalid, node, message));
            }
            search.instances[instance].mounts.insert(node, number);
            search.instances.push(found);
            queue.push_back(number);
        }
    }
    Ok(search.instances)
}

struct Search<'a> {
    entry: Rc<Source>,
    files: &'a HashSet<&'a str>,
    read: &'a mut dyn FnMut(&str) -> Result<Document, Error>,
    sources: HashMap<String, Rc<Source>>,
    instances: Vec<Instance>,
}

impl Search<'_> {
    /// The elements of an instance that something is to be mounted in. What they hold is replaced by it.
    fn hosts(&self, instance: usize) -> Vec<Id> {
        let Instance { tree, root, source, .. } = &self.instances[instance];
        let waits = |node: Id| {
            let id = tree.get(node, "data-composition-id").map(str::trim).unwrap_or_default();
            *root != Some(node) && !tree.has_elements(node) && self.template(source, id).is_some()
        };
        let mut hosts = Vec::new();
        let mut known = HashSet::new();
        for node in tree.elements(root.unwrap_or(ROOT)) {
            let is_host = tree.has(node, "data-composition-src") || waits(node);
            if is_host && (known.is_empty() || !tree.ancestors(node).any(|outer| known.contains(&outer))) {
                known.insert(node);
                hosts.push(node);
            }
        }
        hosts
    }

    /// A composition's template, of the same file or of the composition's own.
    fn template<'a>(&'a self, source: &'a Rc<Source>, id: &str) -> Option<(&'a Rc<Source>, Id)> {
        let of = |source: &'a Rc<Source>| source.templates.get(id).map(|template| (source, *template));
        of(source).or_else(|| of(&self.entry))
    }

    fn mounted_in(&mut self, host: Place) -> Result<Instance, Error> {
        let outer = &self.instances[host.instance];
        let id = outer.tree.get(host.node, "data-composition-id").map(|id| id.trim().to_owned());
        let id = id.filter(|id| !id.is_empty());
        let name = outer.tree.get(host.node, "data-composition-src").map(|name| name.trim().to_owned());
        let (source, content, origin, name, key) = match name {
            Some(name) => {
                let file = self.file(host, &name)?;
                self.not_inside(host, &file)?;
                let source = self.source(&file)?;
                let (content, origin) = content(&source, id.as_deref());
                (source, content, origin, name, file)
            }
            None => {
                let id = id.as_deref().unwrap_or_default();
                let found = self.template(&outer.source, id);
                let (source, template) = found.unwrap_or_else(|| unreachable!("hosts() saw the template {id}"));
                let name = format!("template#{id}-template");
                let key = format!("{}#{id}", source.file);
                self.not_inside(host, &key)?;
                (source.clone(), source.tree.contents(template).unwrap_or(template), Origin::Template, name, key)
            }
        };
        let tree = source.tree.copy_of(content);
        if tree.is_blank(ROOT) {
            return Err(composition_at(Code::CompositionInvalid, format!("{name} is empty"), &source.file, 0));
        }
        // A host of something else may have the same id, and is not what was mounted.
        let is_root = |node: &Id| match (tree.get(*node, "data-composition-id"), &id) {
            _ if tree.has(*node, "data-composition-src") => false,
            (found, None) => found.is_some(),
            (found, Some(id)) => found == Some(id),
        };
        let root = tree.elements(ROOT).find(is_root);
        let ancestry = [self.instances[host.instance].ancestry.as_slice(), &[key]].concat();
        let instance = Instance { source, tree, root, origin, name, host, id, mounts: BTreeMap::new(), ancestry };
        if instance.declared().is_none() {
            let message = format!("{} has no element with data-composition-id", instance.name);
            return Err(composition_at(Code::CompositionInvalid, message, &instance.source.file, 0));
        }
        Ok(instance)
    }

    /// The file of the project that a host names.
    fn file(&self, host: Place, name: &str) -> Result<String, Error> {
        let outer = &self.instances[host.instance];
        let error = |code, message| outer.error(code, host.node, message);
        if name.is_empty() {
            return Err(error(Code::CompositionInvalid, "data-composition-src is empty: name a file".to_owned()));
        }
        if name.starts_with("//") || name.contains("://") {
            let message = format!("the sub-composition {name} is on the network: copy it into the project");
            return Err(error(Code::RemoteAssetUnsupported, message));
        }
        let candidates = paths::candidates(&outer.source.file, name);
        candidates.into_iter().find(|file| self.files.contains(file.as_str())).ok_or_else(|| {
            let message = format!("the sub-composition {name:?} is not in the project: put it there");
            error(Code::AssetMissing, message)
        })
    }

    /// Nothing is mounted inside itself, or too deep.
    fn not_inside(&self, host: Place, key: &str) -> Result<(), Error> {
        let outer = &self.instances[host.instance];
        let error = |message| Err(outer.error(Code::CompositionInvalid, host.node, message));
        if outer.ancestry.iter().any(|known| known == key) {
            let around: Vec<_> = outer.ancestry.iter().skip_while(|known| *known != key).map(String::as_str).collect();
            return error(format!("{key} is mounted inside itself: {} → {key}", around.join(" → ")));
        }
        if outer.ancestry.len() > DEEPEST {
            return error(format!("sub-compositions are nested more than {DEEPEST} deep"));
        }
        Ok(())
    }

    fn source(&mut self, file: &str) -> Result<Rc<Source>, Error> {
        if let Some(source) = self.sources.get(file) {
            return Ok(source.clone());
        }
        let source = Rc::new(Source::of(file, &(self.read)(file)?)?);
        self.sources.insert(file.to_owned(), source.clone());
        Ok(source)
    }
}

/// What of a file is mounted: its template for this composition, else its first template, else its body.
fn content(source: &Source, id: Option<&str>) -> (Id, Origin) {
    let Source { tree, templates, .. } = source;
    let named = id.and_then(|id| templates.get(id)).copied();
    match named.or_else(|| tree.find("template")).and_then(|template| tree.contents(template)) {
        Some(contents) => (contents, Origin::FileTemplate),
        None => (tree.find("body").unwrap_or(ROOT), Origin::File),
    }
}
