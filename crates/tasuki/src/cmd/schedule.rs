//! `tasuki schedule`.

use clap::{Args, Subcommand};
use tasuki_proto::rest::{NewSchedule, VariableInput};
use tasuki_rt::Clock;

use super::trigger::pair;
use crate::config::Connection;
use crate::exit::{Exit, Outcome};
use crate::print::{self, Table, ago};
use crate::role::block_on;

/// Schedules: pipelines that start by the clock.
#[derive(Debug, Subcommand)]
pub(crate) enum Schedule {
    Create(Create),
    List(List),
    Run(Run),
    Delete(Delete),
}

/// Let pipelines of a project start by the clock.
///
/// Examples:
///   tasuki schedule create acme/app --cron "0 4 * * *" --time-zone Europe/Berlin
///   tasuki schedule create acme/app --cron "*/30 8-18 * * 1-5" --ref main --var MODE=quick --description "by day"
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Create {
    /// Project, by path or number
    project: String,
    /// Minute, hour, day of month, month, day of week
    #[arg(long, value_name = "CRON")]
    cron: String,
    /// Zone that the times are meant in
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    time_zone: String,
    /// Branch or tag [default: the default branch]
    #[arg(long = "ref", value_name = "REF")]
    git_ref: Option<String>,
    /// What it is for (`CI_PIPELINE_SCHEDULE_DESCRIPTION`)
    #[arg(long, default_value = "")]
    description: String,
    /// A pipeline variable
    #[arg(long = "var", value_name = "KEY=VALUE", value_parser = pair)]
    variables: Vec<(String, String)>,
    /// Make it without letting it run yet
    #[arg(long)]
    inactive: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// List the schedules of a project.
///
/// Examples:
///   tasuki schedule list acme/app
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct List {
    /// Project, by path or number
    project: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Start the pipeline of a schedule now.
///
/// Examples:
///   tasuki schedule run 3
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Run {
    /// Its number
    id: i64,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Delete a schedule.
///
/// Examples:
///   tasuki schedule delete 3
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Delete {
    /// Its number
    id: i64,
    #[command(flatten)]
    connection: Connection,
}

impl Schedule {
    pub(crate) fn run(self) -> Outcome {
        match self {
            Self::Create(command) => block_on(command.run()),
            Self::List(command) => block_on(command.run()),
            Self::Run(command) => block_on(command.run()),
            Self::Delete(command) => block_on(command.run()),
        }
    }
}

impl Create {
    async fn run(self) -> Outcome {
        let variable = |(key, value): (String, String)| VariableInput {
            key,
            value,
            file: false,
            masked: false,
            raw: false,
        };
        let new = NewSchedule {
            description: self.description,
            cron: self.cron,
            time_zone: Some(self.time_zone),
            git_ref: self.git_ref,
            variables: self.variables.into_iter().map(variable).collect(),
            inputs: serde_json::Map::new(),
            active: Some(!self.inactive),
        };
        let made = self.connection.client()?.create_schedule(&self.project, &new).await?;
        if self.json {
            print::json(&made)?;
        } else {
            let next = made.next_run_at.map_or_else(|| "never".to_owned(), |at| at.to_string());
            print::line(&format!("schedule {}, next run {next}", made.id))?;
        }
        Ok(Exit::Success)
    }
}

impl List {
    async fn run(self) -> Outcome {
        let all = self.connection.client()?.schedules(&self.project).await?;
        if self.json {
            print::json(&all)?;
            return Ok(Exit::Success);
        }
        let now = Clock::system().now_ms();
        let mut table = Table::new(&["ID", "CRON", "ZONE", "REF", "NEXT", "LAST", "MADE", "DESCRIPTION"]);
        for schedule in all {
            table.row([
                schedule.id.to_string(),
                schedule.cron,
                schedule.time_zone,
                schedule.git_ref,
                schedule
                    .next_run_at
                    .map_or_else(|| "never".to_owned(), |at| at.to_string()),
                schedule.last_outcome.unwrap_or_default(),
                ago(schedule.created_at, now),
                schedule.description,
            ]);
        }
        print::raw(&table.text())?;
        Ok(Exit::Success)
    }
}

impl Run {
    async fn run(self) -> Outcome {
        let pipeline = self.connection.client()?.run_schedule(self.id).await?;
        if self.json {
            print::json(&pipeline)?;
        } else {
            print::line(&format!("pipeline {}", pipeline.id))?;
        }
        Ok(Exit::Success)
    }
}

impl Delete {
    async fn run(self) -> Outcome {
        self.connection.client()?.delete_schedule(self.id).await?;
        print::line(&format!("deleted schedule {}", self.id))?;
        Ok(Exit::Success)
    }
}
