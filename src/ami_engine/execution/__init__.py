"""From intents to a broker and back."""
