//! Which npm package an address of a public package server means.

use percent_encoding::percent_decode_str;
use url::Url;

/// A file of a package, as an address asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) package: String,
    /// A version, a range or a tag; nothing for the newest.
    pub(crate) version: String,
    pub(crate) file: File,
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
    /// The package's ES module, which may import nothing by the name of another package.
    Module,
}

/// Names on servers that arrange libraries in their own way, where npm calls them differently.
const OTHER_NAMES: [(&str, &str); 16] = [
    ("animejs", "animejs"),
    ("bodymovin", "lottie-web"),
    ("Chart.js", "chart.js"),
    ("font-awesome", "@fortawesome/fontawesome-free"),
    ("highlight.js", "@highlightjs/cdn-assets"),
    ("jqueryui", "jquery-ui-dist"),
    ("lodash.js", "lodash"),
    ("matter-js", "matter-js"),
    ("moment.js", "moment"),
    ("p5.js", "p5"),
    ("pixi.js", "pixi.js"),
    ("Swiper", "swiper"),
    ("three.js", "three"),
    ("threejs", "three"),
    ("tone", "tone"),
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
            "cdn.jsdelivr.net" | "fastly.jsdelivr.net" => {
                Self::of_package(path.strip_prefix("npm/")?, File::Main(&["jsdelivr", "browser", "main"]))
            }
            "unpkg.com" if url.query_pairs().all(|(name, _)| name != "module") => {
                Self::of_package(path, File::Main(&["unpkg", "main"]))
            }
            "ga.jspm.io" => Self::of_package(path.strip_prefix("npm:")?, File::Module),
            "esm.sh" | "esm.run" | "cdn.skypack.dev" | "cdn.esm.sh" => Self::of_package(path, File::Module),
            "cdnjs.cloudflare.com" | "ajax.googleapis.com" => Self::of_library(path.strip_prefix("ajax/libs/")?),
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
        Self { package: package.to_owned(), version: version.to_owned(), file }
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
            "+esm" => File::Module,
            path => File::Path(path.to_owned()),
        };
        Some(Self::new(name, version, file))
    }

    /// `library/version/path`.
    fn of_library(path: &str) -> Option<Self> {
        let (library, rest) = path.split_once('/')?;
        let (version, file) = rest.split_once('/')?;
        let other = OTHER_NAMES.iter().find(|(name, _)| *name == library).map(|(_, package)| *package);
        let package = other.map_or_else(|| library.to_lowercase(), str::to_owned);
        // three.js counts its releases: r128 is 0.128.0.
        let version = version.strip_prefix('r').map_or_else(|| version.to_owned(), |release| format!("0.{release}.0"));
        Some(Self { package, version, file: File::Ending(file.to_owned()) })
    }
}

/// Whether npm allows a name, which becomes a part of addresses and paths here.
fn is_name(name: &str) -> bool {
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
        check("https://unpkg.com/gsap/dist/gsap.min.js?x=1", Some(("gsap", "", path("dist/gsap.min.js"))));
        check("https://unpkg.com/three@0.160", Some(("three", "0.160", File::Main(&["unpkg", "main"]))));
        check(
            "https://cdn.jsdelivr.net/npm/@hyperframes/shader-transitions@0.4.11/dist/index.global.js",
            Some(("@hyperframes/shader-transitions", "0.4.11", path("dist/index.global.js"))),
        );
        check("https://cdn.jsdelivr.net/npm/three@0.160.0/+esm", Some(("three", "0.160.0", File::Module)));
        check("https://esm.sh/@a/b@%5E1.2", Some(("@a/b", "^1.2", File::Module)));
        check(
            "https://cdnjs.cloudflare.com/ajax/libs/bodymovin/5.12.2/lottie.min.js",
            Some(("lottie-web", "5.12.2", ending("lottie.min.js"))),
        );
        check(
            "https://cdnjs.cloudflare.com/ajax/libs/three.js/r128/three.min.js",
            Some(("three", "0.128.0", ending("three.min.js"))),
        );
        check("https://d3js.org/d3.v7.min.js", Some(("d3", "7", path("dist/d3.min.js"))));
        check("https://code.jquery.com/jquery-3.7.1.min.js", Some(("jquery", "3.7.1", path("dist/jquery.min.js"))));
        check(
            "https://api.mapbox.com/mapbox-gl-js/v2.15.0/mapbox-gl.css",
            Some(("mapbox-gl", "2.15.0", path("dist/mapbox-gl.css"))),
        );
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
            "https://unpkg.com/three?module",
            "https://cdnjs.cloudflare.com/ajax/libs/gsap",
        ] {
            check(address, None);
        }
    }
}
