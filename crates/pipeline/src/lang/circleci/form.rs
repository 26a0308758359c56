//! What a configuration asks of whoever starts it by hand: the pipeline's parameters.

use super::package;
use super::parameter::{Owner, Type, declarations};
use super::read::scalar;
use crate::Session;
use crate::form::{Field, FieldKind, Form};

pub(crate) fn form(session: &Session<'_>) -> Option<Form> {
    let root = package::read(session, session.input.file, session.input.text)?;
    let node = root.get("parameters");
    let declared = node
        .map(|node| declarations(session, node, Owner::Pipeline))
        .unwrap_or_default();
    let described = |name: &str| {
        let text = node?.get(name)?.get("description")?;
        text.text().map(ToString::to_string)
    };
    let inputs = declared.iter().map(|one| Field {
        name: one.name.to_string(),
        kind: match &one.kind {
            Type::Boolean => FieldKind::Boolean,
            Type::Integer => FieldKind::Number,
            Type::Enum(members) => FieldKind::Choice(members.iter().map(ToString::to_string).collect()),
            Type::String | Type::Executor | Type::Steps | Type::EnvVarName => FieldKind::Text,
        },
        description: described(&one.name),
        default: one.default.as_ref().and_then(scalar).map(|text| text.to_string()),
        required: one.default.is_none(),
    });
    (session.errors() == 0).then(|| Form {
        language: session.input.lang,
        file: session.input.file.to_owned(),
        workflow: None,
        inputs: inputs.collect(),
        variables: Vec::new(),
    })
}
