"""De-identification of datasets by PS3.15, annex E: pure functions, without a server and without files."""
