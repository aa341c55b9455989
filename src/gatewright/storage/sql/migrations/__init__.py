"""The schema's revisions, in order; they come with the package."""
