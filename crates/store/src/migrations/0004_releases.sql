-- What GitLab's `release` keyword made.

CREATE TABLE releases (
    id {id},
    project_id BIGINT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    tag TEXT NOT NULL,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    -- the commit of the tag
    sha TEXT NOT NULL,
    -- list of texts
    milestones_json TEXT NOT NULL,
    -- list of {name, url, filepath, link_type}
    links_json TEXT NOT NULL,
    -- the job that made it; retention may have taken it
    job_id BIGINT NOT NULL,
    released_ms BIGINT NOT NULL,
    created_ms BIGINT NOT NULL
);
CREATE UNIQUE INDEX releases_tag ON releases (project_id, tag);
