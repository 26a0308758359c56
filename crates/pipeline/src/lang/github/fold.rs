//! Evaluation as far as the pipeline's start knows: what is left is evaluated by whoever knows the rest.

use std::sync::Arc;

use tasuki_model::expr::{self, BinaryOp, Context, Error, Expr, Literal, Value, evaluate, item, property};

/// What is known of a context.
pub(super) enum Known {
    /// All of it.
    Value(Value),
    /// Nothing yet.
    Late,
}

/// What the start of the pipeline knows.
pub(super) trait World {
    /// A whole context.
    fn root(&self, name: &str) -> Known;

    /// What stands for `context.key…`: the path is cut where the answer takes over. Gives how many keys were used.
    fn path(&self, name: &str, keys: &[&str]) -> Option<(Expr, usize)>;

    /// What stands for a call of a function that asks about the world.
    fn call(&self, name: &str, arguments: &[Expr]) -> Option<Expr>;
}

/// The expression with everything evaluated that can be: a literal, if that is all of it.
pub(super) fn fold(expr: &Expr, world: &dyn World) -> Result<Expr, Error> {
    let folded = Folding { world }.fold(expr)?;
    folded.settle()
}

/// The value of an expression that is known completely.
pub(super) fn known(expr: &Expr) -> Option<Value> {
    if let Expr::Literal(literal) = expr {
        return Some(super::fields::literal_value(literal));
    }
    is_known(expr).then(|| evaluate(expr, &Nothing).ok()).flatten()
}

/// The text of an expression that is known completely.
pub(super) fn known_text(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Literal(Literal::Text(text)) => Some(text.clone()),
        other => known(other).map(|value| value.to_text().to_string()),
    }
}

/// An expression that gives this value.
pub(super) fn constant(value: &Value) -> Result<Expr, Error> {
    Ok(match value {
        Value::Null => Expr::Literal(Literal::Null),
        Value::Bool(flag) => Expr::Literal(Literal::Bool(*flag)),
        Value::Number(number) => Expr::Literal(Literal::Number(*number)),
        Value::Text(text) => Expr::Literal(Literal::Text(text.to_string())),
        Value::Array(_) | Value::Object(_) => {
            let json = evaluate(&call("tojson", Expr::Context("it".to_owned())), &Only(value.clone()))?;
            call("fromjson", Expr::Literal(Literal::Text(json.to_text().to_string())))
        }
    })
}

fn call(function: &str, argument: Expr) -> Expr {
    Expr::Call {
        function: function.to_owned(),
        arguments: vec![argument],
    }
}

/// A constant as [`constant`] makes it.
fn is_known(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(_) => true,
        Expr::Call { function, arguments } => {
            function == "fromjson" && matches!(arguments.as_slice(), [Expr::Literal(Literal::Text(_))])
        }
        _ => false,
    }
}

struct Nothing;

impl Context for Nothing {
    fn root(&self, _: &str) -> Option<Value> {
        None
    }

    fn call(&self, _: &str, _: &[Value]) -> Option<Result<Value, String>> {
        None
    }
}

struct Only(Value);

impl Context for Only {
    fn root(&self, _: &str) -> Option<Value> {
        Some(self.0.clone())
    }

    fn call(&self, _: &str, _: &[Value]) -> Option<Result<Value, String>> {
        None
    }
}

/// A part of the tree: evaluated, or not to be had yet.
enum Folded {
    Known(Value),
    Late(Expr),
}

impl Folded {
    fn settle(self) -> Result<Expr, Error> {
        match self {
            Self::Known(value) => constant(&value),
            Self::Late(expr) => Ok(expr),
        }
    }
}

struct Folding<'w> {
    world: &'w dyn World,
}

impl Folding<'_> {
    fn fold(&self, expr: &Expr) -> Result<Folded, Error> {
        Ok(match expr {
            Expr::Literal(literal) => Folded::Known(super::fields::literal_value(literal)),
            Expr::Context(name) => match self.world.root(name) {
                Known::Value(value) => Folded::Known(value),
                Known::Late => Folded::Late(expr.clone()),
            },
            Expr::Index { of, index } => return self.index(expr, of, index),
            Expr::Filter(of) => self.combine(vec![self.fold(of)?], |mut parts| {
                Expr::Filter(Box::new(parts.remove(0)))
            })?,
            Expr::Not(of) => match self.fold(of)? {
                Folded::Known(value) => Folded::Known(Value::Bool(!value.is_truthy())),
                Folded::Late(of) => Folded::Late(Expr::Not(Box::new(of))),
            },
            Expr::Concat(parts) => {
                let parts = self.all(parts)?;
                match values(&parts) {
                    Some(values) => Folded::Known(expr::concat(&values)?),
                    None => Folded::Late(Expr::Concat(settled(parts)?)),
                }
            }
            Expr::Binary { op, left, right } => return self.binary(*op, left, right),
            Expr::Call { function, arguments } => {
                if let Some(stands) = self.world.call(function, arguments) {
                    return Ok(match known(&stands) {
                        Some(value) => Folded::Known(value),
                        None => Folded::Late(stands),
                    });
                }
                let parts = self.all(arguments)?;
                let make = |arguments| Expr::Call {
                    function: function.clone(),
                    arguments,
                };
                if is_late(function) {
                    return Ok(Folded::Late(make(settled(parts)?)));
                }
                self.combine(parts, make)?
            }
        })
    }

    fn all(&self, parts: &[Expr]) -> Result<Vec<Folded>, Error> {
        parts.iter().map(|part| self.fold(part)).collect()
    }

    /// The value, where all parts are known; else the node above the parts.
    fn combine(&self, parts: Vec<Folded>, make: impl FnOnce(Vec<Expr>) -> Expr) -> Result<Folded, Error> {
        if let Some(values) = values(&parts) {
            let count = values.len();
            let places = Places(values);
            let holes = (0..count).map(|at| Expr::Context(at.to_string())).collect();
            return Ok(Folded::Known(evaluate(&make(holes), &places)?));
        }
        Ok(Folded::Late(make(settled(parts)?)))
    }

    fn index(&self, whole: &Expr, of: &Expr, index: &Expr) -> Result<Folded, Error> {
        let Some((root, keys)) = path(whole) else {
            return item_of(self.fold(of)?, self.fold(index)?);
        };
        let (mut found, used) = match self.world.path(root, &keys) {
            Some((stands, used)) => match known(&stands) {
                Some(value) => (Folded::Known(value), used),
                None => (Folded::Late(stands), used),
            },
            None => match self.world.root(root) {
                Known::Value(value) => (Folded::Known(value), 0),
                Known::Late => return Ok(Folded::Late(whole.clone())),
            },
        };
        for key in &keys[used..] {
            found = match found {
                Folded::Known(of) => Folded::Known(property(&of, key)),
                Folded::Late(of) => Folded::Late(Expr::Index {
                    of: Box::new(of),
                    index: Box::new(Expr::Literal(Literal::Text((*key).to_owned()))),
                }),
            };
        }
        Ok(found)
    }

    fn binary(&self, op: BinaryOp, left: &Expr, right: &Expr) -> Result<Folded, Error> {
        let left = self.fold(left)?;
        let decided = match (&left, op) {
            (Folded::Known(value), BinaryOp::And) => Some(!value.is_truthy()),
            (Folded::Known(value), BinaryOp::Or) => Some(value.is_truthy()),
            _ => None,
        };
        match decided {
            Some(true) => return Ok(left),
            Some(false) => return self.fold(right),
            None => {}
        }
        Ok(match (left, self.fold(right)?) {
            (Folded::Known(left), Folded::Known(right)) => Folded::Known(expr::binary(op, left, right)?),
            (left, right) => Folded::Late(Expr::Binary {
                op,
                left: Box::new(left.settle()?),
                right: Box::new(right.settle()?),
            }),
        })
    }
}

/// The values, where all parts are known.
fn values(parts: &[Folded]) -> Option<Vec<Value>> {
    let one = |part: &Folded| match part {
        Folded::Known(value) => Some(value.clone()),
        Folded::Late(_) => None,
    };
    parts.iter().map(one).collect()
}

fn settled(parts: Vec<Folded>) -> Result<Vec<Expr>, Error> {
    parts.into_iter().map(Folded::settle).collect()
}

fn item_of(of: Folded, index: Folded) -> Result<Folded, Error> {
    if let (Folded::Known(of), Folded::Known(index)) = (&of, &index) {
        return Ok(Folded::Known(item(of, index)));
    }
    Ok(Folded::Late(Expr::Index {
        of: Box::new(of.settle()?),
        index: Box::new(index.settle()?),
    }))
}

/// Values by number, for a node whose parts are known.
struct Places(Vec<Value>);

impl Context for Places {
    fn root(&self, name: &str) -> Option<Value> {
        self.0.get(name.parse::<usize>().ok()?).cloned()
    }

    fn call(&self, _: &str, _: &[Value]) -> Option<Result<Value, String>> {
        None
    }
}

/// Functions whose answer depends on where and when they are asked.
fn is_late(function: &str) -> bool {
    matches!(function, "hashfiles" | "success" | "failure" | "always" | "cancelled")
}

/// `context.a['b']`: the context and its keys, where these are written out.
fn path(expr: &Expr) -> Option<(&str, Vec<&str>)> {
    match expr {
        Expr::Context(name) => Some((name, Vec::new())),
        Expr::Index { of, index } => {
            let Expr::Literal(Literal::Text(key)) = index.as_ref() else {
                return None;
            };
            let (root, mut keys) = path(of)?;
            keys.push(key);
            Some((root, keys))
        }
        _ => None,
    }
}

/// Whether an expression calls one of the functions that ask how the work went.
pub(super) fn asks_status(expr: &Expr) -> bool {
    any(expr, &|expr| {
        matches!(expr, Expr::Call { function, .. }
            if matches!(function.as_str(), "success" | "failure" | "always" | "cancelled"))
    })
}

/// Whether a context is named in an expression.
pub(super) fn names_context(expr: &Expr, name: &str) -> bool {
    any(expr, &|expr| matches!(expr, Expr::Context(found) if found == name))
}

/// Whether something holds for a part of an expression.
pub(super) fn any(expr: &Expr, holds: &dyn Fn(&Expr) -> bool) -> bool {
    holds(expr) || expr.parts().any(|part| any(part, holds))
}

/// An object of these entries, in order.
pub(super) fn object(entries: Vec<(String, Value)>) -> Value {
    Value::object(entries.into_iter().map(|(key, value)| (Arc::<str>::from(key), value)))
}
