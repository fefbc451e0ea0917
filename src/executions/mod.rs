//! The life of an execution: request, dispatch, run, settle.
