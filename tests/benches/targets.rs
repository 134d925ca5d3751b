//! What is wanted of the numbers.

use serde_json::{Value, json};

use crate::Measured;

/// A number and what is wanted of it.
pub struct Target {
    what: String,
    measured: f64,
    wanted: Wanted,
}

enum Wanted {
    AtLeast(f64),
    AtMost(f64),
}

pub fn targets(measured: &[Measured]) -> Vec<Target> {
    let mut targets = Vec::new();
    let mut target = |name: &str, what: &str, measured, wanted| {
        targets.push(Target { what: format!("{name}: {what}"), measured, wanted });
    };
    for measured in measured {
        target(measured.name, "chunk process to first frame, ms", measured.first_frame_ms, Wanted::AtMost(600.0));
    }
    let cards = &measured[0];
    target(cards.name, "draw and take, CPU ms/frame", cards.cpu[1] + cards.cpu[2], Wanted::AtMost(20.0));
    if let (Some(upstream), Some(ratio)) = (&cards.upstream, cards.ratio()) {
        target(cards.name, "upstream's time / ours", ratio, Wanted::AtLeast(2.0));
        target(cards.name, "SSIM-Y, mean", cards.ours.mean_ssim(), Wanted::AtLeast(upstream.mean_ssim()));
    }
    targets
}

impl Target {
    fn met(&self) -> bool {
        match self.wanted {
            Wanted::AtLeast(bound) => self.measured >= bound,
            Wanted::AtMost(bound) => self.measured <= bound,
        }
    }

    fn wanted(&self) -> String {
        match self.wanted {
            Wanted::AtLeast(bound) => format!(">= {}", number(bound)),
            Wanted::AtMost(bound) => format!("<= {}", number(bound)),
        }
    }

    pub fn print(&self) {
        let verdict = if self.met() { "ok" } else { "MISSED" };
        println!("{:44}{:>12}{:>12}  {verdict}", self.what, number(self.measured), self.wanted());
    }

    pub fn json(&self) -> Value {
        json!({ "what": self.what, "measured": self.measured, "wanted": self.wanted(), "met": self.met() })
    }
}

/// With as many digits as can make a difference: likeness has more of them.
fn number(value: f64) -> String {
    if value < 1.0 { format!("{value:.5}") } else { format!("{value:.2}") }
}
