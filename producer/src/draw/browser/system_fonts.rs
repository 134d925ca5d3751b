//! The fonts the browser finds on its system: the bundled families and nothing else.
//!
//! Fonts of the machine would make pixels depend on the machine, and no font at all makes text vanish. So the browser
//! gets a font configuration of its own, in which every generic family is Inter, and a character that no bundled font
//! has is a visible box: the glyph of a font that has every character, which planning recognises by its name.

use std::path::{Path, PathBuf};

use super::Result;
use crate::{
    files,
    fonts::{ALIASES, DEFAULT, FACES, families},
};

/// A font with one glyph, a box, for every character that is seen at all. Made with fontTools: `cmap` format 13.
const BOXES: &[u8] = include_bytes!("missing_glyph.ttf");

/// The name of that font's family.
pub(crate) const MISSING_GLYPH: &str = "Missing Glyph";

/// Writes fonts and configuration into a browser's profile and returns the configuration's path.
pub(super) fn install(profile: &Path) -> Result<PathBuf> {
    let folder = profile.join("fonts");
    files::create_dir(&folder)?;
    for face in FACES {
        files::write(&folder.join(face.file), face.content)?;
    }
    files::write(&folder.join("missing-glyph.ttf"), BOXES)?;
    let config = profile.join("fonts.conf");
    files::write(&config, configuration(&folder, &profile.join("fontconfig")))?;
    Ok(config)
}

fn configuration(folder: &Path, cache: &Path) -> String {
    let string = |text: &str| format!("<string>{text}</string>");
    let mut rules = String::new();
    // Fonts of weight 900 name themselves a family of their own.
    for family in families() {
        rules += &format!(
            "<match target=\"scan\"><test name=\"family\">{}</test><edit name=\"family\">{}</edit></match>\n",
            string(&format!("{family} Black")),
            string(family)
        );
    }
    // It has every language's characters and must still come after the font that really has them.
    rules += &format!(
        "<match target=\"scan\"><test name=\"family\">{}</test><edit name=\"lang\"><langset><string>zxx</string></langset></edit></match>\n",
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
    let rest = format!("{}{others}{}", string(DEFAULT), string(MISSING_GLYPH));
    format!(
        "<?xml version=\"1.0\"?>\n<!DOCTYPE fontconfig SYSTEM \"fonts.dtd\">\n<fontconfig>\n\
         <dir>{}</dir><cachedir>{}</cachedir>\n{rules}\
         <match target=\"pattern\"><edit name=\"family\" mode=\"append_last\" binding=\"weak\">{rest}</edit></match>\n\
         <match target=\"pattern\"><edit name=\"antialias\"><bool>true</bool></edit><edit name=\"hinting\"><bool>false</bool></edit>\
         <edit name=\"hintstyle\"><const>hintnone</const></edit><edit name=\"rgba\"><const>none</const></edit></match>\n\
         </fontconfig>\n",
        folder.display(),
        cache.display()
    )
}
