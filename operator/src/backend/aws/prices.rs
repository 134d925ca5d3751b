//! What AWS asks for, to estimate by: list prices of us-east-1 for x86-64, August 2026, without free tiers, S3 and logs. Other
//! regions ask for up to a third more.

use crds::Usd;

/// Millionths of a millionth of a dollar for a GB-second of a function (upstream's constant, `sdk/costAccounting.ts`).
const GB_SECOND: u128 = 16_666_700;
/// For a second of the 9.5 GB of `/tmp` that are paid for: the template asks for 10 GB, of which 0.5 are free.
const TMP_SECOND: u128 = 293_550;
/// For a request to a function.
const REQUEST: u128 = 200_000;
/// For a state transition of a standard state machine.
const TRANSITION: u128 = 25_000_000;

/// So many invocations of a function with `memory_mb` MiB that took `billed_ms` together.
pub(super) fn invocations(count: u64, billed_ms: u64, memory_mb: i32) -> Usd {
    let (count, ms, mb) = (u128::from(count), u128::from(billed_ms), u128::try_from(memory_mb).unwrap_or(0));
    rounded(ms * mb * GB_SECOND / (1024 * 1000) + ms * TMP_SECOND / 1000 + count * REQUEST)
}

/// So many state transitions.
pub(super) fn transitions(count: u64) -> Usd {
    rounded(u128::from(count) * TRANSITION)
}

fn rounded(amount: u128) -> Usd {
    Usd::from_millionths(u64::try_from(amount.div_ceil(1_000_000)).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Upstream's own example: 18 invocations at 10 GB, 3492.7 s together, and 23 transitions.
    #[test]
    fn what_upstream_estimates_and_what_it_leaves_out() {
        let lambda = invocations(18, 3_492_700, 10_240).millionths();
        let upstreams = 582_100;
        let storage = 1_026;
        assert!(lambda.abs_diff(upstreams + storage) < 100, "{lambda}");
        assert_eq!(transitions(23).to_string(), "0.000575");
    }
}
