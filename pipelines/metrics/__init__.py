"""Numbers that judge a result: confusion matrices, the quality of labels, the precision of instances."""
