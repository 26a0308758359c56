//! What jobs cost. These run alone: others would disturb the times, and share the memory.

mod figures;
mod logs;
mod many;
