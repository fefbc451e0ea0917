//! When the tasks of a workflow ran.
