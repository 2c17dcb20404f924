//! The configuration file, command-line shorthands, URIs and link specifications, parsed and checked.
