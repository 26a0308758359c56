//! Rows of results, and the records that they become.

use tasuki_model::id::{JobId, PipelineId, ProjectId, ResourceClassId, RunnerId, TaskId, UserId, WorkflowId};
use tasuki_model::time::Timestamp;

use crate::{Error, Result};

/// One value of a result.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cell<'r> {
    Null,
    Int(i64),
    Text(&'r str),
    Blob(&'r [u8]),
}

impl Cell<'_> {
    fn kind(self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Int(_) => "a number",
            Self::Text(_) => "text",
            Self::Blob(_) => "bytes",
        }
    }
}

/// What a column can be read as.
pub trait Column: Sized {
    /// Shown where a column holds something else.
    const WANTED: &'static str;

    /// The value, or `None` where the cell holds something else.
    fn from_cell(cell: Cell<'_>) -> Option<Self>;
}

impl Column for i64 {
    const WANTED: &'static str = "a number";

    fn from_cell(cell: Cell<'_>) -> Option<Self> {
        match cell {
            Cell::Int(value) => Some(value),
            Cell::Null | Cell::Text(_) | Cell::Blob(_) => None,
        }
    }
}

impl Column for u32 {
    const WANTED: &'static str = "a small number";

    fn from_cell(cell: Cell<'_>) -> Option<Self> {
        i64::from_cell(cell).and_then(|value| Self::try_from(value).ok())
    }
}

impl Column for bool {
    const WANTED: &'static str = "0 or 1";

    fn from_cell(cell: Cell<'_>) -> Option<Self> {
        i64::from_cell(cell).map(|value| value != 0)
    }
}

impl Column for Timestamp {
    const WANTED: &'static str = "a time";

    fn from_cell(cell: Cell<'_>) -> Option<Self> {
        i64::from_cell(cell).map(Self)
    }
}

impl Column for String {
    const WANTED: &'static str = "text";

    fn from_cell(cell: Cell<'_>) -> Option<Self> {
        match cell {
            Cell::Text(text) => Some(text.to_owned()),
            Cell::Null | Cell::Int(_) | Cell::Blob(_) => None,
        }
    }
}

impl Column for Vec<u8> {
    const WANTED: &'static str = "bytes";

    fn from_cell(cell: Cell<'_>) -> Option<Self> {
        match cell {
            Cell::Blob(bytes) => Some(bytes.to_owned()),
            Cell::Null | Cell::Int(_) | Cell::Text(_) => None,
        }
    }
}

impl<T: Column> Column for Option<T> {
    const WANTED: &'static str = T::WANTED;

    fn from_cell(cell: Cell<'_>) -> Option<Self> {
        match cell {
            Cell::Null => Some(None),
            Cell::Int(_) | Cell::Text(_) | Cell::Blob(_) => T::from_cell(cell).map(Some),
        }
    }
}

macro_rules! ids {
    ($($name:ident),*) => {$(
        impl Column for $name {
            const WANTED: &'static str = "an id";

            fn from_cell(cell: Cell<'_>) -> Option<Self> {
                i64::from_cell(cell).map(Self)
            }
        }
    )*};
}

ids!(
    ProjectId,
    PipelineId,
    WorkflowId,
    JobId,
    TaskId,
    RunnerId,
    ResourceClassId,
    UserId
);

/// A row of a result, read from left to right.
pub struct Row<'r> {
    source: Source<'r>,
    next: usize,
}

enum Source<'r> {
    Sqlite(&'r rusqlite::Row<'r>),
    Postgres(&'r postgres::Row),
}

impl<'r> Row<'r> {
    pub(crate) fn sqlite(row: &'r rusqlite::Row<'r>) -> Self {
        Self {
            source: Source::Sqlite(row),
            next: 0,
        }
    }

    pub(crate) fn postgres(row: &'r postgres::Row) -> Self {
        Self {
            source: Source::Postgres(row),
            next: 0,
        }
    }

    /// The next column.
    ///
    /// # Errors
    /// When there is no further column or it holds another type.
    pub fn take<T: Column>(&mut self) -> Result<T> {
        let column = self.next;
        self.next += 1;
        let cell = self.cell(column)?;
        T::from_cell(cell).ok_or(Error::Column {
            column,
            found: cell.kind(),
            wanted: T::WANTED,
        })
    }

    /// The column at `index`, whatever it holds.
    ///
    /// # Errors
    /// When there is no such column.
    pub fn cell(&self, index: usize) -> Result<Cell<'_>> {
        let unreadable = Error::Column {
            column: index,
            found: "something unreadable",
            wanted: "a value",
        };
        match self.source {
            Source::Sqlite(row) => {
                use rusqlite::types::ValueRef;
                match row.get_ref(index).map_err(|_| unreadable.clone())? {
                    ValueRef::Null => Ok(Cell::Null),
                    ValueRef::Integer(value) => Ok(Cell::Int(value)),
                    ValueRef::Text(text) => std::str::from_utf8(text).map(Cell::Text).map_err(|_| unreadable),
                    ValueRef::Blob(bytes) => Ok(Cell::Blob(bytes)),
                    ValueRef::Real(_) => Err(unreadable),
                }
            }
            Source::Postgres(row) => {
                use postgres::types::Type;
                let column = row.columns().get(index).ok_or(unreadable.clone())?;
                let ty = column.type_();
                let cell = if *ty == Type::INT8 {
                    row.try_get::<_, Option<i64>>(index)
                        .map(|v| v.map_or(Cell::Null, Cell::Int))
                } else if *ty == Type::INT4 {
                    row.try_get::<_, Option<i32>>(index)
                        .map(|v| v.map_or(Cell::Null, |v| Cell::Int(i64::from(v))))
                } else if *ty == Type::BYTEA {
                    row.try_get::<_, Option<&[u8]>>(index)
                        .map(|v| v.map_or(Cell::Null, Cell::Blob))
                } else {
                    row.try_get::<_, Option<&str>>(index)
                        .map(|v| v.map_or(Cell::Null, Cell::Text))
                };
                cell.map_err(|_| unreadable)
            }
        }
    }

    /// The names of the columns.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        match self.source {
            Source::Sqlite(row) => row.as_ref().column_names().collect(),
            Source::Postgres(row) => row.columns().iter().map(postgres::Column::name).collect(),
        }
    }
}

/// A struct that a table's row becomes; made by [`record!`].
pub trait Record: Sized {
    const TABLE: &'static str;
    /// The columns, `table.column`, in the order in which `read` takes them.
    const COLUMNS: &'static str;

    /// # Errors
    /// When a column holds another type.
    fn read(row: &mut Row<'_>) -> Result<Self>;
}

/// Declares the struct of a table's row together with its column list, so that the two cannot differ.
macro_rules! record {
    (
        $(#[$meta:meta])*
        pub struct $name:ident in $table:ident {
            $($(#[$field_meta:meta])* pub $field:ident: $ty:ty,)*
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name {
            $($(#[$field_meta])* pub $field: $ty,)*
        }

        impl $crate::Record for $name {
            const TABLE: &'static str = stringify!($table);
            const COLUMNS: &'static str =
                concat!($(", ", stringify!($table), ".", stringify!($field)),*).split_at(2).1;

            fn read(row: &mut $crate::Row<'_>) -> $crate::Result<Self> {
                Ok(Self { $($field: row.take()?,)* })
            }
        }
    };
}
pub(crate) use record;
