//! Triggers over a real database, a real scheduler and real repositories; only runners are missing.

mod downstream;
mod hooks;
mod languages;
mod local;
mod plans;
mod request;
mod schedules;
mod world;
