//! The fonts the browser finds on its system: the bundled families, those that a plan has besides, and nothing else.
//!
//! Fonts of the machine would make pixels depend on the machine, and no font at all makes text vanish. So the browser
//! gets a font configuration of its own, in which every generic family is Inter, and a character that no bundled font
//! has is a visible box: the glyph of a font that has every character, which planning recognises by its name.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use walkdir::WalkDir;

use super::Result;
use crate::{
    files,
    fonts::{ALIASES, DEFAULT, FACES, families},
    remote::rank,
};

/// A font with one glyph, a box, for every character that is seen at all. Made with fontTools: `cmap` format 13.
const BOXES: &[u8] = include_bytes!("missing_glyph.ttf");

/// The character by which Chromium finds a font of emoji (found out by trying all; version 156).
const EMOJI_OF_CHROMIUM: char = '\u{1f46a}';

/// The name of that font's family.
pub(crate) const MISSING_GLYPH: &str = "Missing Glyph";

/// Writes fonts and configuration into a browser's profile and returns the configuration's path. `fallbacks` may hold a folder
/// of fonts for each of some more families, which come after all others.
pub(super) fn install(profile: &Path, fallbacks: &Path) -> Result<PathBuf> {
    let folder = profile.join("fonts");
    files::create_dir(&folder)?;
    for face in FACES {
        files::write(&folder.join(face.file), face.content)?;
    }
    files::write(&folder.join("missing-glyph.ttf"), BOXES)?;
    let config = profile.join("fonts.conf");
    files::write(&config, configuration(&folder, &Fallbacks::of(fallbacks)?, &profile.join("fontconfig")))?;
    Ok(config)
}

/// Families that come after the bundled ones.
#[derive(Default)]
struct Fallbacks {
    /// By name.
    folders: BTreeMap<String, PathBuf>,
    characters: BTreeSet<u32>,
}

impl Fallbacks {
    fn of(folder: &Path) -> Result<Self> {
        let mut fallbacks = Self::default();
        for entry in WalkDir::new(folder).min_depth(1).sort_by_file_name().into_iter().flatten() {
            if entry.file_type().is_dir() {
                let family = entry.file_name().to_string_lossy().into_owned();
                fallbacks.folders.insert(family, entry.into_path());
            } else {
                fallbacks.characters.extend(characters(&files::read(entry.path())?));
            }
        }
        Ok(fallbacks)
    }
}

fn characters(font: &[u8]) -> Vec<u32> {
    let mut characters = Vec::new();
    let face = ttf_parser::Face::parse(font, 0).ok();
    let tables = face.and_then(|face| face.tables().cmap).map(|cmap| cmap.subtables).into_iter().flatten();
    tables.filter(ttf_parser::cmap::Subtable::is_unicode).for_each(|table| table.codepoints(|c| characters.push(c)));
    characters
}

fn configuration(folder: &Path, fallbacks: &Fallbacks, cache: &Path) -> String {
    let string = |text: &str| format!("<string>{}</string>", html_escape::encode_text(text));
    let mut rules = String::new();
    // Fonts of weight 900 name themselves a family of their own.
    for family in families() {
        rules += &format!(
            "<match target=\"scan\"><test name=\"family\">{}</test><edit name=\"family\">{}</edit></match>\n",
            string(&format!("{family} Black")),
            string(family)
        );
    }
    // Pieces of a family have names of all kinds.
    for (family, folder) in &fallbacks.folders {
        rules += &format!(
            "<match target=\"scan\"><test name=\"file\" compare=\"contains\">{}</test><edit name=\"family\">{}</edit></match>\n",
            string(&folder.to_string_lossy()),
            string(family)
        );
    }
    // It has every language's characters and must still come after the font that really has them. Whoever has the character
    // that Chromium looks for emoji with has them all.
    let emoji = Some(u32::from(EMOJI_OF_CHROMIUM)).filter(|_| !fallbacks.characters.is_empty());
    let had = fallbacks.characters.iter().chain(&emoji);
    let had: String = had.map(|character| format!("<int>{character}</int>")).collect();
    rules += &format!(
        "<match target=\"scan\"><test name=\"family\">{}</test><edit name=\"lang\"><langset><string>zxx</string></langset></edit>\
         <edit name=\"charset\"><minus><name>charset</name><charset>{had}</charset></minus></edit></match>\n",
        string(MISSING_GLYPH)
    );
    for (family, names) in ALIASES {
        for name in names {
            rules += &format!(
                "<match target=\"pattern\"><test name=\"family\">{}</test><edit name=\"family\" binding=\"same\">{}</edit></match>\n",
                string(name),
                string(family)
            );
        }
    }
    // What nobody asked for comes last, Inter first of it.
    let others: String = families().into_iter().filter(|family| *family != DEFAULT).map(string).collect();
    let mut last: Vec<_> = fallbacks.folders.keys().collect();
    last.sort_by_key(|family| rank(family));
    let last: String = last.into_iter().map(|family| string(family)).collect();
    let rest = format!("{}{others}{last}{}", string(DEFAULT), string(MISSING_GLYPH));
    let folders = [folder].into_iter().chain(fallbacks.folders.values().map(PathBuf::as_path));
    let folders = folders.map(|folder| format!("<dir>{}</dir>", html_escape::encode_text(&folder.to_string_lossy())));
    format!(
        "<?xml version=\"1.0\"?>\n<!DOCTYPE fontconfig SYSTEM \"fonts.dtd\">\n<fontconfig>\n\
         {}<cachedir>{}</cachedir>\n{rules}\
         <match target=\"pattern\"><edit name=\"family\" mode=\"append_last\" binding=\"weak\">{rest}</edit></match>\n\
         <match target=\"pattern\"><edit name=\"antialias\"><bool>true</bool></edit><edit name=\"hinting\"><bool>false</bool></edit>\
         <edit name=\"hintstyle\"><const>hintnone</const></edit><edit name=\"rgba\"><const>none</const></edit></match>\n\
         </fontconfig>\n",
        folders.collect::<String>(),
        cache.display()
    )
}
