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
/// Whose packages have those.
const VARIABLE: &str = "@fontsource-variable";

/// A family and its faces, as an address asks for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) family: String,
    /// Italic or not, and the range of weights; none for all that there are.
    pub(crate) faces: Vec<(bool, u16, u16)>,
}

impl Asked {
    /// All faces of a family.
    pub(crate) fn whole(family: &str) -> Self {
        Self { family: family.to_owned(), faces: Vec::new() }
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
        Self { family: family.to_owned(), faces }
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
        Self { family, faces }
    }

    /// Whether all that is asked for is among the bundled faces.
    pub(crate) fn is_bundled(&self) -> bool {
        let Some(family) = bundled(&self.family) else { return is_generic(&self.family) };
        let has = |weight: u16| FACES.iter().any(|face| face.family == family && face.weight == weight);
        self.faces.iter().all(|(italic, low, high)| !italic && low == high && has(*low))
    }

    /// The package that holds its fonts.
    pub(crate) fn package(&self) -> String {
        format!("{}/{}", if self.is_of_symbols() { VARIABLE } else { "@fontsource" }, self.slug())
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
        #[derive(Deserialize)]
        struct Metadata {
            weights: Vec<u16>,
            styles: Vec<String>,
            subsets: Vec<String>,
        }
        let Metadata { weights, styles, subsets } = serde_json::from_slice(&package.file("metadata.json")?).ok()?;
        let ranges = package.file("unicode.json").and_then(|text| serde_json::from_slice(&text).ok());
        let ranges: BTreeMap<String, String> = ranges.unwrap_or_default();
        let source = |file: &str| {
            let Package { name, version, .. } = package;
            format!(
                "font-display:block;src:url(https://cdn.jsdelivr.net/npm/{name}@{version}/{file}) format(\"woff2\")"
            )
        };
        if self.is_of_symbols() {
            let file = format!("files/{}-latin-full-normal.woff2", self.slug());
            let (lightest, boldest) = (weights.first()?, weights.last()?);
            let face = |source: String| {
                format!("@font-face{{font-family:{:?};font-weight:{lightest} {boldest};{source}}}\n", self.family)
            };
            return package.file(&file).map(|_| face(source(&file)));
        }
        // Large alphabets come in numbered pieces, which only the ranges name.
        let all = if ranges.is_empty() { subsets } else { ranges.keys().cloned().collect() };
        let slug = self.slug();
        let is_icons = !self.rule().is_empty();
        let mut css = String::new();
        for (style, weight) in styles.iter().flat_map(|style| weights.iter().map(move |weight| (style, *weight))) {
            let italic = style == "italic";
            let wanted = |(i, low, high): &(bool, u16, u16)| *i == italic && (*low..=*high).contains(&weight);
            if !self.faces.is_empty() && !self.faces.iter().any(wanted) {
                continue;
            }
            for subset in &all {
                let file = format!("files/{slug}-{}-{weight}-{style}.woff2", subset.trim_matches(['[', ']']));
                if package.file(&file).is_none() {
                    continue;
                }
                // Icons have code points that the package says nothing of.
                let range = ranges.get(subset).filter(|_| !is_icons);
                let range = range.map(|range| format!(";unicode-range:{range}")).unwrap_or_default();
                css += &format!(
                    "@font-face{{font-family:{:?};font-style:{style};font-weight:{weight};{}{range}}}\n",
                    self.family,
                    source(&file)
                );
            }
        }
        (!css.is_empty()).then_some(css)
    }
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
        assert_eq!(Asked::whole("Material Symbols Sharp").package(), "@fontsource-variable/material-symbols-sharp");
        assert!(Asked::whole("Material Icons").rule().starts_with(".material-icons{font-family:\"Material Icons\";"));
        assert_eq!(Asked::whole("Lobster").rule(), "");
        for other in ["https://fonts.gstatic.com/s/x.woff2", "https://example.com/css2?family=A"] {
            assert_eq!(Asked::of(&Url::parse(other).unwrap()), None);
        }
        assert_eq!(Asked::whole("IBM Plex Mono").package(), "@fontsource/ibm-plex-mono");
        assert_eq!(Asked::whole("../x").package(), "@fontsource/x");
    }
}
