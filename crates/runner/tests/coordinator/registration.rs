//! Commands against the coordinator. (Filled by the commands' tests.)
