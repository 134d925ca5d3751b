//! Which npm package an address of a public package server means.

use std::collections::{BTreeMap, BTreeSet};

use percent_encoding::percent_decode_str;
use url::Url;

/// A file of a package, as an address asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) package: String,
    /// A version, a range or a tag; nothing for the newest.
    pub(crate) version: String,
    pub(crate) file: File,
    /// How a module is to find others.
    pub(crate) wiring: Wiring,
}

/// Which file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum File {
    /// The one of this path.
    Path(String),
    /// The one whose path ends so: the server arranges a package's files in its own way.
    Ending(String),
    /// The one that these fields of `package.json` name, the first that is there.
    Main(&'static [&'static str]),
    /// An ES module, whose imports the server answers as well.
    Module(Entry),
}

/// Which module of a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// The file of this path; else what is exported under it.
    File(String),
    /// What is exported under this path, nothing for the package itself; else the file.
    Export(String),
}

/// What an address says about the imports of a module and of those behind it (esm.sh).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wiring {
    /// Packages that the page's import map has; `*` for all.
    pub(crate) external: BTreeSet<String>,
    /// Versions of packages, whatever importers ask for.
    pub(crate) versions: BTreeMap<String, String>,
}

/// Names on servers that arrange libraries in their own way, where npm calls them differently.
const OTHER_NAMES: [(&str, &str); 23] = [
    ("animejs", "animejs"),
    ("babel-standalone", "@babel/standalone"),
    ("bodymovin", "lottie-web"),
    ("Chart.js", "chart.js"),
    ("fabric.js", "fabric"),
    ("font-awesome", "@fortawesome/fontawesome-free"),
    ("highlight.js", "@highlightjs/cdn-assets"),
    ("handlebars.js", "handlebars"),
    ("jqueryui", "jquery-ui-dist"),
    ("lodash.js", "lodash"),
    ("matter-js", "matter-js"),
    ("moment.js", "moment"),
    ("normalize", "normalize.css"),
    ("p5.js", "p5"),
    ("paper.js", "paper"),
    ("pixi.js", "pixi.js"),
    ("prism", "prismjs"),
    ("Swiper", "swiper"),
    ("three.js", "three"),
    ("threejs", "three"),
    ("tone", "tone"),
    ("underscore.js", "underscore"),
    ("velocity", "velocity-animate"),
];

impl Wanted {
    /// What an address means, if it is one of a server that gives out npm packages.
    pub(crate) fn of(url: &Url) -> Option<Self> {
        Self::read(url).filter(|wanted| is_name(&wanted.package))
    }

    fn read(url: &Url) -> Option<Self> {
        let path = percent_decode_str(url.path()).decode_utf8().ok()?;
        let path = path.strip_prefix('/')?;
        match url.host_str()? {
            "cdn.jsdelivr.net"
            | "fastly.jsdelivr.net"
            | "gcore.jsdelivr.net"
            | "testingcf.jsdelivr.net"
            | "cdn.jsdmirror.com" => match path.strip_prefix("fontsource/fonts/") {
                Some(path) => Self::of_font(path),
                None => Self::of_package(path.strip_prefix("npm/")?, File::Main(&["jsdelivr", "browser", "main"])),
            },
            "unpkg.com" if url.query_pairs().any(|(name, _)| name == "module") => {
                let wanted = Self::of_package(path, package_module())?.into_module(Entry::File);
                Some(Self { wiring: Wiring::of(url), ..wanted })
            }
            "unpkg.com" => Self::of_package(path, File::Main(&["unpkg", "main"])),
            "ga.jspm.io" => Self::of_package(path.strip_prefix("npm:")?, package_module()),
            "esm.run" | "cdn.skypack.dev" => Some(Self::of_package(path, package_module())?.into_module(Entry::File)),
            "esm.sh" | "cdn.esm.sh" => Self::of_esm_sh(path, url),
            "registry.npmmirror.com" => {
                let (package, path) = path.split_once("/files/")?;
                let (package, version) = package.rsplit_once('/')?;
                Some(Self::new(package, version, File::Path(path.to_owned())))
            }
            "cdnjs.cloudflare.com" | "ajax.googleapis.com" | "cdn.bootcdn.net" => {
                Self::of_library(path.strip_prefix("ajax/libs/")?)
            }
            "code.jquery.com" => {
                let version = path.strip_prefix("jquery-")?.trim_end_matches(".js");
                let (version, build) =
                    version.split_once(".min").map_or((version, ""), |(version, _)| (version, ".min"));
                Some(Self::new("jquery", version, File::Path(format!("dist/jquery{build}.js"))))
            }
            "d3js.org" => {
                let version = path.strip_prefix("d3.v")?;
                let (version, build) = version.strip_suffix(".js")?.split_once('.').unwrap_or((version, ""));
                let build = if build == "min" { ".min" } else { "" };
                Some(Self::new("d3", version.trim_end_matches(".js"), File::Path(format!("dist/d3{build}.js"))))
            }
            "api.mapbox.com" | "api.tiles.mapbox.com" => {
                let (version, file) = path.strip_prefix("mapbox-gl-js/v")?.split_once('/')?;
                Some(Self::new("mapbox-gl", version, File::Path(format!("dist/{file}"))))
            }
            _ => None,
        }
    }

    fn new(package: &str, version: &str, file: File) -> Self {
        Self { package: package.to_owned(), version: version.to_owned(), file, wiring: Wiring::default() }
    }

    /// The same file as a module.
    fn into_module(self, entry: fn(String) -> Entry) -> Self {
        let file = match self.file {
            File::Path(path) => File::Module(entry(path)),
            file => file,
        };
        Self { file, ..self }
    }

    /// A package's export, or one that the server has built, such as `/v135/three@0.160.0/es2022/three.mjs`.
    fn of_esm_sh(path: &str, url: &Url) -> Option<Self> {
        let count = |path: &str| path.strip_prefix('v').is_some_and(|count| count.parse::<u32>().is_ok());
        let path = path.split_once('/').filter(|(first, _)| count(first)).map_or(path, |(_, rest)| rest);
        let bare = path.strip_prefix('*');
        let mut wanted = Self::of_package(bare.unwrap_or(path), package_module())?;
        if let File::Path(path) = &mut wanted.file {
            if url.query_pairs().any(|(name, _)| name == "raw") {
                return Some(wanted);
            }
            if let Some(built) = of_build(path, &wanted.package) {
                *path = built;
            }
        }
        let mut wiring = Wiring::of(url);
        wiring.external.extend(bare.map(|_| "*".to_owned()));
        Some(Self { wiring, ..wanted.into_module(Entry::Export) })
    }

    /// `name@version/path`.
    fn of_package(path: &str, main: File) -> Option<Self> {
        // Some servers put a number of their own in front.
        let path = path.strip_prefix("stable/").unwrap_or(path);
        let name_end = if path.starts_with('@') { path.find('/')? + 1 } else { 0 };
        let end = path[name_end..].find('/').map_or(path.len(), |end| name_end + end);
        let (package, file) = (&path[..end], path[end..].trim_matches('/'));
        let (name, version) = match package[name_end..].find('@') {
            Some(at) => (&package[..name_end + at], &package[name_end + at + 1..]),
            None => (package, ""),
        };
        let file = match file {
            "" => main,
            "+esm" => package_module(),
            path => match path.strip_suffix("/+esm") {
                Some(path) => File::Module(Entry::File(path.to_owned())),
                None => File::Path(path.to_owned()),
            },
        };
        Some(Self::new(name, version, file))
    }

    /// `family@version/face`, with `:vf` behind the family of a variable font.
    fn of_font(path: &str) -> Option<Self> {
        let (family, face) = path.split_once('/')?;
        let (family, version) = family.split_once('@').unwrap_or((family, ""));
        let (family, scope) =
            family.strip_suffix(":vf").map_or((family, "@fontsource"), |family| (family, "@fontsource-variable"));
        Some(Self::new(&format!("{scope}/{family}"), version, File::Path(format!("files/{family}-{face}"))))
    }

    /// `library/version/path`.
    fn of_library(path: &str) -> Option<Self> {
        let (library, rest) = path.split_once('/')?;
        let (version, file) = rest.split_once('/')?;
        let other = OTHER_NAMES.iter().find(|(name, _)| *name == library).map(|(_, package)| *package);
        let package = other.map_or_else(|| library.to_lowercase(), str::to_owned);
        // three.js counts its releases: r128 is 0.128.0.
        let version = version.strip_prefix('r').map_or_else(|| version.to_owned(), |release| format!("0.{release}.0"));
        Some(Self::new(&package, &version, File::Ending(file.to_owned())))
    }
}

impl Wiring {
    fn of(url: &Url) -> Self {
        let mut wiring = Self::default();
        for (name, value) in url.query_pairs() {
            let packages = value.split(',').filter(|package| !package.is_empty());
            match &*name {
                "external" => wiring.external.extend(packages.map(str::to_owned)),
                "deps" => {
                    let pinned = packages.filter_map(|package| package.rsplit_once('@'));
                    wiring.versions.extend(pinned.map(|(name, version)| (name.to_owned(), version.to_owned())));
                }
                _ => {}
            }
        }
        wiring
    }

    /// The address of a file of a package as it is, or of the module that it is with this wiring, from which what it names by
    /// `import.meta.url` is in its place.
    pub(crate) fn address(&self, package: (&str, &str), path: &str, as_module: bool) -> Option<Url> {
        let (name, version) = package;
        let server = if as_module { "https://unpkg.com" } else { "https://cdn.jsdelivr.net/npm" };
        let mut url = Url::parse(server).ok()?;
        let folder = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{folder}/{name}@{version}/{path}"));
        if as_module {
            let external = self.external.iter().cloned().collect::<Vec<_>>();
            let versions = self.versions.iter().map(|(name, version)| format!("{name}@{version}")).collect::<Vec<_>>();
            let set = [("external", external), ("deps", versions)].into_iter().filter(|(_, all)| !all.is_empty());
            let set: String = set.map(|(name, all)| format!("&{name}={}", all.join(","))).collect();
            url.set_query(Some(&format!("module{set}")));
        }
        Some(url)
    }
}

/// The package's ES module.
fn package_module() -> File {
    File::Module(Entry::Export(String::new()))
}

/// What esm.sh has built a file of, as `es2022/addons/x.mjs` of `addons/x`.
fn of_build(path: &str, package: &str) -> Option<String> {
    let (target, built) = path.split_once('/')?;
    let is_year = target.strip_prefix("es").is_some_and(|year| year == "next" || year.parse::<u32>().is_ok());
    let stem = built.strip_suffix(".mjs").filter(|_| is_year)?;
    let stem = [".bundle", ".nobundle", ".development"].iter().find_map(|way| stem.strip_suffix(way)).unwrap_or(stem);
    let is_main = package.rsplit('/').next() == Some(stem);
    Some(if is_main { String::new() } else { stem.to_owned() })
}

/// Whether npm allows a name, which becomes a part of addresses and paths here.
pub(super) fn is_name(name: &str) -> bool {
    let known = |c: char| c.is_ascii_alphanumeric() || "-_.~".contains(c);
    let part = |part: &str| !part.is_empty() && !part.starts_with(['.', '_']) && part.chars().all(known);
    match name.strip_prefix('@') {
        Some(scoped) => scoped.split_once('/').is_some_and(|(scope, name)| part(scope) && part(name)),
        None => part(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(address: &str, expected: Option<(&str, &str, File)>) {
        let wanted = Wanted::of(&Url::parse(address).unwrap());
        assert_eq!(wanted, expected.map(|(package, version, file)| Wanted::new(package, version, file)), "{address}");
    }

    #[test]
    fn addresses_of_package_servers_are_known() {
        let path = |path: &str| File::Path(path.to_owned());
        let ending = |path: &str| File::Ending(path.to_owned());
        check(
            "https://cdn.jsdelivr.net/npm/gsap@3.14.2/dist/gsap.min.js",
            Some(("gsap", "3.14.2", path("dist/gsap.min.js"))),
        );
        check(
            "https://registry.npmmirror.com/@a/b/3.14.2/files/dist/b.js",
            Some(("@a/b", "3.14.2", path("dist/b.js"))),
        );
        check("https://unpkg.com/gsap/dist/gsap.min.js?x=1", Some(("gsap", "", path("dist/gsap.min.js"))));
        check("https://unpkg.com/three@0.160", Some(("three", "0.160", File::Main(&["unpkg", "main"]))));
        check(
            "https://cdn.jsdelivr.net/npm/@hyperframes/shader-transitions@0.4.11/dist/index.global.js",
            Some(("@hyperframes/shader-transitions", "0.4.11", path("dist/index.global.js"))),
        );
        check(
            "https://cdnjs.cloudflare.com/ajax/libs/bodymovin/5.12.2/lottie.min.js",
            Some(("lottie-web", "5.12.2", ending("lottie.min.js"))),
        );
        check(
            "https://cdnjs.cloudflare.com/ajax/libs/prism/1.29.0/prism.min.js",
            Some(("prismjs", "1.29.0", ending("prism.min.js"))),
        );
        check(
            "https://cdnjs.cloudflare.com/ajax/libs/three.js/r128/three.min.js",
            Some(("three", "0.128.0", ending("three.min.js"))),
        );
        let font = "https://cdn.jsdelivr.net/fontsource/fonts";
        let regular = path("files/inter-latin-400-normal.woff2");
        check(&format!("{font}/inter@latest/latin-400-normal.woff2"), Some(("@fontsource/inter", "latest", regular)));
        let variable = path("files/inter-latin-wght-normal.woff2");
        check(
            &format!("{font}/inter:vf@5/latin-wght-normal.woff2"),
            Some(("@fontsource-variable/inter", "5", variable)),
        );
        check("https://d3js.org/d3.v7.min.js", Some(("d3", "7", path("dist/d3.min.js"))));
        check("https://code.jquery.com/jquery-3.7.1.min.js", Some(("jquery", "3.7.1", path("dist/jquery.min.js"))));
        check(
            "https://api.mapbox.com/mapbox-gl-js/v2.15.0/mapbox-gl.css",
            Some(("mapbox-gl", "2.15.0", path("dist/mapbox-gl.css"))),
        );
    }

    #[test]
    fn addresses_of_modules_say_how_they_find_others() {
        let check = |address: &str, package: &str, version: &str, entry: Entry, external: &[&str]| {
            let external = external.iter().map(|name| (*name).to_owned()).collect();
            let wiring = Wiring { external, versions: BTreeMap::new() };
            let expected = Wanted { wiring, ..Wanted::new(package, version, File::Module(entry)) };
            assert_eq!(Wanted::of(&Url::parse(address).unwrap()), Some(expected), "{address}");
        };
        let file = |path: &str| Entry::File(path.to_owned());
        let export = |path: &str| Entry::Export(path.to_owned());
        check("https://cdn.jsdelivr.net/npm/three@0.160.0/+esm", "three", "0.160.0", export(""), &[]);
        check("https://cdn.jsdelivr.net/npm/@a/b/x/y.js/+esm", "@a/b", "", file("x/y.js"), &[]);
        check("https://esm.run/three@0.160/x.js", "three", "0.160", file("x.js"), &[]);
        check("https://unpkg.com/three?module", "three", "", export(""), &[]);
        check("https://unpkg.com/three@1/x.js?module&external=b,a", "three", "1", file("x.js"), &["a", "b"]);
        check("https://esm.sh/@a/b@%5E1.2", "@a/b", "^1.2", export(""), &[]);
        check("https://esm.sh/three@1/addons/x.js?bundle&target=es2022", "three", "1", export("addons/x.js"), &[]);
        check("https://esm.sh/stable/three@1", "three", "1", export(""), &[]);
        check("https://esm.sh/v135/three@1/es2022/three.mjs", "three", "1", export(""), &[]);
        check("https://esm.sh/@a/b@1/es2022/b.bundle.mjs", "@a/b", "1", export(""), &[]);
        check("https://esm.sh/@a/b@1/esnext/c/d.mjs", "@a/b", "1", export("c/d"), &[]);
        check("https://esm.sh/*three-mesh-bvh@1?external=three", "three-mesh-bvh", "1", export(""), &["*", "three"]);
    }

    #[test]
    fn an_address_of_a_module_leads_to_it_again() {
        let address = "https://unpkg.com/@a/b@1.0.0/x%20y.js?module&external=c,d&deps=e@1,f@%5E2";
        let wanted = Wanted::of(&Url::parse(address).unwrap()).unwrap();
        assert_eq!(wanted.wiring.versions["f"], "^2");
        let own = wanted.wiring.address((&wanted.package, &wanted.version), "x y.js", true).unwrap();
        assert_eq!(Wanted::of(&own), Some(wanted.clone()));
        let as_it_is = wanted.wiring.address(("a", "1.0.0"), "x.js", false).unwrap();
        assert_eq!(as_it_is.as_str(), "https://cdn.jsdelivr.net/npm/a@1.0.0/x.js");
    }

    #[test]
    fn other_addresses_are_not() {
        for address in [
            "https://example.com/gsap@3.14.2/dist/gsap.min.js",
            "https://cdn.jsdelivr.net/gh/user/repo@1/x.js",
            "https://cdn.jsdelivr.net/npm/a%22b@1/x.js",
            "https://cdn.jsdelivr.net/npm/@scope",
            "https://unpkg.com/..@1/x.js",
            "https://unpkg.com/@..%2f..@1/x.js",
            "https://cdnjs.cloudflare.com/ajax/libs/..%2fx/1.0.0/x.js",
            "https://cdnjs.cloudflare.com/ajax/libs/gsap",
        ] {
            check(address, None);
        }
    }
}
