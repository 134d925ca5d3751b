//! What is known of the API server's objects: what its watches have told, and what we have written since.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::{
    object::{Kind, ObjectKey, metadata},
    reconcile::{
        conditions,
        queue::{QueueIndex, QueueView},
    },
};
use crds::{condition::SUCCEEDED, manifest::Object};

/// Objects by key, each kept once, and the queues made from them.
///
/// Our own writes are taken in as soon as the API server has answered. A watch may tell of older versions afterwards: these
/// never replace a newer one.
#[derive(Default)]
pub(super) struct Cache {
    objects: HashMap<ObjectKey, Known>,
    index: QueueIndex,
}

struct Known {
    object: Object,
    /// We have written it since the last list began: a list may not have it yet.
    written: bool,
}

/// Objects of which a watch tells.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Scope {
    /// Their kind.
    pub(super) kind: Kind,
    /// Their namespace; `None` is all.
    pub(super) namespace: Option<String>,
}

impl Scope {
    /// Both kinds in these namespaces, or everywhere where none is named.
    pub(super) fn all(namespaces: &[String]) -> impl Iterator<Item = Self> {
        let everywhere = namespaces.is_empty().then_some(None);
        let namespaces = everywhere.into_iter().chain(namespaces.iter().cloned().map(Some));
        namespaces.flat_map(|namespace| Kind::ALL.map(|kind| Self { kind, namespace: namespace.clone() }))
    }

    fn holds(&self, key: &ObjectKey) -> bool {
        key.kind == self.kind && self.namespace.as_ref().is_none_or(|own| *own == key.namespace)
    }
}

impl Cache {
    /// An object, unless it is gone.
    pub(super) fn get(&self, key: &ObjectKey) -> Option<&Object> {
        self.objects.get(key).map(|known| &known.object).filter(|object| !is_gone(object))
    }

    /// All keys.
    pub(super) fn keys(&self) -> impl Iterator<Item = &ObjectKey> {
        self.objects.keys()
    }

    /// The queues.
    pub(super) fn index(&self) -> &QueueIndex {
        &self.index
    }

    /// The queue of a stack.
    pub(super) fn queue(&self, stack: &ObjectKey) -> QueueView {
        self.index.view(stack)
    }

    /// A watch tells of an object. Whom that concerns: nobody where it is no news.
    pub(super) fn told(&mut self, object: Object) -> Vec<ObjectKey> {
        let key = ObjectKey::object(&object);
        match self.objects.get(&key) {
            Some(known) if !is_newer(&object, &known.object) => Vec::new(),
            _ => self.put(key, object, false),
        }
    }

    /// A watch tells that an object is gone.
    pub(super) fn gone(&mut self, key: &ObjectKey, uid: Option<&str>) -> Vec<ObjectKey> {
        let same = self.objects.get(key).is_some_and(|known| metadata(&known.object).uid.as_deref() == uid);
        if same { self.remove(key) } else { Vec::new() }
    }

    /// A list of these objects begins: whatever was written until now is in it.
    pub(super) fn list_begins(&mut self, scope: &Scope) {
        self.objects.iter_mut().filter(|(key, _)| scope.holds(key)).for_each(|(_, known)| known.written = false);
    }

    /// A list has ended: these are all objects. What was written meanwhile may be newer; nothing else is, not even where its
    /// version is higher, for the API server may have been restored from a backup.
    pub(super) fn listed(
        &mut self,
        scope: &Scope,
        objects: Vec<Object>,
        unreadable: &HashSet<ObjectKey>,
    ) -> Vec<ObjectKey> {
        let present: HashSet<_> = objects.iter().map(ObjectKey::object).collect();
        let absent = |key: &&ObjectKey| scope.holds(key) && !present.contains(*key) && !unreadable.contains(*key);
        let absent: Vec<_> = self.objects.keys().filter(absent).cloned().collect();
        let mut concerned: Vec<_> = absent.iter().flat_map(|key| self.remove(key)).collect();
        for object in objects {
            let key = ObjectKey::object(&object);
            let stale = self.objects.get(&key).is_some_and(|known| {
                let same = metadata(&known.object).resource_version == metadata(&object).resource_version;
                same || known.written && !is_newer(&object, &known.object)
            });
            if !stale {
                concerned.extend(self.put(key, object, false));
            }
        }
        concerned
    }

    /// We have written an object, and this is what has become of it. Whom that concerns besides whoever wrote it.
    pub(super) fn written(&mut self, object: Object) -> Vec<ObjectKey> {
        let key = ObjectKey::object(&object);
        let same = |known: &Known| metadata(&known.object).uid == metadata(&object).uid;
        // What is gone, or was made anew since, is not brought back.
        if !self.objects.get(&key).is_some_and(|known| same(known) && is_newer(&object, &known.object)) {
            return Vec::new();
        }
        let gone = is_gone(&object);
        let concerned = self.put(key, object, true);
        if gone { concerned } else { Vec::new() }
    }

    /// How many Renders are in each state, by the reason of their condition `Succeeded`.
    pub(super) fn renders_by_state(&self) -> BTreeMap<String, i64> {
        let mut states = BTreeMap::new();
        for known in self.objects.values() {
            let Object::Render(render) = &known.object else { continue };
            let conditions = render.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
            let state = conditions::find(conditions, SUCCEEDED).map_or("New", |succeeded| &succeeded.reason);
            *states.entry(state.to_owned()).or_default() += 1;
        }
        states
    }

    /// Keeps an object; it and whom it concerns.
    fn put(&mut self, key: ObjectKey, object: Object, written: bool) -> Vec<ObjectKey> {
        let mut concerned = match (&object, is_gone(&object)) {
            (_, true) => self.unlink(&key),
            (Object::Render(render), false) => Vec::from_iter(self.index.put(render, false)),
            (Object::Stack(stack), false) => self.index.put_stack(stack),
        };
        self.objects.insert(key.clone(), Known { object, written });
        concerned.push(key);
        concerned
    }

    fn remove(&mut self, key: &ObjectKey) -> Vec<ObjectKey> {
        let Some(known) = self.objects.remove(key) else { return Vec::new() };
        if is_gone(&known.object) {
            // Everybody was told when it went.
            return Vec::new();
        }
        let mut concerned = self.unlink(key);
        concerned.push(key.clone());
        concerned
    }

    fn unlink(&mut self, key: &ObjectKey) -> Vec<ObjectKey> {
        match key.kind {
            Kind::Render => Vec::from_iter(self.index.remove(key)),
            Kind::Stack => self.index.remove_stack(key),
        }
    }
}

/// An object that is being deleted and has no finalizer left is gone, although no watch has said so yet.
fn is_gone(object: &Object) -> bool {
    let metadata = metadata(object);
    metadata.deletion_timestamp.is_some() && metadata.finalizers.as_ref().is_none_or(Vec::is_empty)
}

/// Whether the first of two versions of one name is newer. Versions of one API server are numbers that grow; where they are
/// not, or the object is another, whatever comes later is newer.
fn is_newer(one: &Object, other: &Object) -> bool {
    let number =
        |object: &Object| metadata(object).resource_version.as_ref().and_then(|version| version.parse::<u64>().ok());
    let same = metadata(one).uid == metadata(other).uid;
    match (number(one), number(other)) {
        (Some(one), Some(other)) if same => one > other,
        _ => metadata(one).resource_version != metadata(other).resource_version,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crds::{HyperframesStack, HyperframesStackSpec, Render, RenderSpec};
    use jiff::Timestamp;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;

    fn render(name: &str, uid: &str, version: u64) -> Object {
        let mut render = Render::new(name, RenderSpec::default());
        render.metadata.namespace = Some("n".to_owned());
        render.metadata.uid = Some(uid.to_owned());
        render.metadata.resource_version = Some(version.to_string());
        render.metadata.finalizers = Some(vec!["hyperframes.io/render".to_owned()]);
        Object::Render(Arc::new(render))
    }

    fn stack(name: &str, version: u64) -> Object {
        let mut stack = HyperframesStack::new(name, HyperframesStackSpec::default());
        stack.metadata.namespace = Some("n".to_owned());
        stack.metadata.uid = Some(format!("uid of {name}"));
        stack.metadata.resource_version = Some(version.to_string());
        Object::Stack(Arc::new(stack))
    }

    fn released(object: Object) -> Object {
        let Object::Render(mut render) = object else { return object };
        let metadata = &mut Arc::make_mut(&mut render).metadata;
        metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
        metadata.finalizers = None;
        Object::Render(render)
    }

    fn key(name: &str) -> ObjectKey {
        ObjectKey { kind: Kind::Render, namespace: "n".to_owned(), name: name.to_owned() }
    }

    fn version(cache: &Cache, name: &str) -> String {
        cache.get(&key(name)).map_or("-".to_owned(), |object| metadata(object).resource_version.clone().unwrap())
    }

    const ALL: Scope = Scope { kind: Kind::Render, namespace: None };

    #[test]
    fn what_we_have_written_is_read_at_once_and_told_as_no_news() {
        let mut cache = Cache::default();
        assert_eq!(cache.told(render("a", "1", 5)), [key("a")]);
        assert_eq!(cache.written(render("a", "1", 7)), []);
        assert_eq!(version(&cache, "a"), "7");
        for echo in [5, 6, 7] {
            assert_eq!(cache.told(render("a", "1", echo)), [], "{echo}");
            assert_eq!(version(&cache, "a"), "7");
        }
        assert_eq!(cache.told(render("a", "1", 8)), [key("a")]);
    }

    #[test]
    fn what_is_gone_is_not_brought_back_by_a_late_answer() {
        let mut cache = Cache::default();
        cache.told(render("a", "1", 5));
        assert_eq!(cache.gone(&key("a"), Some("1")), [key("a")]);
        assert_eq!(cache.written(render("a", "1", 7)), []);
        assert_eq!(version(&cache, "a"), "-");
        cache.told(render("a", "2", 9));
        cache.written(render("a", "1", 10));
        assert_eq!(cache.gone(&key("a"), Some("1")), [], "that was another");
        assert_eq!(version(&cache, "a"), "9");
    }

    #[test]
    fn the_last_finalizer_takes_the_object_along() {
        let mut cache = Cache::default();
        cache.told(render("a", "1", 5));
        assert_eq!(cache.written(released(render("a", "1", 7))), [key("a")]);
        assert_eq!(version(&cache, "a"), "-");
        assert_eq!(cache.told(render("a", "1", 6)), [], "nor by a late event");
        assert_eq!(version(&cache, "a"), "-");
        assert_eq!(cache.gone(&key("a"), Some("1")), [], "it was told already");
        assert_eq!(cache.told(render("a", "2", 9)), [key("a")], "another of its name");
    }

    #[test]
    fn a_list_says_everything_but_what_was_written_meanwhile() {
        let mut cache = Cache::default();
        for name in ["a", "b", "c"] {
            cache.told(render(name, name, 50));
        }
        cache.written(render("a", "a", 60));
        cache.list_begins(&ALL);
        cache.written(render("b", "b", 70));
        let mut told = cache.listed(&ALL, vec![render("a", "a", 20), render("b", "b", 50)], &HashSet::new());
        told.sort();
        assert_eq!(told, [key("a"), key("c")]);
        assert_eq!(["a", "b", "c"].map(|name| version(&cache, name)), ["20", "70", "-"], "a was restored");
        let other = Scope { kind: Kind::Render, namespace: Some("other".to_owned()) };
        assert_eq!(cache.listed(&other, Vec::new(), &HashSet::new()), []);
        assert_eq!(
            cache.listed(&ALL, Vec::new(), &HashSet::from([key("a")])),
            [key("b")],
            "a cannot be read: it is kept"
        );
    }

    #[test]
    fn renders_follow_their_stack() {
        let mut cache = Cache::default();
        cache.told(render("a", "1", 5));
        let Some(Object::Render(a)) = cache.get(&key("a")).cloned() else { unreachable!() };
        assert!(cache.index().stack_of(&a).unwrap_err().contains("create one"));
        let told = cache.told(stack("s", 6));
        assert!(told.contains(&key("a")) && told.len() == 2, "{told:?}");
        let stack = cache.index().stack_of(&a).unwrap();
        assert_eq!(cache.queue(&stack).everybody(), [key("a")]);
        assert_eq!(cache.renders_by_state(), BTreeMap::from([("New".to_owned(), 1)]));
    }
}
