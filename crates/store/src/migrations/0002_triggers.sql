-- Jobs that start other pipelines, pipelines that start by the clock, merge requests.

-- The newest start of each job that starts a pipeline. A row is written together with the job's turn, so that no
-- crash loses one.
CREATE TABLE bridges (
    job_id BIGINT PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
    -- the job's own pipeline
    pipeline_id BIGINT NOT NULL,
    -- counts up with every retry
    attempt BIGINT NOT NULL,
    -- depend, mirror; absent: done once the pipeline is made
    strategy TEXT,
    -- wanted, made, failed
    state TEXT NOT NULL,
    -- the pipeline that was made
    downstream_id BIGINT,
    -- why none was made
    error TEXT,
    -- wanted: not before this time
    due_ms BIGINT,
    since_ms BIGINT NOT NULL
);
CREATE INDEX bridges_pipeline ON bridges (pipeline_id);
CREATE INDEX bridges_downstream ON bridges (downstream_id) WHERE downstream_id IS NOT NULL;
CREATE INDEX bridges_due ON bridges (due_ms) WHERE due_ms IS NOT NULL;

CREATE TABLE schedules (
    id {id},
    project_id BIGINT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    description TEXT NOT NULL,
    -- five fields
    cron TEXT NOT NULL,
    -- IANA name
    time_zone TEXT NOT NULL,
    ref_name TEXT NOT NULL,
    -- encrypted JSON
    variables_sealed TEXT NOT NULL,
    inputs_json TEXT NOT NULL,
    -- login, name, e-mail of its owner, as JSON; absent: the instance
    owner_json TEXT,
    active BIGINT NOT NULL,
    -- absent: never (inactive)
    next_ms BIGINT,
    -- how its newest run went
    last_pipeline_id BIGINT,
    last_outcome TEXT,
    created_ms BIGINT NOT NULL,
    updated_ms BIGINT NOT NULL
);
CREATE INDEX schedules_project ON schedules (project_id, id);
CREATE INDEX schedules_due ON schedules (next_ms) WHERE next_ms IS NOT NULL;

-- Merge requests as the forges tell of them: a branch knows which are open for it.
CREATE TABLE merge_requests (
    project_id BIGINT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    -- the forge's number
    iid BIGINT NOT NULL,
    source_branch TEXT NOT NULL,
    target_branch TEXT NOT NULL,
    -- 1: the source branch is another project's
    forked BIGINT NOT NULL,
    open BIGINT NOT NULL,
    updated_ms BIGINT NOT NULL,
    PRIMARY KEY (project_id, iid)
);
CREATE INDEX merge_requests_open ON merge_requests (project_id, source_branch) WHERE open = 1;
