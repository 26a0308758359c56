//! What starts pipelines: forges, local folders, schedules, the API.
