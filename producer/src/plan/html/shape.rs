//! Where a document's head is, which HTML lets authors leave out.

use std::cell::Cell;

use lol_html::{
    RewriteStrSettings, end_tag,
    html_content::{ContentType, Element},
    rewrite_str,
};

use super::{Inserts, on};

/// Where `<head>` begins and ends in a document that may not say so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Head { closed: bool },
    Html,
    Body,
    Fragment,
}

impl Shape {
    /// Reads the document once for it.
    pub(super) fn of(source: &str) -> Result<Self, String> {
        let (html, body, head) = (Cell::new(false), Cell::new(false), Cell::new(false));
        let closed = std::rc::Rc::new(Cell::new(false));
        let settings = RewriteStrSettings::new()
            .append_element_content_handler(on("html", |_| {
                html.set(true);
                Ok(())
            }))
            .append_element_content_handler(on("body", |_| {
                body.set(true);
                Ok(())
            }))
            .append_element_content_handler(on("head", |el| {
                head.set(true);
                let closed = closed.clone();
                el.on_end_tag(end_tag!(move |_| {
                    closed.set(true);
                    Ok(())
                }))
            }));
        rewrite_str(source, settings).map_err(|error| error.to_string())?;
        Ok(match (head.get(), html.get(), body.get()) {
            (true, ..) => Self::Head { closed: closed.get() },
            (false, true, _) => Self::Html,
            (false, false, true) => Self::Body,
            (false, false, false) => Self::Fragment,
        })
    }

    /// Puts the inserts where the head begins and ends, if this element says where.
    pub(super) fn insert(self, el: &mut Element<'_, '_>, Inserts { first, last }: Inserts<'_>) {
        match (self, el.tag_name().as_str()) {
            (Self::Head { closed: true }, "head") => {
                el.prepend(first, ContentType::Html);
                el.append(last, ContentType::Html);
            }
            (Self::Head { closed: false }, "head") | (Self::Html, "html") => {
                el.prepend(&format!("{first}{last}"), ContentType::Html);
            }
            (Self::Body, "body") => el.before(&format!("{first}{last}"), ContentType::Html),
            _ => {}
        }
    }
}
