"""Where records are kept: SQLite in the data directory, or PostgreSQL by URL, with one schema and its migrations."""
