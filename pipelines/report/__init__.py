"""What a person looks at: charts, pictures with results drawn on them, and the page that shows both."""
