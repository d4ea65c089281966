"""`marchproxy ai`: virtual keys, and what requests to language models have used."""
