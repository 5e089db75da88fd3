"""Parts that the book's pictures share: colours, a quiz, a player of traces, the transcript, figures."""
