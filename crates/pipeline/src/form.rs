//! What a configuration asks of whoever starts a pipeline by hand: the fields of a form.

use serde::{Deserialize, Serialize};
use tasuki_model::plan::Language;

use crate::compile::Input;
use crate::context::Context;
use crate::lang;
use crate::request::Answers;
use crate::session::{Mode, Session};

/// The form of one configuration file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Form {
    pub language: Language,
    pub file: String,
    /// Name of the workflow, where a file is one (GitHub).
    pub workflow: Option<String>,
    /// Inputs: `workflow_dispatch.inputs`, `spec:inputs`, pipeline parameters.
    pub inputs: Vec<Field>,
    /// Variables that the configuration describes (GitLab).
    pub variables: Vec<Field>,
}

/// One field of a form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    pub name: String,
    pub kind: FieldKind,
    pub description: Option<String>,
    /// What it is where nothing is given.
    pub default: Option<String>,
    /// Without a value nothing starts.
    pub required: bool,
}

/// What a field takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldKind {
    Text,
    Boolean,
    Number,
    /// One of these.
    Choice(Vec<String>),
    /// A list, as JSON.
    List,
}

/// The form of a configuration file; `None` where it cannot be started by hand or cannot be read. Included files are not
/// looked at.
#[must_use]
pub fn of(language: Language, file: &str, text: &str) -> Option<Form> {
    let (context, answers) = (Context::default(), Answers::new());
    let input = Input {
        lang: language,
        file,
        text,
        context: &context,
    };
    let session = Session::new(&input, &answers, Mode::Lint);
    match language {
        Language::Gitlab => lang::gitlab::form(&session),
        Language::Circleci => lang::circleci::form(&session),
        Language::Github => lang::github::form(&session),
    }
}
