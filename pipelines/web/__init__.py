"""The page of `s4 review`: a local server, what it keeps in memory, and the files of the page."""
