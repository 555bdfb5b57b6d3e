"""Token usage: parsing what providers report, merging the reports of a stream, and counting where there are none."""
