//! From a claimed task to the payload that its runner gets.
