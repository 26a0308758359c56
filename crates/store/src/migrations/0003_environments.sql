-- Environments, and what was deployed to them.

CREATE TABLE environments (
    id {id},
    project_id BIGINT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    -- the name, fit for host names
    slug TEXT NOT NULL,
    -- production, staging, testing, development, other
    tier TEXT NOT NULL,
    -- available, stopping, stopped
    state TEXT NOT NULL,
    state_json TEXT NOT NULL,
    -- counts every change of the row
    version BIGINT NOT NULL,
    -- when the clock stops it
    due_ms BIGINT,
    -- where people find what was deployed
    url TEXT,
    -- the newest deployment that succeeded
    last_deployment_id BIGINT,
    created_ms BIGINT NOT NULL,
    updated_ms BIGINT NOT NULL
);
CREATE UNIQUE INDEX environments_name ON environments (project_id, name);
CREATE INDEX environments_due ON environments (due_ms) WHERE due_ms IS NOT NULL;

-- Kept for as long as the environment, also when retention has taken job and pipeline.
CREATE TABLE deployments (
    id {id},
    environment_id BIGINT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    project_id BIGINT NOT NULL,
    pipeline_id BIGINT NOT NULL,
    job_id BIGINT NOT NULL,
    job_name TEXT NOT NULL,
    -- branch, tag, merge_request
    ref_kind TEXT NOT NULL,
    ref_name TEXT NOT NULL,
    sha TEXT NOT NULL,
    -- created, running, success, failed, canceled
    status TEXT NOT NULL,
    -- the job of the same pipeline that stops the environment
    stop_job_id BIGINT,
    url TEXT,
    -- the job has succeeded, and its url is still to be made of what it left
    url_wanted BIGINT NOT NULL,
    created_ms BIGINT NOT NULL,
    started_ms BIGINT,
    finished_ms BIGINT
);
CREATE INDEX deployments_environment ON deployments (environment_id, id);
CREATE INDEX deployments_job ON deployments (job_id, id);
CREATE INDEX deployments_pipeline ON deployments (pipeline_id);
CREATE INDEX deployments_url_wanted ON deployments (id) WHERE url_wanted = 1;
