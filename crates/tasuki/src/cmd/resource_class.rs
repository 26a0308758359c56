//! `tasuki resource-class`.

use clap::{Args, Subcommand};
use tasuki_proto::rest::NewResourceClass;

use crate::config::Connection;
use crate::exit::{Exit, Mark as _, Outcome};
use crate::print::{self, Table};
use crate::role::block_on;

/// Resource classes: pools of runners with their own tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum ResourceClass {
    Create(Create),
    List(List),
    Delete(Delete),
}

/// Create a resource class and print its first token.
///
/// Examples:
///   tasuki resource-class create acme/large --description "32 cores"
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Create {
    /// Its name
    #[arg(value_name = "NS/NAME")]
    name: String,
    /// What it is for
    #[arg(long, default_value = "")]
    description: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// List the resource classes.
///
/// Examples:
///   tasuki resource-class list
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct List {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Delete a resource class.
///
/// Examples:
///   tasuki resource-class delete acme/large
///   tasuki resource-class delete acme/large --force
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Delete {
    /// Its name
    #[arg(value_name = "NS/NAME")]
    name: String,
    /// Also while it still has tokens
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    connection: Connection,
}

impl ResourceClass {
    pub(crate) fn run(self) -> Outcome {
        match self {
            Self::Create(command) => block_on(command.run()),
            Self::List(command) => block_on(command.run()),
            Self::Delete(command) => block_on(command.run()),
        }
    }
}

impl Create {
    async fn run(self) -> Outcome {
        let new = NewResourceClass {
            name: self.name,
            description: self.description,
        };
        let created = self.connection.client()?.create_resource_class(&new).await?;
        if self.json {
            print::json(&created)?;
        } else {
            print::line(&format!("created {}", created.resource_class.name))?;
            print::line(&format!("token: {} (shown only now)", created.token.secret))?;
        }
        Ok(Exit::Success)
    }
}

impl List {
    async fn run(self) -> Outcome {
        let classes = self.connection.client()?.resource_classes().await?;
        if self.json {
            print::json(&classes)?;
            return Ok(Exit::Success);
        }
        let mut table = Table::new(&["ID", "NAME", "DESCRIPTION"]);
        for class in classes {
            table.row([class.id.to_string(), class.name, class.description]);
        }
        print::raw(&table.text())?;
        Ok(Exit::Success)
    }
}

impl Delete {
    async fn run(self) -> Outcome {
        let client = self.connection.client()?;
        let tokens = client.tokens(Some(&self.name)).await?;
        if !tokens.is_empty() && !self.force {
            return Err(anyhow::anyhow!("{} still has {} tokens", self.name, tokens.len()))
                .usage()
                .hint("delete them with `tasuki token delete`, or all together with --force");
        }
        for token in tokens {
            client.delete_token(token.id).await?;
        }
        client.delete_resource_class(&self.name).await?;
        print::line(&format!("deleted {}", self.name))?;
        Ok(Exit::Success)
    }
}
