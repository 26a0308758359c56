//! `tasuki variable`.

use std::io::{IsTerminal as _, Read as _};

use clap::{Args, Subcommand};
use tasuki_proto::rest::ProjectVariable;

use crate::config::Connection;
use crate::exit::{Exit, Outcome, wrong_usage};
use crate::print::{self, Table};
use crate::role::block_on;

/// Variables and secrets of a project.
#[derive(Debug, Subcommand)]
pub(crate) enum Variable {
    Set(Set),
    List(List),
    Delete(Delete),
}

/// Set a variable. Without `--value` the value is read from standard input, so that a secret is in no process list.
///
/// Examples:
///   tasuki variable set acme/app REGION --value eu-1
///   tasuki variable set acme/app DEPLOY_TOKEN --masked --protected < token.txt
///   tasuki variable set acme/app KUBECONFIG --file --environment production < kubeconfig
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Set {
    /// The project
    #[arg(value_name = "NS/NAME")]
    project: String,
    /// Its name: letters, digits and _
    key: String,
    /// Its value, if it is no secret
    #[arg(long)]
    value: Option<String>,
    /// Replace it in logs by [MASKED]; it is never shown again
    #[arg(long)]
    masked: bool,
    /// Give it to pipelines of protected refs only
    #[arg(long)]
    protected: bool,
    /// Write the value into a file; the variable holds its path
    #[arg(long)]
    file: bool,
    /// Leave `$` in it alone
    #[arg(long)]
    raw: bool,
    /// Environments that get it; `*` stands for any text
    #[arg(long, value_name = "NAME", default_value = "*")]
    environment: String,
    #[command(flatten)]
    connection: Connection,
}

/// List a project's variables; values of masked ones are left out.
///
/// Examples:
///   tasuki variable list acme/app
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct List {
    /// The project
    #[arg(value_name = "NS/NAME")]
    project: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Delete a variable.
///
/// Examples:
///   tasuki variable delete acme/app REGION
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Delete {
    /// The project
    #[arg(value_name = "NS/NAME")]
    project: String,
    /// Its name
    key: String,
    /// The one for these environments
    #[arg(long, value_name = "NAME", default_value = "*")]
    environment: String,
    #[command(flatten)]
    connection: Connection,
}

impl Variable {
    pub(crate) fn run(self) -> Outcome {
        match self {
            Self::Set(command) => block_on(command.run()),
            Self::List(command) => block_on(command.run()),
            Self::Delete(command) => block_on(command.run()),
        }
    }
}

impl Set {
    async fn run(self) -> Outcome {
        let value = match self.value {
            Some(value) => value,
            None => from_stdin()?,
        };
        let variable = ProjectVariable {
            key: self.key,
            value: Some(value),
            environment_scope: self.environment,
            file: self.file,
            masked: self.masked,
            protected: self.protected,
            raw: self.raw,
        };
        let client = self.connection.client()?;
        client.set_project_variable(&self.project, &variable).await?;
        print::line(&format!("set {} of {}", variable.key, self.project))?;
        Ok(Exit::Success)
    }
}

/// All of standard input, without the line feed that editors and `echo` add.
fn from_stdin() -> anyhow::Result<String> {
    let mut stdin = std::io::stdin();
    if stdin.is_terminal() {
        print::note("type the value and end it with Ctrl-D");
    }
    let mut value = String::new();
    stdin
        .read_to_string(&mut value)
        .map_err(|_| wrong_usage("the value on standard input is not UTF-8"))?;
    if value.ends_with('\n') {
        value.pop();
    }
    Ok(value)
}

impl List {
    async fn run(self) -> Outcome {
        let variables = self.connection.client()?.project_variables(&self.project).await?;
        if self.json {
            print::json(&variables)?;
            return Ok(Exit::Success);
        }
        let mut table = Table::new(&["KEY", "VALUE", "ENVIRONMENT", "FLAGS"]);
        for variable in variables {
            let flags = [
                (variable.masked, "masked"),
                (variable.protected, "protected"),
                (variable.file, "file"),
                (variable.raw, "raw"),
            ];
            let flags: Vec<_> = flags.iter().filter(|(set, _)| *set).map(|(_, name)| *name).collect();
            let value = variable.value.unwrap_or_else(|| "[MASKED]".to_owned());
            table.row([variable.key, value, variable.environment_scope, flags.join(" ")]);
        }
        print::raw(&table.text())?;
        Ok(Exit::Success)
    }
}

impl Delete {
    async fn run(self) -> Outcome {
        let client = self.connection.client()?;
        client
            .delete_project_variable(&self.project, &self.key, &self.environment)
            .await?;
        print::line(&format!("deleted {} of {}", self.key, self.project))?;
        Ok(Exit::Success)
    }
}
