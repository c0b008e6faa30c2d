"""Raw captures of messages: what all venues have in common."""
