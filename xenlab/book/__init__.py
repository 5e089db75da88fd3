"""The book as a web site: its notebooks run once, as pages that need neither a kernel nor a server (`xenlab book`)."""
