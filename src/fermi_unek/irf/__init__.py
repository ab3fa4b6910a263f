"""The instrument: response tables, CALDB, livetime, exposure."""
