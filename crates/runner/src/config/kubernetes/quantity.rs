//! Amounts as Kubernetes writes them: `500m`, `1.5Gi`, `1e3`.

use std::str::FromStr;

/// An amount, compared by what it means: `1024Mi` equals `1Gi`. Counted in billionths; what is finer is rounded up, as
/// Kubernetes does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quantity(i128);

/// The text is no quantity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a quantity: write it like \"500m\", \"2\" or \"1.5Gi\"")]
pub struct BadQuantity(pub String);

const BILLION: i128 = 1_000_000_000;

/// More digits mean nothing that a machine has.
const MOST_DIGITS: usize = 18;

impl FromStr for Quantity {
    type Err = BadQuantity;

    fn from_str(text: &str) -> Result<Self, BadQuantity> {
        let bad = || BadQuantity(text.to_owned());
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let end = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let (number, suffix) = rest.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let digits = format!("{whole}{fraction}");
        if digits.is_empty() || digits.len() > MOST_DIGITS || fraction.contains('.') {
            return Err(bad());
        }
        let value: i128 = digits.parse().map_err(|_| bad())?;
        let (up, down) = scale(suffix).ok_or_else(bad)?;
        let places = u32::try_from(fraction.len()).map_err(|_| bad())?;
        let above = value
            .checked_mul(up)
            .and_then(|v| v.checked_mul(BILLION))
            .ok_or_else(bad)?;
        let below = down.checked_mul(10_i128.pow(places)).ok_or_else(bad)?;
        let amount = above / below + i128::from(above % below != 0);
        Ok(Self(if negative { -amount } else { amount }))
    }
}

/// What a suffix multiplies by, and what it divides by.
fn scale(suffix: &str) -> Option<(i128, i128)> {
    let binary = |power: u32| (1_i128 << (10 * power), 1);
    let decimal = |power: u32| (10_i128.pow(power), 1);
    Some(match suffix {
        "" => (1, 1),
        "n" => (1, BILLION),
        "u" => (1, 1_000_000),
        "m" => (1, 1000),
        "k" => decimal(3),
        "M" => decimal(6),
        "G" => decimal(9),
        "T" => decimal(12),
        "P" => decimal(15),
        "E" => decimal(18),
        "Ki" => binary(1),
        "Mi" => binary(2),
        "Gi" => binary(3),
        "Ti" => binary(4),
        "Pi" => binary(5),
        "Ei" => binary(6),
        other => {
            let power: i32 = other.strip_prefix(['e', 'E'])?.parse().ok()?;
            let size = 10_i128.pow(power.unsigned_abs().min(19));
            match power {
                -18..=-1 => (1, size),
                0..=18 => (size, 1),
                _ => return None,
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Covers: GK-RES-37
    #[test]
    fn amounts_are_compared_by_what_they_mean() {
        let amount = |text: &str| text.parse::<Quantity>().ok();
        for (less, more) in [
            ("500m", "1"),
            ("999m", "1"),
            ("1G", "1Gi"),
            ("2", "10"),
            ("9Mi", "10Mi"),
            ("1023Mi", "1Gi"),
            ("0.5", "501m"),
            ("1e3", "1001"),
            ("1", "1.000000001"),
            ("-1", "0"),
        ] {
            assert!(amount(less).is_some() && amount(less) < amount(more), "{less} < {more}");
        }
        for (left, right) in [
            ("1000m", "1"),
            ("1024Mi", "1Gi"),
            ("1.5Gi", "1536Mi"),
            ("1E", "1e18"),
            ("1E2", "100"),
            (".5", "500m"),
            ("5.", "5"),
            ("+3", "3"),
            ("0.0000000001", "1n"),
        ] {
            assert!(
                amount(left).is_some() && amount(left) == amount(right),
                "{left} = {right}"
            );
        }
        for bad in [
            "",
            "abc",
            "1 Gi",
            "1gi",
            "1K",
            "--1",
            "1.2.3",
            "1e",
            "1e99",
            "9999999999999999999",
            "1Gii",
            "½",
        ] {
            assert_eq!(amount(bad), None, "{bad}");
        }
    }
}
