"""What the trainings are made of: which pictures a step sees, and what it minimises."""
