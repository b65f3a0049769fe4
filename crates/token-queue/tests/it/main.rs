//! The queue from outside: tables and threads.

mod cases;
mod plain;
mod script;
mod threads;
mod wakers;
