//! What is wanted of the numbers.

use serde_json::{Value, json};

use crate::Measured;

/// A number and what is wanted of it.
pub struct Target {
    what: String,
    measured: f64,
    wanted: Wanted,
}

/// How many times as fast as upstream each composition is to be.
const TIMES: [(&str, f64); 4] = [("cards", 5.0), ("static", 8.0), ("video", 3.0), ("many-scenes", 6.0)];

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
        target(measured.name, "chunk process to first frame, ms", measured.first_frame_ms, Wanted::AtMost(500.0));
        let (Some(upstream), Some(ratio)) = (&measured.upstream, measured.ratio()) else { continue };
        let (_, times) = TIMES.iter().find(|(name, _)| *name == measured.name).expect("a goal for each");
        target(measured.name, "upstream's time / ours", ratio, Wanted::AtLeast(*times));
        if let (Some(ours), Some(theirs)) = (measured.ours.mean_ssim(), upstream.mean_ssim()) {
            target(measured.name, "SSIM-Y, mean", ours, Wanted::AtLeast(theirs));
        }
        let size = measured.ours.bytes as f64 / upstream.bytes as f64;
        target(measured.name, "our file / upstream's", size, Wanted::AtMost(1.1));
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
