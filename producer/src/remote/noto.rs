//! Fonts for characters that no font of a composition has: Noto's, from their packages, one after the other until all are had.
//!
//! On somebody's machine such characters come from whatever fonts that has (an arrow, a tick, an emoji, Chinese under the name
//! of a font that only Macs have). A render has the same everywhere instead, and they are a part of the plan.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
};

use bytes::Bytes;
use crds::Failure;
use icu_properties::{
    CodePointMapData, CodePointSetData, PropertyNamesLong,
    props::{DefaultIgnorableCodePoint, Emoji, EmojiPresentation, Script},
};
use serde::Deserialize;
use write_fonts::{
    FontBuilder,
    read::{FontRef, TableProvider as _, TableRecord, types::Tag},
};

use super::{
    Fetcher,
    packages::{Package, Prefer},
};
use crate::fonts::lies_in;

/// So many files of a package are just looked into.
const MOST_SUBSETS: usize = 16;

/// What fonts are wanted for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) characters: BTreeSet<char>,
    /// The document's `lang`, which says whose characters Han ones are.
    pub(crate) language: String,
}

/// Families that have characters which no other font has, each with those of them that it has.
pub(crate) type Fallbacks = BTreeMap<String, BTreeSet<char>>;

/// A file of a family, as a system has it.
pub(super) struct Font {
    pub(super) family: String,
    /// Without extension.
    pub(super) name: String,
    /// A TrueType or OpenType file.
    pub(super) content: Vec<u8>,
    /// Which of all characters that are written it has.
    pub(super) has: BTreeSet<char>,
}

/// A family that is taken whole.
struct Whole {
    package: &'static str,
    family: &'static str,
    files: &'static [&'static str],
}

/// What all those packages are of.
const WHOLE_VERSION: &str = "0.4";
/// Of pieces Chromium takes only one for what it makes of several characters, as skins and keycaps; and those of fontsource are
/// pictures in a table `SVG `, which Chromium does not draw.
const EMOJI: Whole = Whole {
    package: "@expo-google-fonts/noto-color-emoji",
    family: "Noto Color Emoji",
    files: &["400Regular/NotoColorEmoji_400Regular.ttf"],
};
/// The pieces have no small digits, no hyphen that keeps words together and few marks.
const TEXT: Whole = Whole {
    package: "@expo-google-fonts/noto-sans",
    family: "Noto Sans",
    files: &["400Regular/NotoSans_400Regular.ttf", "700Bold/NotoSans_700Bold.ttf"],
};
/// Lines and blocks as terminals draw them, as wide as the letters of monospaced fonts; the pieces have none.
const TERMINAL: Whole = Whole {
    package: "@expo-google-fonts/noto-sans-mono",
    family: "Noto Sans Mono",
    files: &["400Regular/NotoSansMono_400Regular.ttf", "700Bold/NotoSansMono_700Bold.ttf"],
};
const WHOLE: [Whole; 3] = [EMOJI, TEXT, TERMINAL];

/// What asks for an emoji in place of a text's character.
const AS_EMOJI: char = '\u{fe0f}';

/// What makes a key of a digit.
const KEYCAP: char = '\u{20e3}';

/// Signs of all kinds, in the order in which they are looked for.
const SIGNS: [&str; 6] = [
    "@fontsource/noto-sans-symbols-2",
    "@fontsource/noto-sans-symbols",
    "@fontsource/noto-sans-math",
    TEXT.package,
    TERMINAL.package,
    EMOJI.package,
];
/// What all packages of fontsource are of.
const VERSION: &str = "5";
/// The weights that are taken of a family, as far as there are.
const WEIGHTS: [u16; 2] = [400, 700];

/// The fonts that have these characters, as far as there are such, and why there are not more.
pub(super) async fn fonts(fetcher: &Fetcher, written: &Written) -> (Vec<Font>, Option<String>) {
    let mut open: BTreeSet<char> = written.characters.iter().copied().filter(|c| is_seen(*c)).collect();
    let (mut fonts, mut failures, mut asked) = (Vec::new(), Vec::new(), BTreeSet::new());
    for (name, wanted) in candidates(written, &open) {
        let new = wanted.intersection(&open).copied().filter(|character| asked.insert((name.clone(), *character)));
        let wanted: BTreeSet<char> = new.collect();
        if wanted.is_empty() {
            continue;
        }
        let version = if WHOLE.iter().any(|whole| whole.package == name) { WHOLE_VERSION } else { VERSION };
        match fetcher.packages.get(&fetcher.downloader, &name, version, Prefer::Local).await {
            Ok(package) => {
                for font in chosen(&package, &wanted, &written.characters) {
                    open.retain(|character| !font.has.contains(character));
                    fonts.push(font);
                }
            }
            Err(failure) => failures.push(failure),
        }
    }
    let why = (!open.is_empty()).then(|| explained(&open, &failures));
    (fonts, why)
}

/// Where a family stands among those that have the same characters: the lower, the sooner it is asked.
pub(crate) fn rank(family: &str) -> u8 {
    let known = [(TEXT, 0), (TERMINAL, 1), (EMOJI, 3)];
    known.iter().find(|(whole, _)| whole.family == family).map_or(2, |(_, rank)| *rank)
}

/// Why characters stay without a font.
fn explained(open: &BTreeSet<char>, failures: &[Failure]) -> String {
    const QUOTED: usize = 40;
    if failures.is_empty() {
        return format!("Noto's fonts have no {:?}", open.iter().take(QUOTED).collect::<String>());
    }
    failures.iter().map(|failure| failure.message.as_str()).collect::<Vec<_>>().join("; ")
}

/// Whether something is drawn for a character.
pub(crate) fn is_seen(character: char) -> bool {
    let ignorable = CodePointSetData::new::<DefaultIgnorableCodePoint>();
    !character.is_control() && !character.is_whitespace() && !ignorable.contains(character)
}

/// Packages in the order in which they are asked, each with what it is asked for.
fn candidates(written: &Written, open: &BTreeSet<char>) -> Vec<(String, BTreeSet<char>)> {
    let (emoji, shown_so) = (CodePointSetData::new::<Emoji>(), CodePointSetData::new::<EmojiPresentation>());
    let asked_for = written.characters.contains(&AS_EMOJI);
    let is_emoji = |c: &&char| shown_so.contains(**c) || (asked_for && (emoji.contains(**c) || **c == KEYCAP));
    let mut candidates = vec![(EMOJI.package.to_owned(), open.iter().filter(is_emoji).copied().collect())];
    let mut scripts: BTreeMap<String, BTreeSet<char>> = BTreeMap::new();
    for character in open {
        let package = script_of(*character).map(|script| package_of(script, written));
        scripts.entry(package.unwrap_or_default()).or_default().insert(*character);
    }
    let signs = scripts.remove("").unwrap_or_default();
    candidates.extend(scripts.into_iter().map(|(name, characters)| (format!("@fontsource/{name}"), characters)));
    let signs_that = |are: fn(char) -> bool| signs.iter().copied().filter(|c| are(*c)).collect::<BTreeSet<_>>();
    candidates.push((TEXT.package.to_owned(), signs_that(is_of_text)));
    candidates.push((TERMINAL.package.to_owned(), signs_that(is_of_terminals)));
    candidates.extend(SIGNS.map(|name| (name.to_owned(), signs.clone())));
    candidates
}

/// Signs that stand between letters and look like them: punctuation, marks, small digits, fractions, currencies, ligatures.
fn is_of_text(sign: char) -> bool {
    const SYMBOLS: RangeInclusive<char> = '\u{2190}'..='\u{2bff}';
    sign < '\u{10000}' && !SYMBOLS.contains(&sign)
}

/// Lines and blocks.
fn is_of_terminals(sign: char) -> bool {
    ('\u{2500}'..='\u{259f}').contains(&sign)
}

/// The script whose fonts have a character; none for signs, and for letters that nearly all fonts have.
fn script_of(character: char) -> Option<Script> {
    match character {
        '฿' => Some(Script::Thai),
        // Punctuation and forms of East Asia.
        '\u{2e80}'..='\u{303f}' | '\u{fe30}'..='\u{fe4f}' | '\u{ff00}'..='\u{ffef}' => Some(Script::Han),
        _ => {
            let script = CodePointMapData::<Script>::new().get(character);
            let usual = [
                Script::Common,
                Script::Inherited,
                Script::Latin,
                Script::Greek,
                Script::Cyrillic,
                Script::Braille,
                Script::Unknown,
            ];
            (!usual.contains(&script)).then_some(script)
        }
    }
}

/// The package of a script's fonts.
fn package_of(script: Script, written: &Written) -> String {
    let language = written.language.to_lowercase();
    let writes = |script: Script| written.characters.iter().any(|c| script_of(*c) == Some(script));
    let speaks = |tag: &str| language == tag || language.starts_with(&format!("{tag}-"));
    match script {
        Script::Hiragana | Script::Katakana => "noto-sans-jp".to_owned(),
        Script::Hangul => "noto-sans-kr".to_owned(),
        Script::Bopomofo => "noto-sans-tc".to_owned(),
        Script::Han if speaks("zh-hk") => "noto-sans-hk".to_owned(),
        Script::Han if speaks("zh-tw") || speaks("zh-hant") || writes(Script::Bopomofo) => "noto-sans-tc".to_owned(),
        Script::Han if speaks("zh") => "noto-sans-sc".to_owned(),
        Script::Han if speaks("ja") || writes(Script::Hiragana) || writes(Script::Katakana) => {
            "noto-sans-jp".to_owned()
        }
        Script::Han if speaks("ko") || writes(Script::Hangul) => "noto-sans-kr".to_owned(),
        Script::Han => "noto-sans-sc".to_owned(),
        Script::Tibetan => "noto-serif-tibetan".to_owned(),
        script => {
            let name = PropertyNamesLong::<Script>::new().get(script).unwrap_or_default();
            format!("noto-sans-{}", name.to_lowercase().replace('_', "-"))
        }
    }
}

/// Those files of a package that have one of the characters that are wanted.
fn chosen(package: &Package, wanted: &BTreeSet<char>, written: &BTreeSet<char>) -> Vec<Font> {
    #[derive(Deserialize)]
    struct Metadata {
        family: String,
    }
    let family = || Some(serde_json::from_slice::<Metadata>(&package.file("metadata.json")?).ok()?.family);
    // Both become parts of a path.
    let is_name = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || [' ', '-'].contains(&c));
    let font = |family: &str, name: &str, content: Vec<u8>| {
        let has = had(&content, written);
        let usable = !has.is_disjoint(wanted) && !family.is_empty() && is_name(family) && is_name(name);
        usable.then(|| Font { family: family.to_owned(), name: name.to_owned(), content, has })
    };
    if let Some(Whole { family, files, .. }) = WHOLE.iter().find(|whole| whole.package == package.name) {
        let whole = |path: &&str| {
            let name = path.trim_end_matches(".ttf").replace(['/', '_'], "-");
            font(family, &name, without_svg(&package.file(path)?)?)
        };
        return files.iter().filter_map(whole).collect();
    }
    let family = family().unwrap_or_default();
    let unpacked = |(path, packed): (String, Bytes)| {
        let name = path.trim_start_matches("files/").trim_end_matches(".woff2");
        font(&family, name, wuff::decompress_woff2(&packed).ok()?)
    };
    pieces(package, wanted).into_iter().filter_map(unpacked).collect()
}

/// A font without the table `SVG `, which are four fifths of the emoji and beside `COLR` of no use.
fn without_svg(font: &[u8]) -> Option<Vec<u8>> {
    let font = FontRef::new(font).ok()?;
    let tags = font.table_directory().table_records().iter().map(TableRecord::tag);
    let mut without = FontBuilder::new();
    for tag in tags.filter(|tag| *tag != Tag::new(b"SVG ")) {
        without.add_raw(tag, font.data_for_tag(tag)?.as_bytes());
    }
    Some(without.build())
}

fn named(package: &Package, path: &str) -> Option<(String, Bytes)> {
    Some((path.to_owned(), package.file(path)?))
}

/// The pieces of a package of fontsource whose ranges hold one of these characters.
fn pieces(package: &Package, wanted: &BTreeSet<char>) -> Vec<(String, Bytes)> {
    let ranges = package.file("unicode.json").and_then(|text| serde_json::from_slice(&text).ok());
    let ranges: BTreeMap<String, String> = ranges.unwrap_or_default();
    let slug = package.name.trim_start_matches("@fontsource/");
    // The ranges of large alphabets tell their pieces apart; those of a few do not say where everything is.
    let is_large = ranges.len() > MOST_SUBSETS;
    let subsets = ranges.iter().filter(|(_, range)| !is_large || wanted.iter().any(|c| lies_in(range, *c)));
    let file = |subset: &str, weight| {
        named(package, &format!("files/{slug}-{}-{weight}-normal.woff2", subset.trim_matches(['[', ']'])))
    };
    subsets.flat_map(|(subset, _)| WEIGHTS.into_iter().filter_map(move |weight| file(subset, weight))).collect()
}

/// Those of some characters that a font has.
fn had(font: &[u8], wanted: &BTreeSet<char>) -> BTreeSet<char> {
    let Ok(face) = ttf_parser::Face::parse(font, 0) else { return BTreeSet::new() };
    wanted.iter().copied().filter(|character| face.glyph_index(*character).is_some()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, language: &str, expected: &[&str]) {
        let written = Written { characters: text.chars().collect(), language: language.to_owned() };
        let open = written.characters.iter().copied().filter(|c| is_seen(*c)).collect();
        let named = candidates(&written, &open).into_iter().filter(|(_, asked)| !asked.is_empty());
        let named: Vec<_> = named.map(|(name, _)| name.trim_start_matches("@fontsource/").to_owned()).collect();
        assert_eq!(named, expected, "{text}");
    }

    #[test]
    fn packages_follow_scripts_and_languages() {
        let signs = SIGNS.map(|name| name.trim_start_matches("@fontsource/"));
        let (emoji, text, terminal) = ([EMOJI.package], [TEXT.package], [TERMINAL.package]);
        check("→⠋", "en", &signs);
        for of_text in ["\u{2011}", "₂", "‰", "\u{336}", "ﬁ"] {
            check(of_text, "", &[&text, signs.as_slice()].concat());
        }
        check("├█", "", &[&terminal, signs.as_slice()].concat());
        check("བོད", "", &["noto-serif-tibetan"]);
        check("漢字", "", &["noto-sans-sc"]);
        check("漢字。", "zh-TW", &["noto-sans-tc"]);
        check("漢字かな", "", &["noto-sans-jp"]);
        check("漢字한글", "", &["noto-sans-kr"]);
        check("ไทย฿", "", &["noto-sans-thai"]);
        check("नमस्ते", "", &["noto-sans-devanagari"]);
        check("😀", "", &[&emoji, signs.as_slice()].concat());
        check("❤", "", &signs);
        check("❤\u{fe0f}", "", &[&emoji, signs.as_slice()].concat());
    }

    #[test]
    fn a_font_that_is_cut_short_is_none() {
        let wanted = BTreeSet::from(['a']);
        let font =
            crate::fonts::FACES.iter().map(|face| face.content).find(|font| had(font, &wanted) == wanted).unwrap();
        let whole = without_svg(font).unwrap();
        assert_eq!(had(&whole, &wanted), wanted);
        for length in (0..font.len() - 1).step_by(101) {
            assert!(without_svg(&font[..length]).is_none_or(|cut| had(&cut, &wanted).len() <= 1), "{length}");
        }
        assert!(without_svg(&font[..1000]).is_none() && without_svg(b"<html>").is_none());
    }
}
