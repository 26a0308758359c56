-- Projects, pipelines, jobs, tasks, runners, logs, files, accounts.
--
-- One text for both databases. {id} is the generated primary key, {blob} the byte type.
-- *_ms are milliseconds since 1970 (UTC); truth values are 0 and 1; *_json is JSON text.
-- A lifecycle is a tag (`state`, what queries look at) and the variant's data (`state_json`).
-- Wide texts that never change stand in tables of their own, because an update writes the whole row.

CREATE TABLE settings (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

CREATE TABLE users (
    id {id},
    login TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    email TEXT NOT NULL,
    -- admin, member, reader
    role TEXT NOT NULL,
    -- PHC string of argon2id; absent: cannot log in with a password
    password_hash TEXT,
    blocked BIGINT NOT NULL,
    created_ms BIGINT NOT NULL
);

CREATE TABLE sessions (
    -- SHA-256 of the cookie, hex
    hash TEXT PRIMARY KEY,
    user_id BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_ms BIGINT NOT NULL,
    expires_ms BIGINT NOT NULL,
    agent TEXT NOT NULL
);
CREATE INDEX sessions_user ON sessions (user_id);
CREATE INDEX sessions_expiry ON sessions (expires_ms);

CREATE TABLE projects (
    id {id},
    -- namespace/name
    path TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    -- local, gitlab, github, gitea, git
    kind TEXT NOT NULL,
    -- folder or URL of the repository
    url TEXT NOT NULL,
    default_branch TEXT NOT NULL,
    settings_json TEXT NOT NULL,
    -- the iid of the newest pipeline
    last_iid BIGINT NOT NULL,
    created_ms BIGINT NOT NULL,
    updated_ms BIGINT NOT NULL
);

-- What was last seen at each ref of a project: a push is the difference.
CREATE TABLE refs (
    project_id BIGINT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    -- refs/heads/main
    name TEXT NOT NULL,
    sha TEXT NOT NULL,
    seen_ms BIGINT NOT NULL,
    PRIMARY KEY (project_id, name)
);

CREATE TABLE pipelines (
    id {id},
    project_id BIGINT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    -- counts up within the project
    iid BIGINT NOT NULL,
    -- a trigger that is repeated with the same key gives the same pipeline
    idempotency_key TEXT UNIQUE,
    source TEXT NOT NULL,
    -- branch, tag, merge_request
    ref_kind TEXT NOT NULL,
    ref_name TEXT NOT NULL,
    sha TEXT NOT NULL,
    title TEXT NOT NULL,
    author TEXT NOT NULL,
    -- name of the pipeline (GitLab workflow:name)
    name TEXT,
    state TEXT NOT NULL,
    state_json TEXT NOT NULL,
    -- counts every change of the pipeline and of anything in it
    version BIGINT NOT NULL,
    priority BIGINT NOT NULL,
    job_count BIGINT NOT NULL,
    -- retention never takes it
    kept BIGINT NOT NULL,
    created_ms BIGINT NOT NULL,
    started_ms BIGINT,
    finished_ms BIGINT
);
CREATE INDEX pipelines_project ON pipelines (project_id, id);
CREATE INDEX pipelines_ref ON pipelines (project_id, ref_name, id);
CREATE UNIQUE INDEX pipelines_iid ON pipelines (project_id, iid);
CREATE INDEX pipelines_live ON pipelines (id) WHERE finished_ms IS NULL;
CREATE INDEX pipelines_finished ON pipelines (finished_ms) WHERE finished_ms IS NOT NULL;

CREATE TABLE pipeline_details (
    pipeline_id BIGINT PRIMARY KEY REFERENCES pipelines (id) ON DELETE CASCADE,
    trigger_json TEXT NOT NULL,
    -- the Plan without its jobs
    plan_json TEXT NOT NULL,
    diagnostics_json TEXT NOT NULL
);

CREATE TABLE workflows (
    id {id},
    pipeline_id BIGINT NOT NULL REFERENCES pipelines (id) ON DELETE CASCADE,
    idx BIGINT NOT NULL,
    name TEXT NOT NULL,
    state TEXT NOT NULL,
    state_json TEXT NOT NULL,
    started_ms BIGINT,
    finished_ms BIGINT
);
CREATE UNIQUE INDEX workflows_pipeline ON workflows (pipeline_id, idx);

CREATE TABLE jobs (
    id {id},
    pipeline_id BIGINT NOT NULL REFERENCES pipelines (id) ON DELETE CASCADE,
    project_id BIGINT NOT NULL,
    workflow_id BIGINT NOT NULL,
    -- position in the pipeline
    idx BIGINT NOT NULL,
    name TEXT NOT NULL,
    stage TEXT NOT NULL,
    stage_idx BIGINT NOT NULL,
    state TEXT NOT NULL,
    state_json TEXT NOT NULL,
    -- what the graph needs to know of the job
    graph_json TEXT NOT NULL,
    -- when the clock has something to do with it: a delay ends, an approval lapses
    due_ms BIGINT,
    created_ms BIGINT NOT NULL,
    started_ms BIGINT,
    finished_ms BIGINT
);
CREATE UNIQUE INDEX jobs_pipeline ON jobs (pipeline_id, idx);
CREATE INDEX jobs_due ON jobs (due_ms) WHERE due_ms IS NOT NULL;

CREATE TABLE job_plans (
    job_id BIGINT PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
    plan_json TEXT NOT NULL
);

CREATE TABLE needs (
    pipeline_id BIGINT NOT NULL REFERENCES pipelines (id) ON DELETE CASCADE,
    job_id BIGINT NOT NULL,
    needs_job_id BIGINT NOT NULL,
    artifacts BIGINT NOT NULL,
    PRIMARY KEY (pipeline_id, job_id, needs_job_id)
);

CREATE TABLE resource_groups (
    project_id BIGINT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    key TEXT NOT NULL,
    -- the process mode
    mode TEXT NOT NULL,
    PRIMARY KEY (project_id, key)
);

-- Jobs that hold a resource group or wait for it.
CREATE TABLE resource_claims (
    job_id BIGINT PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
    project_id BIGINT NOT NULL,
    key TEXT NOT NULL,
    pipeline_id BIGINT NOT NULL,
    held BIGINT NOT NULL,
    since_ms BIGINT NOT NULL
);
CREATE INDEX resource_claims_group ON resource_claims (project_id, key, job_id);

CREATE TABLE resource_classes (
    id {id},
    -- namespace/name
    name TEXT NOT NULL UNIQUE,
    description TEXT NOT NULL,
    created_ms BIGINT NOT NULL
);

CREATE TABLE runners (
    id {id},
    -- SHA-256 of its token, hex
    token_hash TEXT NOT NULL UNIQUE,
    description TEXT NOT NULL,
    -- instance, project
    scope TEXT NOT NULL,
    project_id BIGINT REFERENCES projects (id) ON DELETE CASCADE,
    resource_class_id BIGINT REFERENCES resource_classes (id) ON DELETE CASCADE,
    tags_json TEXT NOT NULL,
    run_untagged BIGINT NOT NULL,
    locked BIGINT NOT NULL,
    paused BIGINT NOT NULL,
    -- not_protected, ref_protected
    access_level TEXT NOT NULL,
    maximum_timeout_s BIGINT,
    maintenance_note TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    token_expires_ms BIGINT,
    contact_ms BIGINT
);

-- The processes behind a runner's token.
CREATE TABLE managers (
    runner_id BIGINT NOT NULL REFERENCES runners (id) ON DELETE CASCADE,
    system_id TEXT NOT NULL,
    info_json TEXT NOT NULL,
    address TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    contact_ms BIGINT NOT NULL,
    PRIMARY KEY (runner_id, system_id)
);

CREATE TABLE tasks (
    id {id},
    job_id BIGINT NOT NULL,
    pipeline_id BIGINT NOT NULL REFERENCES pipelines (id) ON DELETE CASCADE,
    project_id BIGINT NOT NULL,
    parallel_index BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    -- queued, … (tasuki_model::state::task)
    state TEXT NOT NULL,
    state_json TEXT NOT NULL,
    version BIGINT NOT NULL,
    priority BIGINT NOT NULL,
    -- what matching looks at: tags, resource class, protection, features
    match_json TEXT NOT NULL,
    queued_ms BIGINT NOT NULL,
    claimed_ms BIGINT,
    started_ms BIGINT,
    finished_ms BIGINT,
    contact_ms BIGINT,
    runner_id BIGINT,
    system_id TEXT,
    -- SHA-256 of the task's token, hex: its fencing token
    token_hash TEXT,
    exit_code BIGINT,
    failure_reason TEXT
);
CREATE INDEX tasks_pipeline ON tasks (pipeline_id, job_id);
-- Small whatever the history: claims, leases and tokens look only here.
CREATE INDEX tasks_live ON tasks (id) WHERE finished_ms IS NULL;
CREATE INDEX tasks_token ON tasks (token_hash) WHERE finished_ms IS NULL;

CREATE TABLE logs (
    task_id BIGINT PRIMARY KEY REFERENCES tasks (id) ON DELETE CASCADE,
    -- bytes, and the CRC-32 (IEEE) over all of them
    size BIGINT NOT NULL,
    crc BIGINT NOT NULL,
    -- bytes below this offset are in segments, the others in chunks
    sealed BIGINT NOT NULL,
    -- 1: nothing is appended any more
    finished BIGINT NOT NULL,
    -- 1: the size limit was reached and said so in the log
    limited BIGINT NOT NULL,
    -- 1: written with debug tracing on, so fewer people may read it
    debug BIGINT NOT NULL,
    updated_ms BIGINT NOT NULL
);
CREATE INDEX logs_unsealed ON logs (task_id) WHERE finished = 1 AND size - sealed >= 4096;

CREATE TABLE log_chunks (
    task_id BIGINT NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
    start BIGINT NOT NULL,
    data {blob} NOT NULL,
    PRIMARY KEY (task_id, start)
);

CREATE TABLE log_segments (
    task_id BIGINT NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
    start BIGINT NOT NULL,
    -- bytes of log in it
    length BIGINT NOT NULL,
    -- zstd, here or in the blob store
    data {blob},
    blob_key TEXT,
    packed BIGINT NOT NULL,
    PRIMARY KEY (task_id, start)
);

-- Keys whose content is to be deleted from the blob store once due. Written together with whatever makes
-- the content superfluous, and before an upload starts (then due much later), so that a crash leaves no orphan.
CREATE TABLE blob_trash (
    key TEXT PRIMARY KEY,
    due_ms BIGINT NOT NULL
);
CREATE INDEX blob_trash_due ON blob_trash (due_ms);

CREATE TABLE artifacts (
    id {id},
    task_id BIGINT NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
    job_id BIGINT NOT NULL,
    pipeline_id BIGINT NOT NULL,
    project_id BIGINT NOT NULL,
    -- archive, metadata, junit, dotenv, …
    kind TEXT NOT NULL,
    -- zip, gzip, raw
    format TEXT NOT NULL,
    filename TEXT NOT NULL,
    size BIGINT NOT NULL,
    sha256 TEXT NOT NULL,
    blob_key TEXT NOT NULL,
    -- public, developer, maintainer, none
    access TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    -- absent: kept for ever
    expires_ms BIGINT
);
CREATE UNIQUE INDEX artifacts_task ON artifacts (task_id, kind, filename);
CREATE INDEX artifacts_pipeline ON artifacts (pipeline_id);
CREATE INDEX artifacts_expiry ON artifacts (expires_ms) WHERE expires_ms IS NOT NULL;

CREATE TABLE caches (
    id {id},
    project_id BIGINT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    key TEXT NOT NULL,
    size BIGINT NOT NULL,
    sha256 TEXT NOT NULL,
    blob_key TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    used_ms BIGINT NOT NULL
);
CREATE UNIQUE INDEX caches_key ON caches (project_id, key);
CREATE INDEX caches_used ON caches (used_ms);

CREATE TABLE tokens (
    id {id},
    -- SHA-256, hex
    hash TEXT NOT NULL UNIQUE,
    -- admin, api, registration, resource_class, trigger
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    user_id BIGINT REFERENCES users (id) ON DELETE CASCADE,
    project_id BIGINT REFERENCES projects (id) ON DELETE CASCADE,
    resource_class_id BIGINT REFERENCES resource_classes (id) ON DELETE CASCADE,
    scopes_json TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    used_ms BIGINT,
    expires_ms BIGINT
);

CREATE TABLE variables (
    id {id},
    -- instance, group/<path>, project/<id>, context/<name>
    scope TEXT NOT NULL,
    key TEXT NOT NULL,
    environment_scope TEXT NOT NULL,
    -- encrypted under the master key of that id
    sealed {blob} NOT NULL,
    key_id TEXT NOT NULL,
    masked BIGINT NOT NULL,
    protected BIGINT NOT NULL,
    file BIGINT NOT NULL,
    raw BIGINT NOT NULL,
    description TEXT NOT NULL,
    updated_ms BIGINT NOT NULL
);
CREATE UNIQUE INDEX variables_key ON variables (scope, key, environment_scope);

-- Webhooks, stored before they are answered.
CREATE TABLE deliveries (
    id {id},
    dedupe_key TEXT NOT NULL UNIQUE,
    forge TEXT NOT NULL,
    project_id BIGINT REFERENCES projects (id) ON DELETE CASCADE,
    event TEXT NOT NULL,
    headers_json TEXT NOT NULL,
    body {blob} NOT NULL,
    received_ms BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    -- not before this time; absent: done
    due_ms BIGINT,
    done_ms BIGINT,
    outcome TEXT
);
CREATE INDEX deliveries_due ON deliveries (due_ms) WHERE due_ms IS NOT NULL;
CREATE INDEX deliveries_received ON deliveries (received_ms);
