"""Pictures of estimates: what to draw as plain data (`layers`), and its renderer (`figures`)."""
