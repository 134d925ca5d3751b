//! Google Fonts' style sheets, made of `@fontsource` packages, which hold the same fonts.

use std::collections::BTreeMap;

use serde::Deserialize;
use url::Url;

use super::packages::Package;
use crate::fonts::{FACES, bundled, is_generic};

/// Who answers with style sheets of fonts. Bunny Fonts takes Google's first grammar.
const SERVICES: [&str; 2] = ["fonts.googleapis.com", "fonts.bunny.net"];
/// What they answer to: fonts of icons have an address of their own besides.
const PATHS: [&str; 3] = ["/css", "/css2", "/icon"];

/// Families of icons, which are written by their names: Google's style sheet says how to set them.
const ICONS: [&str; 2] = ["Material Icons", SYMBOLS];
/// Those that are one font for all weights and fillings.
const SYMBOLS: &str = "Material Symbols";
/// Whose packages have variable fonts.
const VARIABLE: &str = "@fontsource-variable";
/// Whose packages have a font for each weight.
const STATIC: &str = "@fontsource";

/// A family and its faces, as an address asks for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) family: String,
    /// Italic or not, and the range of weights; none for all that there are.
    pub(crate) faces: Vec<(bool, u16, u16)>,
    /// Axes beside slope and weight, with the least and the largest value, as written.
    axes: Vec<(String, String, String)>,
}

/// What a package says of its fonts.
#[derive(Deserialize)]
struct Metadata {
    weights: Vec<u16>,
    styles: Vec<String>,
    subsets: Vec<String>,
}

impl Asked {
    /// All faces of a family.
    pub(crate) fn whole(family: &str) -> Self {
        Self { family: family.to_owned(), faces: Vec::new(), axes: Vec::new() }
    }

    /// What the address of a style sheet asks for; `None` for any other address.
    pub(crate) fn of(url: &Url) -> Option<Vec<Self>> {
        if !SERVICES.contains(&url.host_str()?) || !PATHS.contains(&url.path()) {
            return None;
        }
        let families = url.query_pairs().filter(|(name, _)| name == "family").map(|(_, value)| value.into_owned());
        let read: fn(&str) -> Self = if url.path() == "/css2" { Self::of_css2 } else { Self::of_css };
        Some(families.flat_map(|value| value.split('|').map(read).collect::<Vec<_>>()).collect())
    }

    /// `Family:ital,wght@0,400;1,700..900`.
    fn of_css2(text: &str) -> Self {
        let (family, faces) = text.split_once(':').unwrap_or((text, ""));
        let (axes, values) = faces.split_once('@').unwrap_or((faces, ""));
        let axis = |name: &str| axes.split(',').position(|axis| axis == name);
        let (italic, weight) = (axis("ital"), axis("wght"));
        let tuples: Vec<_> = values.split(';').filter(|tuple| !tuple.is_empty()).collect();
        let face = |tuple: &&str| {
            let value = |place: Option<usize>| place.and_then(|place| tuple.split(',').nth(place));
            let range = value(weight).unwrap_or("400");
            let (low, high) = range.split_once("..").unwrap_or((range, range));
            let italic = if tuples.len() == 1 && values == "1" { true } else { value(italic) == Some("1") };
            Some((italic, low.parse().ok()?, high.parse().ok()?))
        };
        let faces: Vec<_> = tuples.iter().filter_map(face).collect();
        let faces = if faces.is_empty() { vec![(false, 400, 400)] } else { faces };
        let others = axes.split(',').enumerate().filter(|(_, axis)| !["", "ital", "wght"].contains(axis));
        let range = |(place, axis): (usize, &str)| {
            let range = tuples.first()?.split(',').nth(place)?;
            let (low, high) = range.split_once("..").unwrap_or((range, range));
            let is_axis = axis.bytes().all(|byte| byte.is_ascii_alphanumeric());
            (is_axis && [low, high].iter().all(|value| value.parse::<f32>().is_ok_and(f32::is_finite)))
                .then(|| (axis.to_owned(), low.to_owned(), high.to_owned()))
        };
        let axes = others.filter_map(range).collect();
        Self { family: family.to_owned(), faces, axes }
    }

    /// `Family:400,700italic`.
    fn of_css(text: &str) -> Self {
        let mut parts = text.split(':');
        let family = parts.next().unwrap_or_default().to_owned();
        let face = |name: &str| {
            let digits: String = name.chars().take_while(char::is_ascii_digit).collect();
            let weight = digits.parse().unwrap_or(if name.starts_with('b') { 700 } else { 400 });
            (name.ends_with('i') || name.contains("italic"), weight, weight)
        };
        let faces: Vec<_> =
            parts.next().unwrap_or("400").split(',').filter(|name| !name.is_empty()).map(face).collect();
        Self { family, faces, axes: Vec::new() }
    }

    /// Whether all that is asked for is among the bundled faces.
    pub(crate) fn is_bundled(&self) -> bool {
        let Some(family) = bundled(&self.family) else { return is_generic(&self.family) };
        let has = |weight: u16| FACES.iter().any(|face| face.family == family && face.weight == weight);
        !self.is_variable() && self.faces.iter().all(|(italic, low, _)| !italic && has(*low))
    }

    /// Whether a font is asked for that can be any of a range.
    fn is_variable(&self) -> bool {
        self.is_of_symbols() || !self.axes.is_empty() || self.faces.iter().any(|(_, low, high)| low != high)
    }

    /// The packages that may hold its fonts, the best one first.
    pub(crate) fn packages(&self) -> Vec<String> {
        let scopes: &[&str] = match (self.is_of_symbols(), self.is_variable()) {
            (true, _) => &[VARIABLE],
            (false, true) => &[VARIABLE, STATIC],
            (false, false) => &[STATIC],
        };
        scopes.iter().map(|scope| format!("{scope}/{}", self.slug())).collect()
    }

    fn slug(&self) -> String {
        let slug = self.family.trim().to_lowercase().replace([' ', '_'], "-");
        slug.replace(|c: char| !c.is_ascii_alphanumeric() && c != '-', "")
    }

    fn is_of_symbols(&self) -> bool {
        self.family.starts_with(SYMBOLS)
    }

    /// The rule that comes with fonts of icons: elements of this class show the icon that their text names.
    pub(super) fn rule(&self) -> String {
        if !ICONS.iter().any(|icons| self.family.starts_with(icons)) {
            return String::new();
        }
        format!(
            ".{}{{font-family:{:?};font-weight:normal;font-style:normal;font-size:24px;line-height:1;letter-spacing:normal;\
             text-transform:none;display:inline-block;white-space:nowrap;word-wrap:normal;direction:ltr;\
             font-feature-settings:\"liga\"}}\n",
            self.slug(),
            self.family
        )
    }

    /// The style sheet of those of its faces that a package has, under the name that they are asked for by.
    pub(super) fn css(&self, package: &Package) -> Option<String> {
        let metadata: Metadata = serde_json::from_slice(&package.file("metadata.json")?).ok()?;
        let ranges = package.file("unicode.json").and_then(|text| serde_json::from_slice(&text).ok());
        let ranges: BTreeMap<String, String> = ranges.unwrap_or_default();
        let variable = package.name.starts_with(VARIABLE);
        let faces = if variable { self.variable_faces(&metadata) } else { self.static_faces(&metadata) };
        // Large alphabets come in numbered pieces, which only the ranges name.
        let subsets = if ranges.is_empty() { metadata.subsets } else { ranges.keys().cloned().collect() };
        let (slug, is_icons) = (self.slug(), !self.rule().is_empty());
        let Package { name, version, .. } = package;
        let mut css = String::new();
        for Face { descriptors, endings } in faces {
            let files = |ending: &String| {
                let file = |subset: &String| {
                    let file = format!("files/{slug}-{}-{ending}.woff2", subset.trim_matches(['[', ']']));
                    package.file(&file).map(|_| (subset.clone(), file))
                };
                let files: Vec<_> = subsets.iter().filter_map(file).collect();
                (!files.is_empty()).then_some(files)
            };
            for (subset, file) in endings.iter().find_map(files).unwrap_or_default() {
                // Icons have code points that the package says nothing of.
                let range = ranges.get(&subset).filter(|_| !is_icons);
                let range = range.map(|range| format!(";unicode-range:{range}")).unwrap_or_default();
                css += &format!(
                    "@font-face{{font-family:{:?};{descriptors};font-display:block;\
                     src:url(https://cdn.jsdelivr.net/npm/{name}@{version}/{file}) format(\"woff2\"){range}}}\n",
                    self.family
                );
            }
        }
        (!css.is_empty()).then_some(css)
    }

    /// One for each weight.
    fn static_faces(&self, Metadata { weights, styles, .. }: &Metadata) -> Vec<Face> {
        let all = styles.iter().flat_map(|style| weights.iter().map(move |weight| (style, *weight)));
        let wanted = |(style, weight): &(&String, u16)| {
            let is_one = |(italic, low, high): &(bool, u16, u16)| {
                *italic == (*style == "italic") && (*low..=*high).contains(weight)
            };
            self.faces.is_empty() || self.faces.iter().any(is_one)
        };
        let face = |(style, weight): (&String, u16)| Face {
            descriptors: format!("font-style:{style};font-weight:{weight}"),
            endings: vec![format!("{weight}-{style}")],
        };
        all.filter(wanted).map(face).collect()
    }

    /// One for each slope, for all weights. Axes that are asked for with one value stay there.
    fn variable_faces(&self, Metadata { weights, .. }: &Metadata) -> Vec<Face> {
        let whole = weights.first().zip(weights.last()).map(|(lightest, boldest)| (false, *lightest, *boldest));
        let faces = if self.faces.is_empty() { whole.into_iter().collect() } else { self.faces.clone() };
        let degrees = |text: &str| text.parse::<f32>().ok();
        let (mut stretch, mut oblique, mut fixed) = (String::new(), None, Vec::new());
        for (axis, low, high) in &self.axes {
            match axis.as_str() {
                "wdth" => stretch = format!(";font-stretch:{low}% {high}%"),
                // CSS counts the other way round.
                "slnt" => oblique = degrees(low).zip(degrees(high)).map(|(low, high)| (0.0 - high, 0.0 - low)),
                axis if low == high => fixed.push(format!("{axis:?} {low}")),
                _ranged => {}
            }
        }
        let settings = (!fixed.is_empty()).then(|| format!(";font-variation-settings:{}", fixed.join(",")));
        let settings = settings.unwrap_or_default();
        let face = |(italic, low, high): (bool, u16, u16)| {
            let style = if italic { "italic" } else { "normal" };
            let slope = oblique.map(|(least, most)| format!("oblique {least}deg {most}deg"));
            Face {
                descriptors: format!(
                    "font-style:{};font-weight:{low} {high}{stretch}{settings}",
                    slope.unwrap_or_else(|| style.to_owned())
                ),
                endings: self.files_of_axes().iter().map(|axes| format!("{axes}-{style}")).collect(),
            }
        };
        faces.into_iter().map(face).collect()
    }

    /// What files with its axes are called by, the smallest first: those of one axis have weights, too, standard ones all that are
    /// registered, and full ones all.
    fn files_of_axes(&self) -> Vec<String> {
        let is_registered = |axis: &str| axis.bytes().all(|byte| byte.is_ascii_lowercase());
        let registered = !self.faces.is_empty() && self.axes.iter().all(|(axis, ..)| is_registered(axis));
        let smallest = match self.axes.as_slice() {
            [] if self.faces.is_empty() => None,
            [] => Some("wght".to_owned()),
            [(axis, ..)] => Some(axis.to_lowercase()),
            _several => None,
        };
        let others = [registered.then_some("standard"), Some("full"), Some("wght")];
        smallest.into_iter().chain(others.into_iter().flatten().map(str::to_owned)).collect()
    }
}

/// What a style sheet says of a face, and what the names of its files may end in, the best one first.
struct Face {
    descriptors: String,
    endings: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    type Faces = &'static [(bool, u16, u16)];

    #[track_caller]
    fn check(address: &str, expected: &[(&str, Faces)]) {
        let asked = Asked::of(&Url::parse(address).unwrap()).unwrap();
        let asked: Vec<_> = asked.iter().map(|asked| (asked.family.as_str(), asked.faces.as_slice())).collect();
        assert_eq!(asked, expected, "{address}");
    }

    #[test]
    fn ranges_and_axes_are_those_of_variable_fonts() {
        let metadata =
            Metadata { weights: vec![100, 900], styles: vec!["italic".into(), "normal".into()], subsets: Vec::new() };
        let faces = |family: &str| {
            let url = format!("https://fonts.googleapis.com/css2?family={family}");
            let asked = Asked::of(&Url::parse(&url).unwrap()).unwrap().remove(0);
            let faces = asked.variable_faces(&metadata).into_iter();
            (asked.packages(), faces.map(|face| (face.descriptors, face.endings.join(" "))).collect::<Vec<_>>())
        };
        let both = vec!["@fontsource-variable/a".to_owned(), "@fontsource/a".to_owned()];
        let face = |descriptors: &str, endings: &str| (descriptors.to_owned(), endings.to_owned());
        assert_eq!(
            faces("A:ital,wght@0,100..900;1,300..700"),
            (
                both.clone(),
                vec![
                    face(
                        "font-style:normal;font-weight:100 900",
                        "wght-normal standard-normal full-normal wght-normal"
                    ),
                    face(
                        "font-style:italic;font-weight:300 700",
                        "wght-italic standard-italic full-italic wght-italic"
                    ),
                ]
            )
        );
        assert_eq!(
            faces("A:slnt,wdth,wght@-10..0,25..151,100..900").1,
            [face(
                "font-style:oblique 0deg 10deg;font-weight:100 900;font-stretch:25% 151%",
                "standard-normal full-normal wght-normal"
            )]
        );
        assert_eq!(
            faces("A:SOFT,wght@80,400").1,
            [face(
                "font-style:normal;font-weight:400 400;font-variation-settings:\"SOFT\" 80",
                "soft-normal full-normal wght-normal"
            )]
        );
        assert_eq!(faces("A:x}y,wght@1,400;2,400").0, ["@fontsource/a"]);
        let symbols = Asked::whole("Material Symbols Sharp").variable_faces(&metadata).remove(0);
        assert_eq!(symbols.endings, ["full-normal", "wght-normal"]);
    }

    #[test]
    fn googles_addresses_say_families_and_faces() {
        let css2 = "https://fonts.googleapis.com/css2";
        check(&format!("{css2}?family=Inter"), &[("Inter", &[(false, 400, 400)])]);
        check(
            &format!("{css2}?family=Fira+Code:wght@300;700&family=Lora:ital,wght@0,400;1,500..700&display=swap"),
            &[("Fira Code", &[(false, 300, 300), (false, 700, 700)]), ("Lora", &[(false, 400, 400), (true, 500, 700)])],
        );
        check(&format!("{css2}?family=Lora:ital@1"), &[("Lora", &[(true, 400, 400)])]);
        check(
            &format!("{css2}?family=DM+Sans:ital,opsz,wght@0,9..40,100..1000"),
            &[("DM Sans", &[(false, 100, 1000)])],
        );
        check(
            "https://fonts.googleapis.com/css?family=Open+Sans:400,700italic|Lobster",
            &[("Open Sans", &[(false, 400, 400), (true, 700, 700)]), ("Lobster", &[(false, 400, 400)])],
        );
        check(
            "https://fonts.googleapis.com/icon?family=Material+Icons|Material+Icons+Round",
            &[("Material Icons", &[(false, 400, 400)]), ("Material Icons Round", &[(false, 400, 400)])],
        );
        assert_eq!(Asked::whole("Material Symbols Sharp").packages(), ["@fontsource-variable/material-symbols-sharp"]);
        assert!(Asked::whole("Material Icons").rule().starts_with(".material-icons{font-family:\"Material Icons\";"));
        assert_eq!(Asked::whole("Lobster").rule(), "");
        for other in ["https://fonts.gstatic.com/s/x.woff2", "https://example.com/css2?family=A"] {
            assert_eq!(Asked::of(&Url::parse(other).unwrap()), None);
        }
        assert_eq!(Asked::whole("IBM Plex Mono").packages(), ["@fontsource/ibm-plex-mono"]);
        assert_eq!(Asked::whole("../x").packages(), ["@fontsource/x"]);
    }
}
