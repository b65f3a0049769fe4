//! The queue from outside: tables, a random model, threads.

mod cases;
mod model;
mod plain;
mod script;
mod threads;
mod wakers;
