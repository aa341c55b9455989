"""What form an answer has to have: JSON, a record, a table, code, a language, a length, a wording."""
