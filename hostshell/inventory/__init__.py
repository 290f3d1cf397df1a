"""Files to hosts and groups. Parsers take text, loaders take paths."""
