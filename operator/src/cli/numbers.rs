//! Numbers as people read them.

use std::time::Duration;

use jiff::Timestamp;

/// `3 s`, `1 min 20 s`, `2 h 5 min`.
pub(crate) fn time(time: Duration) -> String {
    let seconds = (time + Duration::from_millis(500)).as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0..10) if time < Duration::from_secs(10) => format!("{:.1} s", time.as_secs_f64()),
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

/// `12s`, `5m`, `3h`, `2d`: how old something is, as kubectl says it.
pub(crate) fn age(since: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(since).as_secs().max(0);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// `1 render`, `2 renders`.
pub(crate) fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short() {
        let times = [0.04, 3.1, 9.96, 59.4, 80.0, 7_500.0].map(|seconds| time(Duration::from_secs_f64(seconds)));
        assert_eq!(times, ["0.0 s", "3.1 s", "10 s", "59 s", "1 min 20 s", "2 h 5 min"]);
        let at = |second| Timestamp::from_second(second).unwrap();
        let ages = [5, 119, 120, 7_200, 200_000].map(|seconds| age(at(0), at(seconds)));
        assert_eq!(ages, ["5s", "119s", "2m", "2h", "2d"]);
        assert_eq!([0, 1, 2].map(|number| count(number, "render")), ["0 renders", "1 render", "2 renders"]);
    }
}
