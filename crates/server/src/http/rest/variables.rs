//! `/projects/{project}/variables`.

use super::api::Api;

pub(super) fn declare(_: &mut Api) {}
