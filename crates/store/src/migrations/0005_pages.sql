-- What GitLab's `pages` published: one row for each place of a project.

CREATE TABLE pages (
    id {id},
    project_id BIGINT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    -- part of a path, empty at the top
    prefix TEXT NOT NULL,
    -- retention may have taken both
    pipeline_id BIGINT NOT NULL,
    job_id BIGINT NOT NULL,
    -- in the archive
    folder TEXT NOT NULL,
    -- the archive, which is kept for as long as it is named here
    size BIGINT NOT NULL,
    sha256 TEXT NOT NULL,
    blob_key TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    expires_ms BIGINT
);
CREATE UNIQUE INDEX pages_place ON pages (project_id, prefix);
CREATE INDEX pages_blob ON pages (blob_key);
