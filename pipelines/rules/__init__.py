"""What each rule id in brackets behind a message means, with example and remedy: the table behind docs/rules.md."""
