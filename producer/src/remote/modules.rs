//! ES modules as package servers give them out: what they import by the name of a package is named by address.

use std::{
    collections::BTreeSet,
    sync::{Arc, PoisonError},
};

use crds::{Code, Failure};
use futures::future::join_all;
use serde_json::{Map, Value};
use url::Url;

use super::{
    Fetcher,
    addresses::{Entry, Wiring, is_name},
    packages::{Package, Prefer},
};

mod common;
mod scan;

use scan::{Common, Import};
pub(super) use scan::{Scan, scan};

/// The cases of `exports` and `imports` that a browser's module is in, the best first (Node.js, conditional exports).
const CASES: [&str; 5] = ["browser", "module", "import", "default", "require"];
/// Where `package.json` says which versions of other packages it needs.
const NEEDS: [&str; 3] = ["dependencies", "peerDependencies", "optionalDependencies"];

/// What a name in a module means.
#[derive(Debug, PartialEq, Eq)]
enum Named {
    /// A file of the same package.
    Here(String),
    /// What another package, or this one, exports.
    Package { name: String, export: String },
    /// What the browser finds by itself.
    Plain,
}

/// A file of a package.
type Place = (Arc<Package>, String);

/// A module that names others.
#[derive(Clone, Copy)]
pub(super) struct Importer<'a> {
    pub(super) package: &'a Arc<Package>,
    pub(super) path: &'a str,
    pub(super) wiring: &'a Wiring,
}

impl Fetcher {
    /// What is under the address of a module: its text, or where that is. A browser takes a module under two addresses for two
    /// modules, and a redirect changes nothing about that: so every file has one address, which what is under others exports.
    pub(super) async fn module(&self, url: &Url, module: Importer<'_>) -> Result<String, Failure> {
        let Importer { package, path, wiring } = module;
        let Some(own) = package.address(path, wiring).filter(|own| own != url) else { return self.wired(module).await };
        self.complete(module).await?;
        let default = package.scan(path).has_default.then(|| format!("export {{ default }} from \"{own}\";\n"));
        Ok(format!("export * from \"{own}\";\n{}", default.unwrap_or_default()))
    }

    /// Looks whether all is there that a module imports, and that this imports: else the server that was asked may have it.
    async fn complete(&self, module: Importer<'_>) -> Result<(), Failure> {
        let mut seen = BTreeSet::new();
        let mut open = vec![(Arc::clone(module.package), module.path.to_owned())];
        while let Some((package, path)) = open.pop() {
            let key = (package.name.clone(), package.version.clone(), path.clone());
            if is_code(&path) && seen.insert(key) {
                let module = Importer { package: &package, path: &path, ..module };
                open.extend(self.imported(module, &package.scan(&path).imports).await?.into_iter().flatten());
            }
        }
        Ok(())
    }

    /// A module that names others by their addresses.
    async fn wired(&self, module: Importer<'_>) -> Result<String, Failure> {
        let Importer { package, path, wiring } = module;
        let scan = package.scan(path);
        let imported = self.imported(module, &scan.imports).await?;
        let named = scan.imports.iter().zip(imported).filter_map(|(import, place)| {
            let (package, path) = place?;
            Some((import.place.clone(), package.address(&path, wiring)?.to_string()))
        });
        let modes = scan.modes.iter().map(|place| (place.clone(), "\"production\"".to_owned()));
        let mut changes: Vec<_> = named.chain(modes).collect();
        changes.sort_by_key(|(place, _)| place.start);
        let mut text = package.text(path);
        for (place, new) in changes.into_iter().rev() {
            text.replace_range(place, &new);
        }
        Ok(text)
    }

    /// What a module imports, where the browser does not find it by itself.
    async fn imported(&self, module: Importer<'_>, imports: &[Import]) -> Result<Vec<Option<Place>>, Failure> {
        let Importer { package, path, .. } = module;
        let places: Vec<_> = imports.iter().map(|import| self.place(module, &import.name)).collect();
        let places = join_all(places).await.into_iter().zip(imports).map(|(place, import)| match place {
            // It may never be asked for; if it is, the browser says so.
            Err(_) if import.lazy => Ok(None),
            place => place.map_err(|why| {
                let Package { name, version, .. } = &**package;
                let message = format!("{path} of {name} {version} imports {:?}: {}", import.name, why.message);
                Failure::new(why.code, message)
            }),
        });
        places.collect()
    }

    async fn place(&self, module: Importer<'_>, specifier: &str) -> Result<Option<Place>, Failure> {
        let Importer { package, path, wiring } = module;
        let missing = |message: String| Failure::new(Code::AssetMissing, message);
        let (name, export) = match package.named(path, specifier) {
            Named::Here(path) if package.file(&path).is_some() => return Ok(Some((Arc::clone(package), path))),
            Named::Here(path) => return Err(missing(format!("the package has no {path}"))),
            Named::Package { name, .. } if [name.as_str(), "*"].iter().any(|name| wiring.external.contains(*name)) => {
                return Ok(None);
            }
            Named::Package { name, export } => (name, export),
            Named::Plain => return Ok(None),
        };
        let package = if name == package.name {
            Arc::clone(package)
        } else {
            let needed = package.need(&name, wiring);
            let (name, version) =
                needed.ok_or_else(|| missing(format!("{} depends on no package of that name", package.name)))?;
            self.packages.get(&self.downloader, &name, &version, Prefer::Newest).await?
        };
        let path = package.module(&Entry::Export(export));
        let path =
            path.ok_or_else(|| missing(format!("{} {} has no ES module for it", package.name, package.version)))?;
        Ok(Some((package, path)))
    }
}

impl Package {
    /// The file that is meant by a module's address.
    pub(super) fn module(&self, entry: &Entry) -> Option<String> {
        let manifest = self.manifest();
        let exported = |path: &str| {
            let key = if path.is_empty() { ".".to_owned() } else { format!("./{path}") };
            manifest.get("exports").map(|exports| targets(exports, &key)).unwrap_or_default()
        };
        let paths = match entry {
            Entry::Export(path) if path.is_empty() => {
                let fields = ["module", "main"].iter().filter_map(|field| manifest.get(*field)?.as_str());
                let fields = fields.chain(["index.js"]).map(str::to_owned);
                exported(path).into_iter().chain(fields).collect()
            }
            Entry::Export(path) => [exported(path), vec![path.clone()]].concat(),
            Entry::File(path) => [vec![path.clone()], exported(path)].concat(),
        };
        let files: Vec<_> = paths.iter().filter_map(|path| self.like(path.trim_start_matches("./"))).collect();
        let module = files.iter().find(|path| self.as_common(path).is_none());
        module.or(files.first()).cloned()
    }

    /// What is in a file that is a CommonJS module, or a script that may be one.
    fn as_common(&self, path: &str) -> Option<(String, Common)> {
        let text = self.written(path);
        let may_be = is_code(path) && ["exports", "require("].iter().any(|word| text.contains(word));
        let Scan { is_module, common, .. } = may_be.then(|| scan(&text))?;
        (!is_module).then_some((text, common))
    }

    /// The text of a file, as a browser's module.
    pub(super) fn text(&self, path: &str) -> String {
        let Some((text, common)) = self.as_common(path) else { return self.written(path) };
        common::as_module(&text, &common.requires, &self.common_names(path, &common))
    }

    /// The names of what a CommonJS module exports, with those of other files of the package that it exports again.
    fn common_names(&self, path: &str, common: &Common) -> BTreeSet<String> {
        let mut names = common.names.clone();
        let mut seen = BTreeSet::from([path.to_owned()]);
        let mut open = vec![(path.to_owned(), common.again.clone())];
        while let Some((path, again)) = open.pop() {
            for specifier in again {
                let Named::Here(file) = self.named(&path, &specifier) else { continue };
                if seen.insert(file.clone())
                    && let Some((_, Common { names: more, again, .. })) = self.as_common(&file)
                {
                    names.extend(more);
                    open.push((file, again));
                }
            }
        }
        names
    }

    /// The only address of a file for modules.
    fn address(&self, path: &str, wiring: &Wiring) -> Option<Url> {
        wiring.address((&self.name, &self.version), path, !self.is_alone(path))
    }

    /// Whether a module, and whatever it imports, works as it is.
    fn is_alone(&self, root: &str) -> bool {
        let mut known = self.alone.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.get(root) {
            return *known;
        }
        let mut seen = BTreeSet::new();
        let mut open = vec![root.to_owned()];
        while let Some(path) = open.pop() {
            let named = match known.get(&path) {
                Some(true) => continue,
                Some(false) => None,
                None if !seen.insert(path.clone()) => continue,
                None => self.named_as_they_are(&path),
            };
            match named {
                Some(named) => open.extend(named),
                None => {
                    known.extend([root.to_owned(), path].map(|path| (path, false)));
                    return false;
                }
            }
        }
        known.extend(seen.into_iter().map(|path| (path, true)));
        true
    }

    /// The files that a module imports, if a browser finds them by the names that they have in it.
    fn named_as_they_are(&self, path: &str) -> Option<Vec<String>> {
        if !is_code(path) {
            return Some(Vec::new());
        }
        if self.as_common(path).is_some() {
            return None;
        }
        let scan = self.scan(path);
        let file = |import: &Import| match self.named(path, &import.name) {
            Named::Here(file) => Some((joined(path, &import.name).as_ref() == Some(&file)).then_some(file)),
            Named::Plain => None,
            Named::Package { .. } => Some(None),
        };
        scan.imports.iter().filter_map(file).collect::<Option<_>>().filter(|_| scan.modes.is_empty())
    }

    /// What a specifier means in a file.
    fn named(&self, path: &str, specifier: &str) -> Named {
        if let Some(file) = joined(path, specifier) {
            return Named::Here(self.like(&file).unwrap_or(file));
        }
        if specifier.starts_with('#') {
            let manifest = self.manifest();
            let found = manifest.get("imports").map(|imports| targets(imports, specifier)).unwrap_or_default();
            let named = found.iter().find_map(|target| match target.strip_prefix("./") {
                Some(file) => self.like(file).map(Named::Here),
                None => package_of(target),
            });
            let nowhere = || Named::Package { name: specifier.to_owned(), export: String::new() };
            return named.unwrap_or_else(nowhere);
        }
        package_of(specifier.strip_prefix("node:").unwrap_or(specifier)).unwrap_or(Named::Plain)
    }

    /// Name and version of another package that this one needs.
    fn need(&self, name: &str, wiring: &Wiring) -> Option<(String, String)> {
        if let Some(version) = wiring.versions.get(name) {
            return Some((name.to_owned(), version.clone()));
        }
        let manifest = self.manifest();
        let version = NEEDS.iter().find_map(|needs| manifest.get(*needs)?.get(name)?.as_str())?;
        let alias = version.strip_prefix("npm:").and_then(|alias| {
            let at = alias.rfind('@').filter(|at| *at > 0);
            let (name, version) = at.map_or((alias, ""), |at| (&alias[..at], &alias[at + 1..]));
            is_name(name).then(|| (name.to_owned(), version.to_owned()))
        });
        Some(alias.unwrap_or_else(|| (name.to_owned(), version.to_owned())))
    }
}

/// The path in the package that a relative specifier means.
fn joined(path: &str, specifier: &str) -> Option<String> {
    let is_relative = [".", ".."].contains(&specifier) || specifier.starts_with("./") || specifier.starts_with("../");
    let mut parts: Vec<&str> = path.split('/').collect();
    parts.pop();
    for part in specifier.split(['?', '#']).next().filter(|_| is_relative)?.split('/') {
        match part {
            "." | "" => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// The package that a bare specifier names, and what of it.
fn package_of(specifier: &str) -> Option<Named> {
    let scope = if specifier.starts_with('@') { specifier.find('/')? + 1 } else { 0 };
    let end = specifier[scope..].find('/').map_or(specifier.len(), |end| scope + end);
    let (name, export) = (&specifier[..end], specifier[end..].trim_matches('/'));
    is_name(name).then(|| Named::Package { name: name.to_owned(), export: export.to_owned() })
}

/// The paths that `exports` or `imports` have for a key, the best first (Node.js, subpath patterns).
fn targets(map: &Value, key: &str) -> Vec<String> {
    let by_key = map.as_object().filter(|map| map.keys().any(|key| key.starts_with(['.', '#'])));
    let (target, rest) = match by_key {
        Some(map) => match map.get(key) {
            Some(target) => (target, ""),
            None => match pattern(map, key) {
                Some(found) => found,
                None => return Vec::new(),
            },
        },
        None if key == "." => (map, ""),
        None => return Vec::new(),
    };
    let mut found = Vec::new();
    collect(target, &mut found);
    let whole = |path: &str| if path.ends_with('/') { format!("{path}{rest}") } else { path.replace('*', rest) };
    found.into_iter().map(whole).collect()
}

/// What the longest pattern that fits a key leads to, and what its star stands for.
fn pattern<'a>(map: &'a Map<String, Value>, key: &'a str) -> Option<(&'a Value, &'a str)> {
    let fitting = map.iter().filter_map(|(pattern, target)| {
        let (start, end) = pattern.split_once('*').or_else(|| pattern.ends_with('/').then_some((pattern, "")))?;
        Some((start.len(), target, key.strip_prefix(start)?.strip_suffix(end)?))
    });
    fitting.max_by_key(|(length, ..)| *length).map(|(_, target, rest)| (target, rest))
}

/// The paths in a target.
fn collect<'a>(target: &'a Value, found: &mut Vec<&'a str>) {
    match target {
        Value::String(path) => found.push(path),
        Value::Array(all) => all.iter().for_each(|target| collect(target, found)),
        Value::Object(cases) => {
            CASES.iter().filter_map(|case| cases.get(*case)).for_each(|target| collect(target, found));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Whether a file is JavaScript, by its name.
pub(super) fn is_code(path: &str) -> bool {
    [".js", ".mjs", ".cjs"].iter().any(|ending| path.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use std::{path::Path, sync::Mutex};

    use crds::Networks;

    use super::{
        super::{
            addresses::{File, Wanted},
            download::Downloader,
            packages::{Packages, tests},
        },
        *,
    };

    /// Path and content.
    type Files<'a> = &'a [(&'a str, &'a str)];

    /// Gives out packages, by name, version and files, and what is under addresses of theirs.
    struct Server {
        fetcher: Fetcher,
        _cache: tempfile::TempDir,
    }

    impl Server {
        fn new(packages: &[(&str, &str, Files<'_>)]) -> Self {
            let cache = tempfile::tempdir().unwrap();
            for (name, version, files) in packages {
                tests::cache(cache.path(), name, version, files);
            }
            let packages = Packages {
                assets: Path::new("/nowhere").to_owned(),
                cache: cache.path().to_owned(),
                registry: None,
                resolved: Mutex::default(),
            };
            let downloader = Downloader::new(Networks::default());
            let fetcher = Fetcher { packages, downloader, offline: true, remarks: Mutex::default() };
            Self { fetcher, _cache: cache }
        }

        fn get(&self, address: &str) -> Result<String, Failure> {
            let url = Url::parse(address).unwrap();
            let Wanted { package, version, file, wiring } = Wanted::of(&url).unwrap();
            let File::Module(entry) = file else { unreachable!("{address}") };
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let Fetcher { packages, downloader, .. } = &self.fetcher;
                let package = packages.get(downloader, &package, &version, Prefer::Newest).await?;
                let path = package.module(&entry).unwrap();
                self.fetcher.module(&url, Importer { package: &package, path: &path, wiring: &wiring }).await
            })
        }

        #[track_caller]
        fn check(&self, address: &str, expected: &str) {
            assert_eq!(self.get(address).as_deref(), Ok(expected), "{address}");
        }
    }

    const THREE: (&str, &str, Files<'static>) = (
        "three",
        "0.184.0",
        &[
            (
                "package.json",
                r#"{"exports": {".": {"import": "./build/three.module.js"}, "./addons/*": "./examples/jsm/*"}}"#,
            ),
            ("build/three.module.js", "export*from'./three.core.js'"),
            ("build/three.core.js", "export class Scene {}"),
            ("examples/jsm/a.js", "import { Scene } from 'three'; import { b } from './b.js'; export default b"),
            ("examples/jsm/b.js", "import { x } from '../x'; export const b = x"),
            ("examples/x.js", "export const x = 1"),
        ],
    );

    #[test]
    fn every_module_has_one_address() {
        let server = Server::new(&[THREE]);
        let three = "export * from \"https://cdn.jsdelivr.net/npm/three@0.184.0/build/three.module.js\";\n";
        for address in [
            "https://cdn.jsdelivr.net/npm/three@0.184.0/+esm",
            "https://cdn.jsdelivr.net/npm/three/build/three.module.js/+esm",
            "https://esm.sh/three@0.184",
            "https://unpkg.com/three@0.184.0?module",
            "https://unpkg.com/three@0.184.0/build/three.module.js?module",
        ] {
            server.check(address, three);
        }
        let own = "https://unpkg.com/three@0.184.0/examples/jsm/a.js?module";
        for address in [
            "https://cdn.jsdelivr.net/npm/three@0.184.0/examples/jsm/a.js/+esm",
            "https://esm.sh/three@0.184.0/addons/a.js",
            "https://esm.sh/three@0.184.0/examples/jsm/a",
        ] {
            server.check(address, &format!("export * from \"{own}\";\nexport {{ default }} from \"{own}\";\n"));
        }
        server.check(
            own,
            "import { Scene } from 'https://cdn.jsdelivr.net/npm/three@0.184.0/build/three.module.js'; \
             import { b } from 'https://unpkg.com/three@0.184.0/examples/jsm/b.js?module'; export default b",
        );
        server.check(
            "https://unpkg.com/three@0.184.0/examples/jsm/b.js?module",
            "import { x } from 'https://cdn.jsdelivr.net/npm/three@0.184.0/examples/x.js'; export const b = x",
        );
    }

    #[test]
    fn what_a_module_imports_comes_from_the_packages_that_its_own_needs() {
        let manifest = r##"{"module": "a.js", "dependencies": {"@b/c": "^1.0.0", "other": "npm:three@0.184"},
            "peerDependencies": {"three": ">=0.100"}, "imports": {"#own": {"node": "./n.js", "default": "./own.js"}}}"##;
        let text = "import '@b/c/deep'; import 'other'; import 'three/addons/a.js'; import '#own'; import 'https://x.org/y.js'; \
                    import('nowhere'); if (process.env.NODE_ENV == 1) {}";
        let a: Files<'_> = &[("package.json", manifest), ("a.js", text), ("own.js", ""), ("n.js", "")];
        let exports = r#"{"exports": {"./deep": [{"types": "./x.d.ts"}, "./lib/deep.mjs"], ".": "./never.js"}}"#;
        let b: Files<'_> = &[("package.json", exports), ("lib/deep.mjs", "export {}")];
        let server = Server::new(&[THREE, ("a", "1.0.0", a), ("@b/c", "1.2.3", b), ("@b/c", "2.0.0", b)]);
        let changed = |addon: &str| {
            text.replace("'@b/c/deep'", "'https://cdn.jsdelivr.net/npm/@b/c@1.2.3/lib/deep.mjs'")
                .replace("'other'", "'https://cdn.jsdelivr.net/npm/three@0.184.0/build/three.module.js'")
                .replace("'three/addons/a.js'", &format!("'{addon}'"))
                .replace("#own", "https://cdn.jsdelivr.net/npm/a@1.0.0/own.js")
                .replace("process.env.NODE_ENV", "\"production\"")
        };
        let addon = "https://unpkg.com/three@0.184.0/examples/jsm/a.js?module";
        server.check("https://unpkg.com/a@1.0.0/a.js?module", &changed(addon));
        let addon = format!("{addon}&deps=three@0.184.0");
        server.check("https://unpkg.com/a@1.0.0/a.js?module&deps=three@0.184.0", &changed(&addon));
        server.check("https://unpkg.com/a@1.0.0/a.js?module&external=three", &changed("three/addons/a.js"));
    }

    #[test]
    fn a_module_without_what_it_imports_is_not_given_out() {
        let manifest = r#"{"module": "a.js", "main": "c.js", "dependencies": {"c": "1"}}"#;
        let common = "module.exports = require('x')";
        let a: Files<'_> = &[
            ("package.json", manifest),
            ("a.js", "import 'node:fs'"),
            ("b.js", "import c from 'c'"),
            ("c.js", common),
            ("d.js", "import '#d'"),
            ("e.js", "import './f.js'"),
            ("f.js", "export * from './g.js'; import('fs')"),
        ];
        let server = Server::new(&[("a", "1.0.0", a), ("c", "1.0.0", &[("index.js", common)])]);
        for (file, message) in [
            ("a.js", "a.js of a 1.0.0 imports \"node:fs\": a depends on no package of that name"),
            ("b.js", "index.js of c 1.0.0 imports \"x\": c depends on no package of that name"),
            ("d.js", "d.js of a 1.0.0 imports \"#d\": a depends on no package of that name"),
            ("e.js", "f.js of a 1.0.0 imports \"./g.js\": the package has no g.js"),
        ] {
            let failure = server.get(&format!("https://cdn.jsdelivr.net/npm/a@1.0.0/{file}/+esm")).unwrap_err();
            assert_eq!((failure.code, failure.message.as_str()), (Code::AssetMissing, message));
        }
    }

    #[test]
    fn common_js_is_given_out_as_modules() {
        let index = "if (process.env.NODE_ENV === 'production') { module.exports = require('./cjs/a.js') }";
        let inner = "exports.one = 1; exports.use = require('b').two";
        let manifest = r#"{"main": "index.js", "dependencies": {"b": "1"}}"#;
        let a: Files<'_> = &[("package.json", manifest), ("index.js", index), ("cjs/a.js", inner)];
        let server = Server::new(&[("a", "1.0.0", a), ("b", "1.0.0", &[("index.js", "exports.two = 2")])]);
        let [own, inside, other] = ["a@1.0.0/index.js", "a@1.0.0/cjs/a.js", "b@1.0.0/index.js"]
            .map(|path| format!("https://unpkg.com/{path}?module"));
        server
            .check("https://esm.sh/a@1", &format!("export * from \"{own}\";\nexport {{ default }} from \"{own}\";\n"));
        for (address, imported, names) in [(&own, &inside, ["one", "use"]), (&inside, &other, ["one", "use"])] {
            let text = server.get(address).unwrap();
            assert!(text.starts_with(&format!("import * as __required0 from \"{imported}\";")), "{text}");
            assert!(names.iter().all(|name| text.contains(&format!(" as {name}"))), "{text}");
        }
    }

    #[test]
    fn exports_are_read_as_node_reads_them() {
        let map = serde_json::json!({
            "./a": {"types": "./a.d.ts", "import": {"browser": "./a.browser.js"}, "default": "./a.js"},
            "./b/*.js": "./src/*.mjs",
            "./b/c/*": "./c/*/index.js",
            "./b/never/*": null,
            "./old/": "./lib/",
        });
        for (key, expected) in [
            ("./a", &["./a.browser.js", "./a.js"][..]),
            ("./b/x/y.js", &["./src/x/y.mjs"]),
            ("./b/c/x.js", &["./c/x.js/index.js"]),
            ("./b/never/x.js", &[]),
            ("./old/x.js", &["./lib/x.js"]),
            (".", &[]),
        ] {
            assert_eq!(targets(&map, key), expected, "{key}");
        }
        assert_eq!(
            targets(&serde_json::json!({"require": "./a.cjs", "default": "./a.js"}), "."),
            ["./a.js", "./a.cjs"]
        );
        assert_eq!(joined("a/b/c.js", "../d/./e.js?x"), Some("a/d/e.js".to_owned()));
        assert_eq!(joined("c.js", ".."), Some(String::new()));
    }
}
