//! Go decodes `null` into the zero value of any field; so do we.

use serde::{Deserialize, Deserializer};
use tasuki_model::secret::Secret;

/// For `#[serde(default, deserialize_with = "nullable")]`: `null` reads as the default.
pub(super) fn nullable<'de, D, T>(input: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Option::<T>::deserialize(input).map(Option::unwrap_or_default)
}

/// For `skip_serializing_if`.
pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// No token: it stands in the header then.
pub(super) fn no_token() -> Secret {
    Secret::new("")
}

/// As [`nullable`] for a token.
pub(super) fn token<'de, D: Deserializer<'de>>(input: D) -> Result<Secret, D::Error> {
    Option::<Secret>::deserialize(input).map(|token| token.unwrap_or_else(no_token))
}

/// An exit code as 32 bits: systems that count without sign (`0xC000013A`) are folded, what is larger is cut off.
pub(super) fn exit_code<'de, D: Deserializer<'de>>(input: D) -> Result<i32, D::Error> {
    let code = Option::<i64>::deserialize(input)?.unwrap_or(0);
    Ok(i32::try_from(code).unwrap_or_else(|_| match u32::try_from(code) {
        Ok(unsigned) => unsigned.cast_signed(),
        Err(_) if code < 0 => i32::MIN,
        Err(_) => i32::MAX,
    }))
}

/// A number of bytes; a negative one counts as none.
pub(super) fn size<'de, D: Deserializer<'de>>(input: D) -> Result<u64, D::Error> {
    let size = Option::<i64>::deserialize(input)?.unwrap_or(0);
    Ok(u64::try_from(size).unwrap_or(0))
}
