"""The verbs: session first, then storage, then values; `now` is passed in; nothing here commits."""
