"""Rule packs: a practice (ITIL's, or a desk's own) as YAML that a user can read and change."""
