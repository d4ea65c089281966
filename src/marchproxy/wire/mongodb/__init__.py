"""MongoDB's wire protocol, pure: messages, the fields of a command that a decision needs, and answers of our own.

https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/, https://bsonspec.org/spec.html
"""
