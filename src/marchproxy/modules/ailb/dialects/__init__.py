"""What the APIs of language models look like: requests, answers, usage, errors and the events of streams. Pure.

`operations` says what a path asks for, `asked` reads a request for it, `prompt` has its texts, `rewriting` changes it in
place, `usage` reads what an answer has used, `failure` words what went wrong, `listing` names models.
"""
