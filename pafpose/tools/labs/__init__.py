"""Turn the labels of other tools into photos, annotations and a skeleton of ours."""
