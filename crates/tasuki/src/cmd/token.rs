//! `tasuki token`.

use clap::{Args, Subcommand};
use tasuki_model::time::Timestamp;
use tasuki_proto::rest::{NewToken, Time, TokenScope};
use tasuki_rt::Clock;

use crate::config::Connection;
use crate::exit::{Exit, Outcome};
use crate::print::{self, Table, ago};
use crate::role::block_on;

/// Tokens: what scripts, people and resource classes authenticate with.
#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    Create(Create),
    List(List),
    Delete(Delete),
}

/// Create a token and print it. It is shown only once.
///
/// Examples:
///   tasuki token create deploy-script --scope api --expires-in-days 90
///   tasuki token create builders --resource-class acme/large
///   tasuki token create nightly --trigger acme/app
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Create {
    /// What it is for
    name: String,
    /// What it opens: admin, api, read, runner-registration
    #[arg(long, default_value = "api", value_parser = scope, conflicts_with = "resource_class")]
    scope: TokenScope,
    /// A token of this resource class
    #[arg(long, value_name = "NS/NAME")]
    resource_class: Option<String>,
    /// A token that starts pipelines of this project and opens nothing else
    #[arg(long, value_name = "PROJECT", conflicts_with_all = ["resource_class", "scope"])]
    trigger: Option<String>,
    /// Days until it ends by itself [default: never]
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    expires_in_days: Option<u32>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// List the tokens, without their text.
///
/// Examples:
///   tasuki token list
///   tasuki token list --resource-class acme/large
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct List {
    /// Only those of this resource class
    #[arg(long, value_name = "NS/NAME")]
    resource_class: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Delete a token: it opens nothing any more.
///
/// Examples:
///   tasuki token delete 3
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Delete {
    /// Its number
    id: i64,
    #[command(flatten)]
    connection: Connection,
}

fn scope(name: &str) -> Result<TokenScope, String> {
    match name {
        "admin" => Ok(TokenScope::Admin),
        "api" => Ok(TokenScope::Api),
        "read" => Ok(TokenScope::Read),
        "runner-registration" => Ok(TokenScope::RunnerRegistration),
        _ => Err("it is one of admin, api, read, runner-registration".to_owned()),
    }
}

fn scope_name(scope: TokenScope) -> &'static str {
    match scope {
        TokenScope::Admin => "admin",
        TokenScope::Api => "api",
        TokenScope::Read => "read",
        TokenScope::RunnerRegistration => "runner-registration",
        TokenScope::ResourceClass => "resource-class",
        TokenScope::Trigger => "trigger",
    }
}

impl Token {
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
        let day = 24 * 3600 * 1000;
        let until = |days: u32| Time(Timestamp(Clock::system().now_ms() + i64::from(days) * day));
        let scope = match (&self.resource_class, &self.trigger) {
            (Some(_), _) => TokenScope::ResourceClass,
            (None, Some(_)) => TokenScope::Trigger,
            (None, None) => self.scope,
        };
        let new = NewToken {
            name: self.name,
            scope,
            resource_class: self.resource_class,
            project: self.trigger,
            expires_at: self.expires_in_days.map(until),
        };
        let created = self.connection.client()?.create_token(&new).await?;
        if self.json {
            print::json(&created)?;
        } else {
            print::line(&created.secret)?;
        }
        Ok(Exit::Success)
    }
}

impl List {
    async fn run(self) -> Outcome {
        let tokens = self.connection.client()?.tokens(self.resource_class.as_deref()).await?;
        if self.json {
            print::json(&tokens)?;
            return Ok(Exit::Success);
        }
        let now = Clock::system().now_ms();
        let mut table = Table::new(&["ID", "NAME", "SCOPE", "OF", "USED", "EXPIRES"]);
        for token in tokens {
            let used = token.last_used_at.map_or_else(|| "never".to_owned(), |at| ago(at, now));
            let expires = token.expires_at.map_or_else(|| "never".to_owned(), |at| at.to_string());
            let class = token.resource_class.or(token.project).unwrap_or_default();
            table.row([
                token.id.to_string(),
                token.name,
                scope_name(token.scope).to_owned(),
                class,
                used,
                expires,
            ]);
        }
        print::raw(&table.text())?;
        Ok(Exit::Success)
    }
}

impl Delete {
    async fn run(self) -> Outcome {
        self.connection.client()?.delete_token(self.id).await?;
        print::line(&format!("deleted token {}", self.id))?;
        Ok(Exit::Success)
    }
}
