"""From photos to people: views, predictor, evaluation of a split, saved fields."""
