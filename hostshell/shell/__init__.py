"""Everything that a person sees or types."""
