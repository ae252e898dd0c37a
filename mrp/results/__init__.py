"""What is computed: estimates, their summaries, and what is asked of them."""
