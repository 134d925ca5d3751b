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
    /// `</head>` says where it ends.
    Closed,
    /// `<body>` says where it ends, and this element where it begins, if one does.
    Open {
        begins: Option<&'static str>,
    },
    /// This element says where it begins, and nothing where it ends.
    Endless {
        begins: &'static str,
    },
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
        let begins = head.get().then_some("head").or(html.get().then_some("html"));
        Ok(match (begins, body.get()) {
            _ if closed.get() => Self::Closed,
            (begins, true) => Self::Open { begins },
            (Some(begins), false) => Self::Endless { begins },
            (None, false) => Self::Fragment,
        })
    }

    /// Which scripts are the body's, if they are none of the second.
    pub(super) const fn scripts(self) -> (&'static str, &'static str) {
        match self {
            Self::Closed => ("script", "template script, head script"),
            Self::Fragment => ("script", "template script"),
            // A head without an end has the body in it, as far as selectors see.
            Self::Open { .. } | Self::Endless { .. } => ("body script", "template script"),
        }
    }

    /// Puts the inserts where the head begins and ends, if this element says where.
    pub(super) fn insert(self, el: &mut Element<'_, '_>, Inserts { first, last, .. }: Inserts<'_>) {
        let tag = el.tag_name();
        match self {
            Self::Closed if tag == "head" => {
                el.prepend(first, ContentType::Html);
                el.append(last, ContentType::Html);
            }
            Self::Open { begins: Some(begins) } if tag == begins => el.prepend(first, ContentType::Html),
            Self::Open { begins: Some(_) } if tag == "body" => el.before(last, ContentType::Html),
            Self::Open { begins: None } if tag == "body" => el.before(&format!("{first}{last}"), ContentType::Html),
            Self::Endless { begins } if tag == begins => el.prepend(&format!("{first}{last}"), ContentType::Html),
            _ => {}
        }
    }
}
