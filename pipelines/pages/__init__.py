"""The pages that commands leave beside their results: what each result has to show, and how it is written.

`read` tells what a folder or file holds. `runs`, `labels`, `predictions` and `evaluations` make a `Result` of it.
`page` writes the page of one result, `comparison` that of several. `leave` does it at the end of a command.
"""
